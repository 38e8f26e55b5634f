"""Targets of Numerai Classic beside the packed rows: of each era one row, with an array for each target.

An array holds the target of every packed row of the era, in the order of their numbers. A run joins the few targets
that it needs by era, some kilobytes for each, so that packed rows are read as they lie and never exchanged; and a
target that becomes known writes no feature again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.sources.classic_files import ALIAS, Split


def of_eras(eras: Sequence[int], era_block: int) -> str:
    """The SQL condition for the rows of these eras in a table partitioned by blocks of eras."""
    if not eras:
        return "false"
    blocks = sorted({era // era_block for era in eras})
    return f"era_block IN ({', '.join(map(str, blocks))}) AND era IN ({', '.join(map(str, eras))})"


def within(packed: DataFrame, eras: Sequence[int], era_block: int) -> DataFrame:
    """The packed rows of these eras."""
    return packed.where(of_eras(eras, era_block))


def of_files(
    spark: SparkSession, files: Sequence[Split], packed: DataFrame, targets: Sequence[str], eras: Sequence[int]
) -> DataFrame:
    """`era, row` and the targets, `float` and null where unknown, of the packed rows (`id, era, row`) of these eras."""
    parts = [
        spark.read.parquet(split.path)
        .select("id", F.col("era").cast("int").alias("era"), *(_label(name) for name in targets))
        .where(F.col("era").isin(list(eras)))
        for split in files
    ]
    every = reduce(DataFrame.unionByName, parts)
    return packed.select("id", "era", "row").join(every, on=["id", "era"], how="left").drop("id")


def _label(target: str) -> Column:
    value = F.col(target).cast("float")
    return F.when(~F.isnan(value), value).alias(target)


def by_era(rows: DataFrame, targets: Sequence[str], era_block: int) -> DataFrame:
    """`era, era_block` and an `array<float>` for each target, of `era, row` and these; an unknown one is NaN."""

    def arrays(era: pd.DataFrame) -> pd.DataFrame:
        ordered = era.sort_values("row")
        values = {name: [ordered[name].to_numpy(dtype=np.float32)] for name in targets}
        number = int(ordered["era"].iloc[0])
        return pd.DataFrame({"era": [number], "era_block": [number // era_block], **values})

    schema = ", ".join(["era int, era_block int", *(f"`{name}` array<float>" for name in targets)])
    return rows.select("era", "row", *(f"`{name}`" for name in targets)).groupBy("era").applyInPandas(arrays, schema)


def with_labels(packed: DataFrame, labels: DataFrame, targets: Sequence[str]) -> DataFrame:
    """The packed rows with these targets as columns, `float`, null where unknown."""
    arrays = labels.select("era", *(F.col(f"`{name}`").alias(f"all {name}") for name in targets))
    joined = packed.join(F.broadcast(arrays), on="era", how="left")
    values = {name: F.get(F.col(f"`all {name}`"), F.col("row")) for name in targets}
    columns = [F.when(~F.isnan(value), value).alias(name) for name, value in values.items()]
    return joined.select(*(F.col(f"`{name}`") for name in packed.columns), *columns)


def with_alias(rows: DataFrame, target: str) -> DataFrame:
    """The rows with one more column `target`, which equals the target of this name."""
    return rows.withColumn(ALIAS, F.col(f"`{target}`"))


def labelled_by_era(rows: DataFrame, targets: Iterable[str]) -> pd.DataFrame:
    """`era` and by target in how many rows it is known; one row an era."""
    return rows.groupBy("era").agg(*(F.count(f"`{name}`").alias(name) for name in targets)).orderBy("era").toPandas()
