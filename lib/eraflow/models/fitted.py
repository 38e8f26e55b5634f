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
LIVE_LABEL = "X"  # what Numerai's files call it


@dataclass(frozen=True)
class Fitted:
    """A model of one member or more, which count the same.

    `inputs` are the features of the rows that it predicts, in their order, and `missing` the level of an unknown value.
    `absent` is the level that a feature has throughout an era of raw files where the era does not have it: Classic's 2.
    `live` is the era that was predicted for when the model was saved, which files call X.
    `facts` are what its maker tells of it: settings, eras learned, versions of tables.
    """

    inputs: Names
    missing: int
    members: tuple[Member, ...]
    absent: int | None = None
    live: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feature_names(self) -> Names:
        """Every feature that a member has learned from."""
        return tuple(dict.fromkeys(chain.from_iterable(one.feature_names(self.inputs) for one in self.members)))

    @property
    def target(self) -> str:
        """The targets of the members, each named once."""
        return ", ".join(dict.fromkeys(one.target for one in self.members))

    @property
    def follows_tickers(self) -> bool:
        """Whether a member knows a row by the weeks before, too."""
        return not all(isinstance(one.estimator, RowEstimator) for one in self.members)

    @property
    def keeps_order(self) -> bool:
        """Whether predictions of a Spark frame come in the order of its rows."""
        return len(self.members) == 1 and not self.follows_tickers

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
        if self.follows_tickers:
            raise InputError(
                "model: it follows tickers through time, which one frame of rows does not tell; predict in Spark."
            )
        return Portable(self.inputs, self.missing, self.absent, self._values, self.live)

    def _values(self, levels: Levels, eras: Eras) -> Vector:
        found = [one.values(levels, eras, self.missing) for one in self.members]
        if len(found) == 1:
            return found[0]
        together = np.column_stack(found)
        return by_era(lambda rows: mean_rank(together[rows]), eras)

    def refuse_others(self, names: Sequence[str], where: str) -> None:
        """InputError where rows have other features than it was trained on, or in another order."""
        if tuple(names) == self.inputs:
            return
        unknown = next((name for name in self.inputs if name not in names), None)
        difference = f"{unknown!r}, which the training table does not have" if unknown else "in another number or order"
        raise InputError(
            f"{where}: the model was trained on features {difference}; predict with the table it was trained on."
        )


@dataclass(frozen=True)
class Portable:
    """A model as plain arithmetic: frames of pandas in, predictions out, without Spark."""

    names: Names
    missing: int
    absent: int | None
    values: Callable[[Levels, Eras], Vector]
    live: int | None = None

    def predict(self, frame: pd.DataFrame) -> pd.Series:
        """A prediction a row, by the frame's index.

        The frame has a column `era` (a number; X or nothing for the live era) and one for each of `names`: levels 0 to
        4, null where one is not known. It must hold all rows of its eras: ranks, and features that an era does not
        have, are found within them. InputError names a column that lacks, or holds what is no era or no level.
        """
        for name in ("era", *self.names):
            if (count := int((frame.columns == name).sum())) != 1:
                raise InputError(f"the frame has {count} columns {name!r}; give the model one of each of its features.")
        eras = self._eras(frame["era"])
        levels = np.column_stack([self._levels(frame[name]) for name in self.names])
        if self.absent is not None:
            for era in np.unique(eras):
                of_era = eras == era
                lacks = np.isin(levels[of_era], (self.absent, self.missing)).all(axis=0)
                levels[np.ix_(of_era, lacks)] = self.missing
        return pd.Series(self.values(levels, eras), frame.index, name="prediction")

    def _eras(self, column: pd.Series) -> Eras:
        is_live = column.isna() | (column.astype(str) == LIVE_LABEL)
        numbers = pd.to_numeric(column.where(~is_live), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if (strange := ~is_live.to_numpy() & ~np.isfinite(numbers)).any():
            raise InputError(
                f"column 'era' holds {str(column[strange].iloc[0])!r}, which is no number of an era, nor X."
            )
        return np.where(is_live, LIVE if self.live is None else self.live, numbers).astype(np.int64)

    def _levels(self, column: pd.Series) -> Levels:
        try:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise InputError(f"column {column.name!r} holds what is no number; give levels 0 to 4.") from None
        observed = ~np.isnan(values)
        if (strange := observed & ~np.isin(values, LEVELS) & (values != self.missing)).any():
            raise InputError(
                f"column {column.name!r} holds {values[strange][0]:g}, which is no level; give 0 to 4, or nothing."
            )
        return np.where(observed, values, self.missing).astype(np.int8)
