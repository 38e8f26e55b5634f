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

from eraflow.batches import groups
from eraflow.ensembles.neutral import Levels, Matrix, filled, neutral
from eraflow.errors import InputError

PREDICTIONS = {
    "id": "string", "era": "int", "fold": "int", "model": "string", "prediction": "double", "target": "float",
}  # fmt: skip


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
        for era in _eras(batches, width):
            columns = filled(era.levels[:, places], missing)
            yield era.with_predictions(neutral(era.predictions, columns, proportion, riskiest))

    return _together(predictions, features).mapInArrow(make, ", ".join(f"{k} {v}" for k, v in PREDICTIONS.items()))


@dataclass(frozen=True)
class _Era:
    """All rows of one era: `levels` rows x features sorted by id, `predictions` rows x `columns` (model, fold).

    `rows` are the rows of predictions as they came, each with its place and its column.
    """

    levels: Levels
    columns: tuple[tuple[str, int], ...]
    predictions: Matrix
    rows: pa.Table
    place: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]

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


def _eras(batches: Iterable[pa.RecordBatch], width: int) -> Iterator[_Era]:
    """Every era with predictions, from batches in which eras follow each other."""
    for rows in groups(batches, "era"):
        yield from _era(pa.Table.from_batches([rows]), width)


def _era(rows: pa.Table, width: int) -> Iterator[_Era]:
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
        of_model = column == at
        if of_model.sum() != len(wide) or (place[of_model] < 0).any() or np.isnan(predictions[:, at]).any():
            raise InputError(
                f"{where}, fold {fold}: {model} does not predict each of the {len(wide)} rows of the training table "
                "once; neutralise models that do."
            )
    yield _Era(levels, columns, predictions, narrow, place, column)
