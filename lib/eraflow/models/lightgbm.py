"""Gradient boosting by LightGBM on packed levels: what is learned, and by which of two ways.

Where the values fit into one task, LightGBM's own library learns there (`lightgbm_alone`): SynapseML (`lightgbm_spark`)
spends seconds on each fit before it begins. Where they do not, SynapseML learns in all executors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.config.models import LightGbm
from eraflow.errors import InputError
from eraflow.models import lightgbm_alone, lightgbm_spark
from eraflow.models.base import Training
from eraflow.models.lightgbm_rows import Rows
from eraflow.models.trees import LightGbmTrees

ONE_TASK = 50_000_000  # values of 4 bytes in the worker that learns
# Fits of so many values at the most run side by side, by one thread each: of 28 million two at once take a fifth less
# than one after the other by two threads. Each holds its values while it learns.
SIDE_BY_SIDE = 30_000_000
MAX_RANKED = 10_000  # rows of an era: LightGBM has discounts for so many places
MAX_LABELS = 31  # levels of a target that LightGBM's ranking knows gains for


@dataclass(frozen=True)
class LightGbmModel:
    """LightGBM on packed levels: regression, or ranking of the rows of an era by the levels of their target."""

    config: LightGbm
    seed: int
    boosting: Literal["gbdt", "rf"] = "gbdt"

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> LightGbmTrees:
        """Fits on the rows of `eras` with a known target. InputError where there are too few of them.

        The order in which rows are read decides what is bagged: that of era and id where the table is in order, else
        that of its files. The same version of a table gives the same model to the byte. With `watched` eras, once no
        tree was better for so many rounds, those after the best one are not used; where that does not come all are.
        """
        rows = training.labelled(eras)
        count = rows.count()
        if count < 2 * self.config.min_data_in_leaf:
            raise InputError(
                f"model: {count} rows with a known {training.target} in eras {eras[0]} to {eras[-1]} are too few for "
                f"min_data_in_leaf={self.config.min_data_in_leaf}; lower it, or give a longer history."
            )
        if self.config.ranks:
            self._refuse_large_eras(rows, training.target)
        beside = training.rows(watched).where(F.col(training.target).isNotNull()) if watched else None
        beside_count = beside.count() if beside else 0
        if watched and not beside_count:
            raise InputError(
                f"model: no row of the watched eras {watched[0]} to {watched[-1]} has a known {training.target}; raise "
                "early_stopping_eras."
            )
        monotone, groups = self._constraints(training.feature_names)
        label = self._label(rows, training.target)
        weight = training.weight(eras) if training.half_life else None
        found = Rows(training, rows, count, label, weight, beside, watched)
        is_alone = self._is_alone((count + beside_count) * len(training.feature_names))
        learn = lightgbm_alone.learned if is_alone else lightgbm_spark.learned
        text, trees, is_whole = learn(self.config, self.boosting, self.seed, found, monotone, groups)
        if not is_whole:
            raise InputError(
                f"model: LightGBM stopped after {trees} of {self.config.trees} trees, as it does when no split is left "
                f"or an iteration fails; lower min_data_in_leaf={self.config.min_data_in_leaf}, or give more data."
            )
        return LightGbmTrees(text)

    def by_one_thread(self, values: int) -> bool:
        """Whether fits of so many values, in a task each, are best made side by side and by one thread."""
        return values <= SIDE_BY_SIDE and self._is_alone(values)

    def _is_alone(self, values: int) -> bool:
        """Whether one task learns from so many."""
        if self.config.engine == "auto":
            return values <= ONE_TASK
        return self.config.engine == "native"

    def _refuse_large_eras(self, rows: DataFrame, target: str) -> None:
        # One row.
        largest = rows.groupBy("era").count().orderBy(F.desc("count"), "era").first()
        if largest and largest["count"] > MAX_RANKED:
            raise InputError(
                f"model: era {largest['era']} has {largest['count']} rows with a known {target}, and LightGBM ranks no "
                f"more than {MAX_RANKED:,} against each other; lower sampling.rows, or choose objective=regression "
                f"instead of {self.config.objective}."
            )

    def _constraints(self, names: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """By feature 1 where predictions must rise with it, -1 fall; and the groups of places that may meet.

        InputError where there is no feature of a name.
        """
        place = {name: at for at, name in enumerate(names)}
        monotone, groups = self.config.monotone, self.config.interactions
        if unknown := [name for name in [*monotone, *chain.from_iterable(groups)] if name not in place]:
            raise InputError(
                f"model: monotone or interactions name {unknown[0]!r}, which is no feature here; mend the name."
            )
        signs = [monotone.get(name, 0) for name in names] if monotone else []
        if not groups:
            return signs, []
        # LightGBM uses no feature that is in no group: each of the others is a group of its own.
        alone = [(name,) for name in names if name not in set(chain.from_iterable(groups))]
        return signs, [[place[name] for name in group] for group in (*groups, *alone)]

    def _label(self, rows: DataFrame, target: str) -> Column:
        """The target, or for a ranking the place of its level among all levels, which must be few."""
        value = F.col(target).cast("double")
        if not self.config.ranks:
            return value
        # At most one row more than there may be levels.
        levels = [row[0] for row in rows.select(value).distinct().limit(MAX_LABELS + 1).collect()]
        if len(levels) > MAX_LABELS:
            raise InputError(
                f"model: {target} has more than {MAX_LABELS} levels, too many for objective={self.config.objective}; "
                "choose a binned target, or objective=regression."
            )
        # A level that only watched eras have is as good as the next lower one.
        return sum((F.when(value >= level, 1).otherwise(0) for level in sorted(levels)[1:]), F.lit(0)).cast("double")
