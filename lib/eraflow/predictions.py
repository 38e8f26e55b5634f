"""Frames of predictions, as the parts of a run hand them on: `id, era, fold, model, prediction, target`."""

from __future__ import annotations

from collections.abc import Collection

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F


def of_models(predictions: DataFrame, models: Collection[str]) -> DataFrame:
    """The rows of these models."""
    return predictions.where(F.col("model").isin(list(models)))


def of_eras(rows: DataFrame, eras: Collection[int]) -> DataFrame:
    """The rows of these eras, of any frame that has `era`.

    The condition is SQL text: as Column objects each of some hundred eras would be a call from Python into the JVM.
    """
    return rows.where(f"era IN ({', '.join(map(str, eras))})" if eras else F.lit(False))


def as_model(rows: DataFrame, model: str, fold: int | None = None) -> DataFrame:
    """The rows as those of one model, and of one fold where there is one."""
    return rows.withColumns({"model": F.lit(model), **({} if fold is None else {"fold": F.lit(fold)})})


def unlabelled(rows: DataFrame, fold: int) -> DataFrame:
    """The rows as those of a fold whose targets nobody knows."""
    return rows.withColumns({"fold": F.lit(fold), "target": F.lit(None).cast("float")})


def targets(predictions: DataFrame) -> DataFrame:
    """`id, era, fold, target` of the rows with a known target, each once, whichever models predict it."""
    labelled = predictions.where("target is not null and not isnan(target)")
    return labelled.groupBy("id", "era").agg(F.min("fold").alias("fold"), F.max("target").alias("target"))


def coverage(rows: DataFrame) -> list[Row]:
    """`era, ids, predicted, infinite` by era: rows, those with a prediction, and the id of an infinite one."""
    infinite = F.when(F.abs("prediction") == float("inf"), F.col("id"))
    counts = rows.groupBy("era").agg(
        F.count("*").alias("ids"), F.count("prediction").alias("predicted"), F.min(infinite).alias("infinite")
    )
    return counts.orderBy("era").collect()  # one row an era
