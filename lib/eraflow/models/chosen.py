"""A model that learns from some of the table's features only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame

from eraflow.models.base import Fitted, Model, Training, narrowed
from eraflow.models.behind import FittedBehind


@dataclass(frozen=True)
class ChosenFeatures:
    """`model` on the features that `wanted` names, one by one or by family, in the table's order."""

    model: Model
    wanted: tuple[str, ...]

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> Fitted:
        """The model fitted to these features. InputError where one of them is not there."""
        taken = training.taken(self.wanted)
        return FittedChosen(self.model.fit(training.narrowed(taken), eras, watched), taken)


@dataclass(frozen=True)
class FittedChosen(FittedBehind):
    """A model that has learned from the features of the table that `taken` flags."""

    taken: tuple[bool, ...]

    def prepared(self, rows: DataFrame) -> DataFrame:
        return narrowed(rows, self.taken)
