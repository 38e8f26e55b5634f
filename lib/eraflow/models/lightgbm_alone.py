"""LightGBM trained by its own library, in one task that reads all rows: nothing is faster where they fit there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import functions as F

from eraflow.config.models import LightGbm
from eraflow.features.packing import of_width
from eraflow.models.lightgbm_rows import LEVELS, MAX_BIN, Rows
from eraflow.session import fixed_partitions, threads

SCHEMA = "text string, trees int, whole boolean"
# Threads meet some hundred times a tree. Over fewer values than these a second one gains a quarter at the best, and
# beside other work it can cost many times the whole.
ONE_THREAD = 10_000_000


def learned(
    config: LightGbm, boosting: str, seed: int, rows: Rows, monotone: Sequence[int], groups: Sequence[Sequence[int]]
) -> tuple[str, int, bool]:
    """LightGBM's text of the model, its number of trees, and whether it has all that it should.

    `monotone` is a sign a feature, or empty; of the features only those of one of the `groups` meet in a branch.
    """
    training = rows.training
    width = len(training.feature_names)
    features = of_width(F.col("features"), width, F.col("features")).alias("features")
    weight = F.lit(1.0) if rows.weight is None else rows.weight
    frame = rows.learned.select("id", "era", features, rows.label.alias("label"), weight.alias("weight"))
    if rows.watched is not None:
        label = rows.label.alias("label")
        frame = frame.unionByName(rows.watched.select("id", "era", features, label, F.lit(1.0).alias("weight")))
    frame = frame.coalesce(1)  # in the order of the partitions
    if config.ranks:  # the rows of an era must stand side by side
        frame = frame.sortWithinPartitions("era", "id")
    is_many = rows.count * width >= ONE_THREAD
    count = threads(rows.learned.sparkSession) if training.alone and is_many else 1
    settings = _settings(config, boosting, seed, count, monotone, groups)
    learner = Learner(
        settings, config.trees, training.feature_names, training.missing, config.ranks, frozenset(rows.watched_eras),
        config.early_stopping_rounds, rows.weight is not None,
    )  # fmt: skip
    with fixed_partitions(frame.sparkSession):  # their order is that of the rows
        found = frame.drop("id").mapInArrow(learner, SCHEMA).collect()[0]  # one row, a model
    return found["text"], found["trees"], found["whole"]


def _settings(
    config: LightGbm, boosting: str, seed: int, threads: int, monotone: Sequence[int], groups: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """LightGBM's parameters."""
    found: dict[str, Any] = config.model_dump(
        include={"objective", "learning_rate", "max_depth", "num_leaves", "feature_fraction", "bagging_fraction",
                 "bagging_freq", "min_data_in_leaf"}
    )  # fmt: skip
    seeds = dict.fromkeys(("seed", "bagging_seed", "feature_fraction_seed", "objective_seed"), seed)
    found |= seeds | {"boosting": boosting, "num_threads": threads, "deterministic": True, "force_col_wise": True}
    if monotone:
        found["monotone_constraints"] = list(monotone)
    if groups:
        found["interaction_constraints"] = [list(group) for group in groups]
    return {**found, **_DATA_SET}


_DATA_SET: Mapping[str, Any] = {"max_bin": MAX_BIN, "min_data_in_bin": 1, "feature_pre_filter": False, "verbosity": -1}


@dataclass(frozen=True)
class Learner:
    """Learns in a worker of all rows that come to it; what comes out is one row, the model.

    `watched` are the eras that tell when to stop, by `patience` trees that are no better for them.
    """

    settings: Mapping[str, Any]
    trees: int
    names: tuple[str, ...]
    missing: int
    ranks: bool
    watched: frozenset[int]
    patience: int
    weighs: bool

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [self._read(batch) for batch in batches if batch.num_rows]
        levels, eras, labels, weights = (np.concatenate(part) for part in zip(*held, strict=True))
        held.clear()
        is_watched = np.isin(eras, list(self.watched))
        data = self._data_set(levels, eras, labels, weights, ~is_watched)
        beside: list[lightgbm.Dataset] = []
        callbacks: list[Callable[..., Any]] = []
        if is_watched.any():
            beside = [self._data_set(levels, eras, labels, weights, is_watched)]
            callbacks = [lightgbm.early_stopping(self.patience, verbose=False)]
        del levels
        booster = lightgbm.train(
            dict(self.settings), data, self.trees, beside, callbacks=callbacks,
            keep_training_booster=True,  # else it forgets the trees after the best one, and how many there were
        )  # fmt: skip
        grown, best = booster.num_trees(), booster.best_iteration
        stopped = is_watched.any() and grown < self.trees
        # Where no split is left LightGBM grows no more trees, and says nothing.
        whole = grown == (best + self.patience if stopped else self.trees)
        text = booster.model_to_string(num_iteration=best if stopped else -1)
        found = {"text": pa.array([text]), "trees": pa.array([best if stopped else grown], pa.int32())}
        yield pa.record_batch(found | {"whole": pa.array([bool(whole)])})

    def _read(self, batch: pa.RecordBatch) -> tuple[npt.NDArray[Any], ...]:
        """Levels, rows x features, with the rows' eras, labels and weights."""
        levels = batch.column("features").flatten().to_numpy(zero_copy_only=False)
        return (
            levels.reshape(batch.num_rows, len(self.names)),
            *(batch.column(name).to_numpy() for name in ("era", "label", "weight")),
        )

    def _data_set(
        self, levels: npt.NDArray[Any], eras: npt.NDArray[Any], labels: npt.NDArray[Any], weights: npt.NDArray[Any],
        taken: npt.NDArray[np.bool_],
    ) -> lightgbm.Dataset:  # fmt: skip
        """Some of the rows, in bins of a level each and one for missing, whatever levels the rows have."""
        every = taken.all()
        levels = levels if every else levels[taken]
        values = levels.astype(np.float32)
        values[levels == self.missing] = np.nan
        sizes = np.unique(eras[taken], return_counts=True)[1] if self.ranks else None
        return lightgbm.Dataset(
            values,
            labels if every else labels[taken],
            reference=self._bins(),
            weight=(weights if every else weights[taken]) if self.weighs else None,
            group=sizes,
            feature_name=list(self.names),
            params=dict(_DATA_SET),
        )

    def _bins(self) -> lightgbm.Dataset:
        kinds = np.array([np.nan, *range(LEVELS)], dtype=np.float32)
        rows = np.repeat(kinds, 2)[:, None].repeat(len(self.names), axis=1)
        return lightgbm.Dataset(rows, np.zeros(len(rows)), feature_name=list(self.names), params=dict(_DATA_SET))
