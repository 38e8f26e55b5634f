"""What tells that an era's rows are the same: hashes of its ids, levels and targets, whatever the order of its rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def of_rows(rows: DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """`levels` and each target, by era: hashes in one pass over `id, era, features` and the targets.

    `levels` is of ids and features; a target's is of the ids and values where it is known, null where it nowhere is.
    """
    hashed = [_hash(F.lit(True), "id", "features").alias("levels")]
    hashed += [_hash(F.col(f"`{name}`").isNotNull(), "id", f"`{name}`").alias(name) for name in targets]
    return rows.groupBy("era").agg(*hashed).toPandas().set_index("era").sort_index()  # one row an era


def of_arrays(rows: DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """The same of targets alone, by era, where a row holds an era's values as one array for each target."""
    hashed = [F.hex(F.xxhash64(f"`{name}`")).alias(name) for name in targets]
    return rows.select("era", *hashed).toPandas().set_index("era").sort_index()  # one row an era


def _hash(is_observed: Column, *columns: str) -> Column:
    """Of the rows that are known: their number, and their hashes together, which no order changes."""
    count = F.count(F.when(is_observed, True))
    together = F.concat_ws("-", count.cast("string"), F.hex(F.bit_xor(F.when(is_observed, F.xxhash64(*columns)))))
    return F.when(count > 0, together)
