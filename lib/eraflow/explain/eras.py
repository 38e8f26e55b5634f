"""What each column adds, era by era: one pass over the rows of a fold, all its models side by side.

A worker holds an era's rows as they are packed, and the contributions of at most VALUES_AT_ONCE of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame

from eraflow.batches import groups, lists
from eraflow.explain.additive import Additive
from eraflow.models.levels import Eras, Levels, Matrix, Vector, centred, matrix
from eraflow.scoring.steps import correlation, ranked
from eraflow.session import slots

VALUES_AT_ONCE = 8_000_000  # contributions: 64 MB, and as much again while they are summed up
SAMPLED_ROWS = 24  # of an era, where each row takes hundreds of predictions
STATISTICS = SIZE, DIRECTION, EARNED, GROUPS, ERROR, FIDELITY = (
    "size",
    "direction",
    "earned",
    "groups",
    "error",
    "fidelity",
)
SCHEMA = "model string, era int, rows int, statistic string, amount array<double>"

Members = npt.NDArray[np.float64]  # columns x groups, 1 where a column is in a group


@dataclass(frozen=True)
class Measures:
    """Of a model what each era says of each of `names`, eras x names, and of each of `groups`.

    size: mean |contribution|. direction: covariance of contribution and level over the level's deviation: above 0 where
    more of it raises predictions; in the unit of the sum that is explained, as size. earned: covariance of contribution
    and target over both their deviations, so that an era's add up to the correlation of the explained sum with the
    target; NaN where no target is known. grouped: mean |sum of a group's contributions|. error: the root of the mean
    squared standard error of a contribution, 0 where they are exact. fidelity: rank correlation of the explained sum
    with what the model predicts, 1 where it is that itself.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    eras: Eras
    size: Matrix
    direction: Matrix
    earned: Matrix
    grouped: Matrix
    error: Matrix
    fidelity: Vector


def measured(
    rows: DataFrame, models: Mapping[str, Additive], grouping: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, Measures]:
    """By model the measures of `id, era, features, target` rows; `grouping` names groups of its columns by model."""
    members = {name: members_of(one.names, grouping[name]) for name, one in models.items()}
    ordered = rows.repartition(2 * slots(rows.sparkSession), "era").sortWithinPartitions("era", "id")
    found = ordered.select("era", "features", "target").mapInArrow(_worker(models, members), SCHEMA)
    table = found.toPandas()  # models x eras x statistics rows
    return {name: _collected(table, name, one.names, tuple(grouping[name])) for name, one in models.items()}


def of_era(model: Additive, members: Members, levels: Levels, eras: Eras, target: Vector) -> dict[str, Vector]:
    """The statistics of one era's rows; of a model that is sampled those of some rows, before anything is taken off."""
    if model.is_sampled and not model.reads_whole_eras and len(levels) > SAMPLED_ROWS:
        sampled = np.linspace(0, len(levels) - 1, SAMPLED_ROWS).round().astype(int)
        levels, eras, target = levels[sampled], eras[sampled], target[sampled]
    labelled = ~np.isnan(target)
    aim = np.where(labelled, target - (target[labelled].mean() if labelled.any() else 0.0), 0.0)
    sums = {name: np.zeros(len(model.names)) for name in (SIZE, DIRECTION, EARNED, ERROR)} | {
        GROUPS: np.zeros(members.shape[1])
    }
    read = centred(model.levels(levels, eras), model.missing).astype(np.float64)
    middle, deviation = read.mean(axis=0), read.std(axis=0)
    total = np.empty(len(levels))
    at_once = (
        len(levels) if model.is_neutral or model.is_sampled else max(1, VALUES_AT_ONCE // max(1, len(model.names)))
    )
    for begin in range(0, len(levels), at_once):
        part = slice(begin, begin + at_once)
        if model.is_sampled:
            values, errors = model.with_errors(levels[part], eras[part])
            sums[ERROR] += (errors**2).sum(axis=0)
        else:
            values = model.contributions(levels[part], eras[part])
        total[part] = values.sum(axis=1)
        sums[SIZE] += np.abs(values).sum(axis=0)
        sums[DIRECTION] += np.einsum("ij,ij->j", values, read[part] - middle)
        sums[EARNED] += aim[part] @ values
        sums[GROUPS] += np.abs(values @ members).sum(axis=0)
    count, scored = len(levels), max(1, int(labelled.sum()))
    spread = total[labelled].std() * target[labelled].std() if labelled.any() else 0.0
    return {
        SIZE: sums[SIZE] / count,
        DIRECTION: sums[DIRECTION] / count / np.where(deviation > 0, deviation, np.inf),
        EARNED: sums[EARNED] / scored / spread if spread > 0 else np.full(len(model.names), np.nan),
        GROUPS: sums[GROUPS] / count,
        ERROR: np.sqrt(sums[ERROR] / count),
        FIDELITY: np.array([_fidelity(model, total, levels, eras)]),
    }


def _fidelity(model: Additive, total: Vector, levels: Levels, eras: Eras) -> float:
    if model.is_exact or len(total) < 2:
        return 1.0
    columns = np.column_stack([total, model.predictions(levels, eras)])
    return float(np.nan_to_num(correlation(ranked(columns[:, :1])[:, 0], ranked(columns[:, 1:]))[0]))


def _worker(
    models: Mapping[str, Additive], members: Mapping[str, Members]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in groups(batches, "era"):
            features = rows.column("features")
            levels = matrix(features, len(features[0]))  # of as many weeks as the models read
            eras = rows.column("era").to_numpy(zero_copy_only=False).astype(np.int64)
            target = rows.column("target").to_numpy(zero_copy_only=False).astype(np.float64)
            for name, model in models.items():
                found = of_era(model, members[name], levels, eras, target)
                for statistic, amount in found.items():
                    columns = [[name], [int(eras[0])], [len(eras)], [statistic]]
                    kinds = (pa.string(), pa.int32(), pa.int32(), pa.string())
                    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
                    yield pa.record_batch([*arrays, lists(amount[None, :])], SCHEMA_NAMES)

    return make


SCHEMA_NAMES = [part.split()[0] for part in SCHEMA.split(", ")]


def members_of(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Members:
    """Columns x groups: 1 where a column is of the group."""
    place = {name: at for at, name in enumerate(names)}
    out = np.zeros((len(names), len(groups)))
    for number, held in enumerate(groups.values()):
        out[[place[name] for name in held if name in place], number] = 1.0
    return out


def _collected(rows: pd.DataFrame, name: str, names: tuple[str, ...], groups: tuple[str, ...]) -> Measures:
    of_model = rows[rows["model"] == name].sort_values("era")
    held = dict(iter(of_model.groupby("statistic")))

    def stacked(statistic: str) -> Matrix:
        return np.stack(held[statistic]["amount"].tolist())

    eras = held[SIZE]["era"].to_numpy(dtype=np.int64)
    return Measures(
        names,
        groups,
        eras,
        stacked(SIZE),
        stacked(DIRECTION),
        stacked(EARNED),
        stacked(GROUPS),
        stacked(ERROR),
        stacked(FIDELITY)[:, 0],
    )
