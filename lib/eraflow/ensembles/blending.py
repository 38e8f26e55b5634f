"""Blends in Spark: one grouped map over the rows of an era, for the moments that weights are fitted on and the sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from eraflow.ensembles.weights import Matrix, Moments, Vector, blend, era_moments
from eraflow.errors import InputError

KEY = ["era", "fold"]
BLEND = "id string, era int, fold int, prediction double, target float"


def moments(predictions: DataFrame, models: Sequence[str]) -> Moments:
    """What weights are fitted on, of every era with known targets.

    `predictions`: `id, era, fold, model, prediction, target`, out of fold, the target null or NaN where it is not
    known. An era in several folds gets the mean of theirs. InputError names a model that lacks rows of an era.
    """

    def make(rows: pd.DataFrame) -> pd.DataFrame:
        matrix, target, _ = _matrix(rows, models)
        found = era_moments(matrix, target)
        key = {name: int(rows[name].iloc[0]) for name in KEY}
        if found is None:
            return pd.DataFrame(columns=[*KEY, "gram", "target"])
        return pd.DataFrame([{**key, "gram": found[0].ravel(), "target": found[1]}])

    schema = "era int, fold int, gram array<double>, target array<double>"
    grouped = _of(predictions, models).groupBy(*KEY).applyInPandas(make, schema)
    # One row an era and fold, of the models' number squared.
    return _gathered(grouped.toPandas().sort_values(KEY), models)


def blended(predictions: DataFrame, models: Sequence[str], weights: Mapping[int, Vector]) -> DataFrame:
    """`id, era, fold, prediction, target`: every era's models blended by its weights (`weights.blend`).

    `predictions` as in `moments`; `weights` of each of its eras in the order of `models`. Ids of an era and fold are
    sorted.
    """

    def make(rows: pd.DataFrame) -> pd.DataFrame:
        matrix, target, ids = _matrix(rows, models)
        era, fold = (int(rows[name].iloc[0]) for name in KEY)
        if era not in weights:
            raise InputError(f"era {era} has predictions, but no weights to blend them by.")
        prediction = blend(matrix, weights[era])
        return pd.DataFrame({"id": ids, "era": era, "fold": fold, "prediction": prediction, "target": target})

    return _of(predictions, models).groupBy(*KEY).applyInPandas(make, BLEND)


def _of(predictions: DataFrame, models: Sequence[str]) -> DataFrame:
    if len(set(models)) < len(models) or not models:
        raise InputError(f"an ensemble needs models, each named once; given: {', '.join(models) or 'none'}.")
    columns = predictions.select("id", *KEY, "model", "prediction", "target")
    return columns.where(columns["model"].isin(list(models)))


def _matrix(rows: pd.DataFrame, models: Sequence[str]) -> tuple[Matrix, Vector, pd.Index]:
    """Predictions as rows x models, the target, and the ids, sorted: the sums must not depend on Spark's order."""
    where = f"era {rows['era'].iloc[0]}, fold {rows['fold'].iloc[0]}"
    if rows.duplicated(["id", "model"]).any():
        raise InputError(f"{where}: an id occurs twice among the predictions of one model; keep one row for each id.")
    wide = rows.pivot(index="id", columns="model", values="prediction").reindex(columns=list(models))
    lacking = wide.isna().sum()
    if lacking.any():
        raise InputError(
            f"{where}: {lacking.max()} of {len(wide)} rows have no prediction by {lacking.idxmax()}; blend models "
            "that predict the same rows."
        )
    target = rows.groupby("id")["target"].first().reindex(wide.index)
    return wide.to_numpy(dtype=np.float64), target.to_numpy(dtype=np.float64), wide.index


def _gathered(rows: pd.DataFrame, models: Sequence[str]) -> Moments:
    size = len(models)
    eras = np.unique(rows["era"].to_numpy(dtype=np.int64))
    by_era = [rows[rows["era"] == era] for era in eras]

    def mean_over_folds(name: str) -> Vector:
        return np.array([np.mean(np.stack(part[name]), axis=0) for part in by_era], dtype=np.float64)

    gram = mean_over_folds("gram").reshape(len(eras), size, size)
    return Moments(tuple(models), eras, gram, mean_over_folds("target").reshape(len(eras), size))
