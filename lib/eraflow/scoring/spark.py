"""Scores on Spark: one grouped map over eras, in which all models of an era are scored at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.errors import PythonException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.scoring.era import EraRows, filled, refuse_unpredicted
from eraflow.scoring.metrics import METRICS, score_era

KNOWN = "target is not null and not isnan(target)"
SCORES = "model string, era int, fold int, metric string, value double, detail string"

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FeatureSet:
    """Features of a packed column `array<tinyint>`, in its order, and the level that stands for a missing one."""

    column: str
    names: tuple[str, ...]
    missing: int


@dataclass(frozen=True)
class References:
    """What predictions are held against beside the target: of each kind the columns of `parts` that hold it.

    Each part has `id, era` and some of these columns, a row an id at most; a column is of one part. What a part does
    not have is unknown. Columns that no field names are not read.
    """

    parts: tuple[DataFrame, ...] = ()
    meta_model: str | None = None
    benchmarks: tuple[str, ...] = ()
    features: Mapping[str, FeatureSet] = field(default_factory=dict)  # by the name of the set
    neutralizers: str | None = None  # array<float>
    weights: str | None = None
    example: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        single = (self.meta_model, self.neutralizers, self.weights, self.example)
        return (*filter(None, single), *self.benchmarks, *(one.column for one in self.features.values()))

    def needed_by(self, metrics: Sequence[str]) -> References:
        """Without what none of the metrics needs."""
        needed = {part for name in metrics for part in METRICS[name].needs}
        return References(
            self.parts,
            self.meta_model if "meta_model" in needed else None,
            self.benchmarks if "benchmarks" in needed else (),
            self.features if "features" in needed else {},
            self.neutralizers if "neutralizers" in needed else None,
            self.weights if "weights" in needed else None,
            self.example if "example" in needed else None,
        )


def available(references: References, asset: str | None) -> tuple[str, ...]:
    """The names of what `score_eras` can say with these references; of a small era or an unknown part it says less."""
    there = {"previous": asset is not None}
    metrics = (one for one in METRICS.values() if all(there.get(x) or getattr(references, x, None) for x in one.needs))
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

    Parameters
    ----------
    predictions : `id string, era int, fold int, model string, prediction double, target float`, the target null or NaN
        where it is not known yet. An era without any known target gives no row; value and detail as in `score_era`.
    references : without them, the metrics that need none.
    asset : SQL expression of `id` for what is the same in all eras (a ticker). With it churn and turnover are measured
        between eras whose numbers follow each other, within a fold.
    metrics : names of METRICS. What none of these needs is not read.

    A Python worker holds one era at a time, with all its models and references.
    """
    against = (references or References()).needed_by(metrics)
    rows = predictions.select(
        F.expr(asset or "id").alias("id"), "era", "fold", "model", F.col("prediction").cast("double"), "target",
        F.lit(False).alias("previous"),
    ).where(KNOWN)  # fmt: skip
    if asset:
        rows = rows.unionByName(rows.withColumns({"era": F.col("era") + 1, "previous": F.lit(True)}))
    score = _Scorer(replace(against, parts=()), tuple(metrics))
    if not against.columns:
        return rows.groupBy("era").applyInPandas(lambda own: score(own, None), SCORES)
    eras = F.broadcast(predictions.select("era").distinct())
    parts = [
        part.select(F.expr(asset or "id").alias("id"), "era", *own).join(eras, on="era", how="left_semi")
        for part in against.parts
        if (own := [name for name in part.columns if name in against.columns])
    ]
    together = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts)
    return rows.groupBy("era").cogroup(together.groupBy("era")).applyInPandas(lambda own, its: score(own, its), SCORES)


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
    eras = predictions.groupBy("model", "era").agg(F.max(F.expr(KNOWN)).alias("known")).where("not known")
    found: dict[str, list[int]] = {}
    for row in sorted(eras.select("model", "era").collect()):  # at most models x eras rows
        found.setdefault(row["model"], []).append(row["era"])
    return found


@dataclass(frozen=True)
class _Scorer:
    """Scores an era from its rows and references, in any order; it goes to the workers, so it holds no frames."""

    against: References
    metrics: tuple[str, ...]

    def __call__(self, rows: pd.DataFrame, references: pd.DataFrame | None) -> pd.DataFrame:
        if rows["previous"].all():  # no prediction of the era itself
            return pd.DataFrame(columns=["model", "era", "fold", "metric", "value", "detail"])
        era = int(rows["era"].iloc[0])
        _refuse_unpredicted(rows[~rows["previous"]], era)
        runs, keys = _runs(rows)
        try:
            scored = score_era(
                self._era_rows(rows, runs, len(keys), references), {name: METRICS[name] for name in self.metrics}
            )
        except InputError as error:
            models = ", ".join(sorted({model for model, _ in keys}))
            raise InputError(f"era {era} of {models}: {error}") from error
        named = pd.DataFrame([keys[run] for run in scored["model"]], columns=["model", "fold"])
        return pd.concat([named, scored[["metric", "value", "detail"]]], axis=1).assign(era=era)

    def _era_rows(self, rows: pd.DataFrame, runs: Array, width: int, references: pd.DataFrame | None) -> EraRows:
        """Ids are put in order once: from here on rows are numbers, and so are models and folds (`runs`)."""
        place, ids = pd.factorize(rows["id"].to_numpy(), sort=True)
        previous, values = rows["previous"].to_numpy(dtype=bool), rows["prediction"].to_numpy()
        now, before = (
            _wide(values[part], place[part], runs[part], (len(ids), width)) for part in (~previous, previous)
        )
        target = np.full(len(ids), np.nan)
        target[place[~previous]] = rows["target"].to_numpy(dtype=float)[~previous]
        return EraRows(
            pd.DataFrame(now),
            pd.Series(target),
            previous=pd.DataFrame(before if previous.any() else None),
            **self._referred(references, ids),
        )

    def _referred(self, references: pd.DataFrame | None, ids: Array) -> dict[str, Any]:
        """The fields of `EraRows` that references hold of this era, by the place of their ids."""
        if references is None or references.empty:
            return {}
        against, there = (
            self.against,
            _Placed(references, pd.Index(ids).get_indexer(pd.Index(references["id"])), len(ids)),
        )
        found: dict[str, Any] = {
            "features": {
                name: filled(there.packed(part.column, np.int8(part.missing)), part.missing, part.names)
                for name, part in against.features.items()
                if there.has(part.column)
            },
            "benchmarks": pd.DataFrame({name: there.single(name) for name in against.benchmarks if there.has(name)}),
        }
        for name in ("meta_model", "weights", "example"):
            column = getattr(against, name)
            if there.has(column):
                found[name] = there.single(str(column))
        if there.has(against.neutralizers):
            found["neutralizers"] = pd.DataFrame(there.packed(str(against.neutralizers), np.nan))
        return found


@dataclass(frozen=True)
class _Placed:
    """References of an era: of each row the place of its id among the era's (-1: it is not there), `size` of them."""

    rows: pd.DataFrame
    place: Array
    size: int

    def has(self, column: str | None) -> bool:
        """Whether the column is known for any row of the era."""
        return column is not None and bool(self.rows[column].notna().any())

    def single(self, column: str) -> pd.Series:
        """A number each, NaN where it is not known."""
        at, values = self._known(column)
        return pd.Series(values.to_numpy(dtype=float), index=at).reindex(range(self.size))

    def packed(self, column: str, missing: Any) -> Array:
        """Rows of arrays as one matrix, `missing` where there is none."""
        at, values = self._known(column)
        arrays = np.stack(list(values)) if len(at) else np.full((0, len(self.rows[column].dropna().iloc[0])), missing)
        matrix = np.full((self.size, arrays.shape[1]), missing)
        matrix[at] = arrays
        return matrix

    def _known(self, column: str) -> tuple[Array, pd.Series]:
        there = (self.place >= 0) & self.rows[column].notna().to_numpy()
        if len(np.unique(self.place[there])) < there.sum():
            raise InputError(f"an id has two rows with {column!r}; keep one")
        return self.place[there], self.rows[column][there]


def _refuse_unpredicted(rows: pd.DataFrame, era: int) -> None:
    missing = rows["prediction"].isna()
    if missing.any():
        model, fold = rows.loc[missing, ["model", "fold"]].iloc[0]
        own = missing[(rows["model"] == model) & (rows["fold"] == fold)]
        try:
            refuse_unpredicted(int(own.sum()), len(own))
        except InputError as error:
            raise InputError(f"model {model}, era {era}, fold {fold}: {error}") from None


def _runs(rows: pd.DataFrame) -> tuple[Array, list[tuple[str, int]]]:
    """Of each row its place in the sorted list of models and folds, and that list."""
    models, names = pd.factorize(rows["model"].to_numpy(), sort=True)
    folds, numbers = pd.factorize(rows["fold"].to_numpy(), sort=True)
    runs, there = pd.factorize(models * len(numbers) + folds, sort=True)
    return runs, [(str(names[run // len(numbers)]), int(numbers[run % len(numbers)])) for run in there]


def _wide(values: Array, place: Array, runs: Array, shape: tuple[int, int]) -> Array:
    """Ids by runs; NaN where a run has no such id."""
    cells = place * shape[1] + runs
    if len(cells) and np.bincount(cells).max() > 1:
        raise InputError("an id occurs twice among the predictions of one era; keep one row for each id")
    wide = np.full(shape[0] * shape[1], np.nan)
    wide[cells] = values
    return wide.reshape(shape)
