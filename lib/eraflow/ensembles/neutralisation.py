"""Predictions freed, era by era, of what features explain of them linearly.

One exchange brings the rows of an era together, packed features and predictions alike, and one pass of Python over
Arrow batches solves era after era: no join of wide rows, and no more than an era and a batch in a worker's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpstrf

from eraflow.batches import groups
from eraflow.errors import InputError

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]

# Of a feature's scaled variance: what is less after the features before it is taken for a sum of those.
INDEPENDENT = 1e-10
NOTHING = 1e-10  # what is below this share of the whole is rounding
PREDICTIONS = {
    "id": "string", "era": "int", "fold": "int", "model": "string", "prediction": "double", "target": "float",
}  # fmt: skip


def neutral_to(predictions: Matrix, features: Matrix, proportion: float = 1.0) -> Matrix:
    """p - proportion F F⁺p, F with a column of ones: numerai-tools' `neutralize` of one era.

    Predictions are rows x models, features rows x features. Solved by the normal equations of the centred features,
    with pivots, so that features which repeat others or are constant do no harm; a second step takes off what the first
    left by rounding. The residual is 0 where the features explain all, as they do with fewer rows than features.
    """
    start = predictions - predictions.mean(axis=0)
    rest = _residual(start, _unit(features))
    rest = np.where(np.abs(rest).max(axis=0) <= NOTHING * np.abs(start).max(axis=0), 0.0, rest)
    return predictions - proportion * (predictions - rest)


def exposures(predictions: Matrix, features: Matrix) -> Matrix:
    """Models x features: the correlation of each model's predictions with each feature; 0 where one is constant."""
    return np.asarray(_unit(predictions).T @ _unit(features), dtype=np.float64)


@dataclass(frozen=True)
class Features:
    """What to be neutral to: `table` holds `id, era, features array<tinyint>`, whose elements are `names` in order.

    `missing` is the level that stands for an unknown value; it counts as the mean of the era's known ones.
    """

    table: DataFrame
    names: tuple[str, ...]
    missing: int

    def places(self, chosen: Sequence[str] | None) -> npt.NDArray[np.int64]:
        """Positions of the chosen features, of all where None. InputError names one that there is not."""
        if chosen is None:
            return np.arange(len(self.names))
        place = {name: at for at, name in enumerate(self.names)}
        if unknown := [name for name in chosen if name not in place]:
            raise InputError(
                f"neutralisation: there is no feature {unknown[0]!r} in the training table; choose others."
            )
        if not chosen:
            raise InputError("neutralisation: no features are chosen; name some, or leave the choice out for all.")
        return np.array([place[name] for name in chosen])


def neutralise(
    predictions: DataFrame,
    features: Features,
    proportion: float = 1.0,
    chosen: Sequence[str] | None = None,
    riskiest: int | None = None,
) -> DataFrame:
    """`id, era, fold, model, prediction, target` with every era's predictions neutral to its features (`neutral_to`).

    Parameters
    ----------
    predictions : `id string, era int, fold int, model string, prediction double, target float`. Each model and fold
        must predict every row that `features` has of the era, or InputError tells which does not. An era of `features`
        without predictions is moved for nothing.
    proportion : how much of what the features explain is taken off, 0 to 1.
    chosen : names of features; all where None.
    riskiest : of these take, era by era and for each model by itself, only so many that its predictions correlate with
        most; the earlier one of equals. No target has a say in it, so that it is known with the predictions.
    """
    if not 0.0 <= proportion <= 1.0:
        raise InputError(f"neutralisation: a proportion of {proportion} is not between 0 and 1.")
    places, missing, width = features.places(chosen), features.missing, len(features.names)

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for era in _eras(batches, missing, width):
            yield era.with_predictions(_neutral(era, era.features(places), proportion, riskiest))

    return _together(predictions, features).mapInArrow(make, ", ".join(f"{k} {v}" for k, v in PREDICTIONS.items()))


def _neutral(era: _Era, features: Matrix, proportion: float, riskiest: int | None) -> Matrix:
    if riskiest is None:
        return neutral_to(era.predictions, features, proportion)
    order = np.argsort(-np.abs(exposures(era.predictions, features)), axis=1, kind="stable")[:, :riskiest]
    columns = [neutral_to(era.predictions[:, [at]], features[:, own], proportion) for at, own in enumerate(order)]
    return np.hstack(columns)


@dataclass(frozen=True)
class _Era:
    """All rows of one era: `levels` rows x features sorted by id, `predictions` rows x `columns` (model, fold).

    `rows` are the rows of predictions as they came, each with its place and its column.
    """

    levels: Levels
    missing: int
    columns: tuple[tuple[str, int], ...]
    predictions: Matrix
    rows: pa.Table
    place: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]

    def features(self, places: npt.NDArray[np.int64]) -> Matrix:
        """Rows x some of the features; an unknown level is the mean of the feature's known ones, 0 if it has none."""
        chosen = self.levels[:, places]
        known = chosen != self.missing
        means = np.where(known, chosen, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return np.where(known, chosen, means)

    def with_predictions(self, predictions: Matrix) -> pa.RecordBatch:
        values = pa.array(predictions[self.place, self.column])
        at = self.rows.schema.get_field_index("prediction")
        replaced = self.rows.set_column(at, "prediction", values).select(list(PREDICTIONS))
        return replaced.combine_chunks().to_batches()[0]


def _together(predictions: DataFrame, features: Features) -> DataFrame:
    """Predictions and features one below the other, the rows of an era side by side in one partition."""
    wide = features.table.select(
        "id", "era", *(F.lit(None).cast(kind).alias(name) for name, kind in list(PREDICTIONS.items())[2:]), "features"
    )
    narrow = predictions.select(*PREDICTIONS, F.lit(None).cast("array<tinyint>").alias("features"))
    return narrow.unionByName(wide).repartition("era").sortWithinPartitions("era")


def _eras(batches: Iterable[pa.RecordBatch], missing: int, width: int) -> Iterator[_Era]:
    """Every era with predictions, from batches in which eras follow each other."""
    for rows in groups(batches, "era"):
        yield from _era(pa.Table.from_batches([rows]), missing, width)


def _era(rows: pa.Table, missing: int, width: int) -> Iterator[_Era]:
    """The era of these rows, or nothing where it has no predictions."""
    wide, narrow = (rows.filter(pc.is_valid(rows.column(name))) for name in ("features", "model"))
    if not len(narrow):
        return
    where = f"era {rows.column('era')[0]}"
    if not len(wide):
        raise InputError(f"{where} has predictions, but no rows in the training table; neutralise eras of the table.")
    wide = wide.take(pc.sort_indices(wide.column("id")))
    packed = wide.column("features").combine_chunks()
    if set(pc.unique(pc.list_value_length(packed)).to_pylist()) != {width}:
        raise InputError(f"{where}: rows do not have {width} features each; build the training table anew.")
    levels = packed.flatten().to_numpy().reshape(-1, width)
    keys = list(zip(*(narrow.column(name).to_pylist() for name in ("model", "fold")), strict=True))
    columns = tuple(sorted(set(keys)))
    number = {key: at for at, key in enumerate(columns)}
    column = np.array([number[key] for key in keys], dtype=np.int64)
    place = pc.fill_null(pc.index_in(narrow.column("id"), wide.column("id")), -1).to_numpy().astype(np.int64)
    predictions = np.full((len(wide), len(columns)), np.nan)
    predictions[place, column] = narrow.column("prediction").to_numpy()
    for at, (model, fold) in enumerate(columns):
        own = column == at
        if own.sum() != len(wide) or (place[own] < 0).any() or np.isnan(predictions[:, at]).any():
            raise InputError(
                f"{where}, fold {fold}: {model} does not predict each of the {len(wide)} rows of the training table "
                "once; neutralise models that do."
            )
    yield _Era(levels, missing, columns, predictions, narrow, place, column)


def _unit(columns: Matrix) -> Matrix:
    """Each column less its mean and with length 1; a constant column becomes 0."""
    unit: Matrix = columns - columns.mean(axis=0)
    length = np.sqrt(np.einsum("ij,ij->j", unit, unit))
    varied = length > NOTHING * np.abs(columns).max(initial=0.0)
    unit /= np.where(varied, length, 1.0)
    unit[:, ~varied] = 0.0
    return unit


def _residual(values: Matrix, features: Matrix) -> Matrix:
    """Values less their projection on the features, which are columns of `_unit`."""
    gram = features.T @ features
    factor, pivots, rank, _ = dpstrf(gram.T, tol=INDEPENDENT, lower=1, overwrite_a=1)
    kept = pivots[:rank] - 1
    rest = values
    for _ in range(2 if rank else 0):
        weights = np.zeros((features.shape[1], values.shape[1]))
        weights[kept] = cho_solve((factor[:rank, :rank], True), (features.T @ rest)[kept])
        rest = rest - features @ weights
    return rest
