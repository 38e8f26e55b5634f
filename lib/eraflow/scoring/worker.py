"""Scores in a worker: sorted rows of Spark become eras, eras become scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eraflow.batches import groups
from eraflow.errors import InputError
from eraflow.scoring.era import Era, Levels, Mask, Matrix, filled, refuse_unpredicted
from eraflow.scoring.metrics import METRICS, Row, scores
from eraflow.scoring.references import References

SCORES = "model string, era int, fold int, metric string, value double, detail string"
SCHEMA = pa.schema(
    [("model", pa.string()), ("era", pa.int32()), ("fold", pa.int32()), ("metric", pa.string()),
     ("value", pa.float64()), ("detail", pa.string())]
)  # fmt: skip
ROWS_A_BATCH = 10_000

Run = tuple[str, int]  # model and fold
Place = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Predicted:
    """Predictions of an era: `values` ids x runs, NaN where a run has no such id; ids and runs are in order."""

    era: int
    ids: pa.Array
    runs: tuple[Run, ...]
    values: Matrix
    target: Matrix

    def of(self, ids: pa.Array, runs: tuple[Run, ...]) -> Matrix:
        """Its values in the places of these ids and runs."""
        found = np.full((len(ids), len(runs)), np.nan)
        place = _places(ids, self.ids)
        shared = place >= 0
        for at, run in enumerate(runs):
            if run in self.runs:
                found[shared, at] = self.values[place[shared], self.runs.index(run)]
        return found


@dataclass(frozen=True)
class Scorer:
    """Scores of all eras of a task; it goes to the workers, so that its references hold no frames.

    Rows are of predictions, or of references where they have no model. They come sorted by chunk, which is an era's
    number over `eras_a_chunk`, and by era. The first of a chunk may be the last era of the chunk before it: it is not
    scored, but compared with.
    """

    against: References
    metrics: tuple[str, ...]
    eras_a_chunk: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        before: Predicted | None = None
        held: list[tuple[Any, ...]] = []
        for rows in groups(batches, "chunk", "era"):
            chunk, era = rows.column("chunk")[0].as_py(), rows.column("era")[0].as_py()
            now = self._predicted(rows, era)
            if now is not None and chunk == era // self.eras_a_chunk:
                previous = before if before is not None and before.era == era - 1 else None
                held += [(now.runs[run][0], era, now.runs[run][1], *values) for run, *values in
                         self._scores(now, previous, rows)]  # fmt: skip
            before = now or before
            if len(held) >= ROWS_A_BATCH:
                yield _batch(held)
                held = []
        yield _batch(held)

    def _predicted(self, rows: pa.RecordBatch, era: int) -> Predicted | None:
        """The era's predictions, None where it has references only."""
        rows = rows.filter(pc.is_valid(rows.column("model")))
        if not rows.num_rows:
            return None
        runs, names = _runs(rows)
        values = rows.column("prediction").to_numpy(zero_copy_only=False)
        _refuse_unpredicted(values, runs, names, era)
        ids = pc.unique(rows.column("id"))
        ids = ids.take(pc.sort_indices(ids))
        place = _places(rows.column("id"), ids)
        cells = place * len(names) + runs
        if np.bincount(cells).max() > 1:
            raise InputError(
                f"era {era} of {_models(names)}: an id occurs twice among the predictions of one era; keep one row for "
                "each id"
            )
        wide = np.full(len(ids) * len(names), np.nan)
        wide[cells] = values
        target = np.full(len(ids), np.nan)
        target[place] = rows.column("target").to_numpy(zero_copy_only=False)
        return Predicted(era, ids, names, wide.reshape(len(ids), len(names)), target)

    def _scores(self, now: Predicted, before: Predicted | None, rows: pa.RecordBatch) -> list[Row]:
        previous = before.of(now.ids, now.runs) if before is not None else None
        metrics = {name: METRICS[name] for name in self.metrics}
        try:
            referred = self._referred(rows, now.ids) if self.against.columns else {}
            era = Era(tuple(range(len(now.runs))), now.values, now.target, previous=previous, **referred)
            return list(scores(era, metrics))
        except InputError as error:
            raise InputError(f"era {now.era} of {_models(now.runs)}: {error}") from error

    def _referred(self, rows: pa.RecordBatch, ids: pa.Array) -> dict[str, Any]:
        """The fields of `Era` that references hold of this era, by the place of their ids."""
        rows = rows.filter(pc.is_null(rows.column("model")))
        against, part = self.against, _Placed(rows, _places(rows.column("id"), ids), len(ids))
        found: dict[str, Any] = {
            "features": {
                name: Levels(filled(part.packed(chosen.column, np.int8(chosen.missing)), chosen.missing), chosen.names)
                for name, chosen in against.features.items()
                if part.has(chosen.column)
            },
            "benchmarks": {name: part.single(name) for name in against.benchmarks if part.has(name)},
        }
        for name in ("meta_model", "weights", "example"):
            column = getattr(against, name)
            if part.has(column):
                found[name] = part.single(str(column))
        if part.has(against.neutralizers):
            found["neutralizers"] = part.packed(str(against.neutralizers), np.float64(np.nan))
        return found


@dataclass(frozen=True)
class _Placed:
    """References of an era: of each row the place of its id among the era's (-1: it is not there), `size` of them."""

    rows: pa.RecordBatch
    place: Place
    size: int

    def has(self, column: str | None) -> bool:
        """Whether the column is known for any row of the era."""
        if column is None:
            return False
        return bool(_is_observed(self.rows.column(column)).any())

    def single(self, column: str) -> Matrix:
        """A number each, NaN where it is not known."""
        at, values = self._observed(column)
        found = np.full(self.size, np.nan)
        found[at] = values.to_numpy(zero_copy_only=False)
        return found

    def packed(self, column: str, missing: np.int8 | np.float64) -> npt.NDArray[Any]:
        """Rows of arrays as one matrix, `missing` where there is none."""
        at, values = self._observed(column)
        width = pc.list_value_length(self.rows.column(column).drop_null())[0].as_py()
        if set(pc.unique(pc.list_value_length(values)).to_pylist()) - {width}:
            raise InputError(f"rows do not have {width} values of {column!r} each; make all of one length")
        matrix = np.full((self.size, width), missing)
        matrix[at] = values.flatten().to_numpy(zero_copy_only=False).reshape(len(at), width)
        return matrix

    def _observed(self, column: str) -> tuple[Place, pa.Array]:
        values = self.rows.column(column)
        is_observed = (self.place >= 0) & _is_observed(values)
        at = self.place[is_observed]
        if len(at) and np.bincount(at).max() > 1:
            raise InputError(f"an id has two rows with {column!r}; keep one")
        return at, values.filter(pa.array(is_observed))


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ((),) * len(SCHEMA)
    return pa.record_batch(
        [pa.array(list(values), kind) for values, kind in zip(columns, SCHEMA.types, strict=True)], SCHEMA
    )


def _is_observed(values: pa.Array) -> Mask:
    is_number = pa.types.is_floating(values.type)
    found: Mask = ~pc.is_null(values, nan_is_null=is_number).to_numpy(zero_copy_only=False)
    return found


def _places(values: pa.Array, among: pa.Array) -> Place:
    """Of each value its place among others, -1 where it is none of them."""
    found: Place = pc.fill_null(pc.index_in(values, among), -1).to_numpy().astype(np.intp)
    return found


def _runs(rows: pa.RecordBatch) -> tuple[Place, tuple[Run, ...]]:
    """Of each row its place in the sorted list of models and folds, and that list."""
    coded, folds = rows.column("model").dictionary_encode(), rows.column("fold").to_numpy()
    names, order = np.unique(coded.dictionary.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    numbers, fold = np.unique(folds, return_inverse=True)
    keys, place = np.unique(order[coded.indices.to_numpy()] * len(numbers) + fold, return_inverse=True)
    runs = ((str(names[key // len(numbers)]), int(numbers[key % len(numbers)])) for key in keys.tolist())
    return place, tuple(runs)


def _models(runs: tuple[Run, ...]) -> str:
    return ", ".join(sorted({model for model, _ in runs}))


def _refuse_unpredicted(values: Matrix, runs: Place, names: tuple[Run, ...], era: int) -> None:
    missing = np.isnan(values)
    if missing.any():
        run = runs[missing][0]
        model, fold = names[run]
        try:
            refuse_unpredicted(int(missing[runs == run].sum()), int((runs == run).sum()))
        except InputError as error:
            raise InputError(f"model {model}, era {era}, fold {fold}: {error}") from None
