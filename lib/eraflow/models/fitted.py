"""A model that has learned: members, each of steps and an estimator. It predicts rows of Spark or of pandas.

Nothing here needs Spark before a Spark frame is predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from eraflow.errors import InputError
from eraflow.models.levels import Eras, Levels, Vector
from eraflow.models.member import Member, Names, RowEstimator, by_era, mean_rank

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LEVELS = range(5)
LIVE = 10**6  # an era later than all


@dataclass(frozen=True)
class Fitted:
    """A model of one member or more, which count the same.

    `inputs` are the features of the rows that it predicts, in their order, and `missing` the level of an unknown value.
    `absent` is the level that a feature has throughout an era of raw files where the era does not have it: Classic's 2.
    `facts` are what its maker tells of it: settings, eras learned, versions of tables.
    """

    inputs: Names
    missing: int
    members: tuple[Member, ...]
    absent: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feature_names(self) -> Names:
        """Every feature that a member has learned from."""
        return tuple(dict.fromkeys(chain.from_iterable(one.feature_names(self.inputs) for one in self.members)))

    @property
    def target(self) -> str:
        """The targets of the members, each named once."""
        return ", ".join(dict.fromkeys(one.target for one in self.members))

    def predict(self, rows: DataFrame, history: DataFrame | None = None, carried: Sequence[str] = ()) -> DataFrame:
        """`id, era, prediction` of every row of `id, era, features`, and the columns that are `carried` along.

        `history` are the rows of the weeks before, and these: only models that follow tickers read it. InputError where
        it lacks for these. Targets differ in scale, so it is not the predictions of several members that are averaged:
        each is ranked within its era, and the ranks are made normal.
        """
        from eraflow.models.predicting import predicted  # needs Spark, which hosted models do not have

        return predicted(self.members, self.inputs, self.missing, rows, history, carried)

    def portable(self) -> Portable:
        """The model for frames of pandas. InputError where a member follows tickers through time."""
        for one in self.members:
            if not isinstance(one.estimator, RowEstimator):
                raise InputError(
                    "model: it follows tickers through time, which one frame of rows does not tell; predict in Spark."
                )
        return Portable(self.inputs, self.missing, self.absent, self._values)

    def _values(self, levels: Levels, eras: Eras) -> Vector:
        found = [one.values(levels, eras, self.missing) for one in self.members]
        if len(found) == 1:
            return found[0]
        return by_era(lambda rows: mean_rank(np.column_stack(found)[rows]), eras)

    def refuse_others(self, names: Sequence[str], where: str) -> None:
        """InputError where rows have other features than it was trained on, or in another order."""
        if tuple(names) == self.inputs:
            return
        unknown = next((name for name in self.inputs if name not in names), None)
        told = f"{unknown!r}, which the training table does not have" if unknown else "in another number or order"
        raise InputError(
            f"{where}: the model was trained on features {told}; predict with the table it was trained on."
        )


@dataclass(frozen=True)
class Portable:
    """A model as plain arithmetic: frames of pandas in, predictions out, without Spark."""

    names: Names
    missing: int
    absent: int | None
    values: Callable[[Levels, Eras], Vector]

    def predict(self, frame: pd.DataFrame) -> pd.Series:
        """A prediction a row, by the frame's index.

        The frame has a column `era` and one for each of `names`: levels 0 to 4, null where one is not known. Rows of an
        era belong together: ranks and missing features are found within it. An era without a number, as live rows have
        it, is later than all others. InputError names a column that lacks, or holds what is no level.
        """
        if lacking := [name for name in ("era", *self.names) if name not in frame]:
            raise InputError(
                f"the frame has no column {lacking[0]!r}, which the model reads; give all of its features."
            )
        eras = pd.to_numeric(frame["era"], errors="coerce").fillna(LIVE).to_numpy(dtype=np.int64)
        levels = np.column_stack([self._levels(frame[name]) for name in self.names])
        if self.absent is not None:
            for era in np.unique(eras):
                own = eras == era
                levels[np.ix_(own, (levels[own] == self.absent).all(axis=0))] = self.missing
        return pd.Series(self.values(levels, eras), frame.index, name="prediction")

    def _levels(self, column: pd.Series) -> Levels:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        known = ~np.isnan(values)
        if (strange := known & ~np.isin(values, LEVELS) & (values != self.missing)).any():
            raise InputError(
                f"column {column.name!r} holds {values[strange][0]:g}, which is no level; give 0 to 4, or nothing."
            )
        return np.where(known, values, self.missing).astype(np.int8)
