"""What features paid: of each era their correlations with the target, and their mean correlations with each other.

One pass over whole eras, one era at a time in a worker's memory: rows x features as float, and where mutual
correlations are wanted one matrix of features² doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.models.levels import Eras, Levels, Matrix, Vector, centred, matrix
from eraflow.session import slots

MUTUAL_ERAS = 40  # spread over the eras at hand: mutual correlations hardly differ between them
MOST_TASKS = 8  # that hand back a matrix of features² each
_SCHEMA = "era int, feature int, amount array<double>"


@dataclass(frozen=True)
class Premia:
    """`correlations`: eras x features, with the target; `mutual`: features x features, mean over some eras.

    A feature that does not vary in an era has a correlation of 0 there.
    """

    eras: Eras
    correlations: Matrix
    mutual: Matrix


def premia(training: Training, eras: Sequence[int], mutual_eras: int = MUTUAL_ERAS) -> Premia:
    """The premia of the features in the labelled rows of `eras`; without `mutual_eras` their `mutual` is 0."""
    names, sampled = training.feature_names, set(_spread(eras, mutual_eras))
    rows = training.labelled(eras).select("id", "era", "features", F.col(training.target).alias("target"))
    tasks = min(MOST_TASKS, slots(rows.sparkSession), len(eras))
    ordered = rows.repartition(tasks, "era").sortWithinPartitions("era", "id").drop("id")
    found = ordered.mapInArrow(_pass(len(names), training.missing, sampled), _SCHEMA)
    by_era: dict[int, Vector] = {}
    mutual, counted = np.zeros((len(names), len(names))), 0
    # One row an era and, from each of MOST_TASKS tasks at most, one a feature; one partition is held at a time.
    for row in found.toLocalIterator():
        amount = np.array(row["amount"])
        if row["feature"] < 0:
            by_era[row["era"]] = amount
            counted += row["era"] in sampled
        else:
            mutual[row["feature"]] += amount
    if not by_era:
        raise InputError(
            f"model: no row of eras {eras[0]} to {eras[-1]} has a known {training.target}; give a longer history."
        )
    order = sorted(by_era)
    return Premia(np.array(order), np.stack([by_era[era] for era in order]), mutual / max(1, counted))


def standardised(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Columns of mean 0 and length 1; 0 where a column does not vary."""
    out: npt.NDArray[np.float32] = values - values.mean(axis=0)
    length = np.linalg.norm(out, axis=0)
    out /= np.where(length > 1e-6 * np.sqrt(len(values)), length, np.inf)
    return out


def _spread(eras: Sequence[int], count: int) -> list[int]:
    places = np.linspace(0, len(eras) - 1, min(count, len(eras))).round().astype(int)
    return [eras[place] for place in places]


def _pass(
    width: int, missing: int, sampled: set[int]
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total: Matrix | None = None
        for era, levels, target in _whole_eras(batches, width):
            values = standardised(centred(levels, missing))
            aim = standardised(target.astype(np.float32)[:, None])[:, 0]
            yield _out([era], [-1], [(aim @ values).astype(np.float64)])
            if era in sampled:
                products = (values.T @ values).astype(np.float64)
                total = products if total is None else total + products
        if total is not None:
            yield _out([-1] * len(total), list(range(len(total))), list(total))

    return make


def _whole_eras(batches: Iterable[pa.RecordBatch], width: int) -> Iterator[tuple[int, Levels, Vector]]:
    """Rows that are sorted by era, era by era."""
    held: list[tuple[int, Levels, Vector]] = []
    for batch in batches:
        eras = batch.column("era").to_numpy(zero_copy_only=False)
        levels, target = matrix(batch.column("features"), width), batch.column("target").to_numpy(zero_copy_only=False)
        cuts = [0, *(np.flatnonzero(np.diff(eras)) + 1), len(eras)]
        for begin, end in pairwise(cuts):
            if held and held[-1][0] != eras[begin]:
                yield _joined(held)
                held = []
            held.append((int(eras[begin]), levels[begin:end], target[begin:end]))
    if held:
        yield _joined(held)


def _joined(parts: Sequence[tuple[int, Levels, Vector]]) -> tuple[int, Levels, Vector]:
    return parts[0][0], np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


def _out(eras: Sequence[int], features: Sequence[int], amounts: Sequence[Vector]) -> pa.RecordBatch:
    kinds = (pa.int32(), pa.int32(), pa.list_(pa.float64()))
    columns = [pa.array(part, kind) for part, kind in zip((eras, features, amounts), kinds, strict=True)]
    return pa.record_batch(columns, names=["era", "feature", "amount"])
