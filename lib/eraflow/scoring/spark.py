"""Scores on Spark: eras one after another in each task, and all models of an era at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import pandas as pd
from pyspark.errors import PythonException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.scoring.metrics import METRICS
from eraflow.scoring.references import References
from eraflow.scoring.worker import SCORES, Scorer

LABELLED = "target is not null and not isnan(target)"
ERAS_A_CHUNK = 16  # follow each other in one task; the last of them goes to the task of the next ones, too


def available(references: References, asset: str | None) -> tuple[str, ...]:
    """The names of what `score_eras` can say with these references; of a small era or an unknown part it says less."""
    given = {"previous": asset is not None}
    metrics = (one for one in METRICS.values() if all(given.get(x) or getattr(references, x, None) for x in one.needs))
    return tuple(
        metric.name.format(part)
        for metric in metrics
        for part in (getattr(references, metric.over) if metric.over else ("",))
    )


def score_eras(
    predictions: DataFrame,
    references: References | None = None,
    asset: str | None = None,
    metrics: Sequence[str] = tuple(METRICS),
) -> DataFrame:
    """`model, era, fold, metric, value, detail`: every metric of every model, era and fold that has known targets.

    A Python worker holds two eras at a time, with all their models and the references of one.

    Parameters
    ----------
    predictions : `id string, era int, fold int, model string, prediction double, target float`, the target null or NaN
        where it is not known yet. An era without any known target gives no row; value and detail as in `score_era`.
    references : without them, the metrics that need none.
    asset : SQL expression of `id` for what is the same in all eras (a ticker). With it churn and turnover are measured
        between eras whose numbers follow each other, within a fold.
    metrics : names of METRICS. What none of these needs is not read.
    """
    against = (references or References()).needed_by(metrics)
    rows = predictions.where(LABELLED).select(
        _chunks(asset is not None).alias("chunk"), F.col("era").cast("int").alias("era"),
        F.expr(asset or "id").alias("id"), "model", F.col("fold").cast("int").alias("fold"),
        F.col("prediction").cast("double").alias("prediction"), F.col("target").cast("double").alias("target"),
    )  # fmt: skip
    if against.columns:
        eras = F.broadcast(predictions.select("era").distinct())
        parts = [
            part.select(_chunk().alias("chunk"), F.col("era").cast("int").alias("era"),
                        F.expr(asset or "id").alias("id"), *names).join(eras, on="era", how="left_semi")
            for part in against.parts
            if (names := [name for name in part.columns if name in against.columns])
        ]  # fmt: skip
        rows = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts, rows)
    score = Scorer(replace(against, parts=()), tuple(metrics), ERAS_A_CHUNK)
    return rows.repartition("chunk").sortWithinPartitions("chunk", "era").mapInArrow(score, SCORES)


def _chunk() -> Column:
    return F.floor(F.col("era") / ERAS_A_CHUNK).cast("int")


def _chunks(compared: bool) -> Column:
    """The chunks that a row goes to: where eras are compared, the last of a chunk goes to the next one as well."""
    if not compared:
        return _chunk()
    is_last = F.pmod(F.col("era"), F.lit(ERAS_A_CHUNK)) == ERAS_A_CHUNK - 1
    return F.explode(F.when(is_last, F.array(_chunk(), _chunk() + 1)).otherwise(F.array(_chunk())))


def collected(scores: DataFrame) -> pd.DataFrame:
    """The rows of `score_eras` in pandas: folds x eras x models x metrics. InputError where a worker raised one."""
    try:
        return scores.toPandas()
    except PythonException as error:
        found = re.search(r"eraflow\.errors\.InputError: (.+)", str(error))
        if found is None:
            raise
        raise InputError(found[1]) from None


def unscored_eras(predictions: DataFrame) -> dict[str, list[int]]:
    """Model → its sorted eras that have predictions but no known target; models without such eras are left out."""
    eras = predictions.groupBy("model", "era").agg(F.max(F.expr(LABELLED)).alias("known")).where("not known")
    found: dict[str, list[int]] = {}
    for row in sorted(eras.select("model", "era").collect()):  # at most models x eras rows
        found.setdefault(row["model"], []).append(row["era"])
    return found
