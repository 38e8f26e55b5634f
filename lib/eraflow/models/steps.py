"""What is done to a row's levels before an estimator reads them: a list of steps, each fitted inside its fold.

Plain numpy, for Spark's workers and without Spark alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eraflow.models.feature_columns import FeatureColumns
from eraflow.models.levels import Eras, Levels


class Step(Protocol):
    """A step that has been fitted."""

    def names(self, before: tuple[str, ...]) -> tuple[str, ...]:
        """The columns that it leaves of those before it."""
        ...

    def levels(self, levels: Levels, eras: Eras) -> Levels:
        """Rows x columns before -> rows x columns after."""
        ...

    def save(self, before: tuple[str, ...], folder: Path) -> dict[str, Any]:
        """What model.json says of it; arrays and frames go to files of their own in the folder."""
        ...


@dataclass(frozen=True)
class Chosen:
    """Some of the columns: their places in order. `scores` are what a selection has chosen each for."""

    places: tuple[int, ...]
    scores: tuple[float, ...] | None = None

    @classmethod
    def of(cls, taken: Sequence[bool]) -> Chosen:
        """Columns that the config names, by a flag for each."""
        return cls(tuple(np.flatnonzero(taken).tolist()))

    def names(self, before: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(before[place] for place in self.places)

    def taken(self, width: int) -> tuple[bool, ...]:
        """A flag for each column."""
        kept = set(self.places)
        return tuple(place in kept for place in range(width))

    def levels(self, levels: Levels, eras: Eras) -> Levels:
        return levels[:, list(self.places)]

    def save(self, before: tuple[str, ...], folder: Path) -> dict[str, Any]:
        names = self.names(before)
        if self.scores is None:
            return {"step": "features", "kept": names}
        return {"step": "selection", "kept": dict(zip(names, self.scores, strict=True))}


@dataclass(frozen=True)
class Widened:
    """The columns, and behind them those of a graph over them."""

    columns: FeatureColumns

    def names(self, before: tuple[str, ...]) -> tuple[str, ...]:
        return (*before, *self.columns.names)

    def levels(self, levels: Levels, eras: Eras) -> Levels:
        return np.hstack([levels, self.columns.levels(levels, eras)])

    def save(self, before: tuple[str, ...], folder: Path) -> dict[str, Any]:
        return {"step": "feature_graph", **self.columns.save(folder)}


def load(about: Mapping[str, Any], before: tuple[str, ...], folder: Path) -> Step:
    """The step that `save` described, of the columns before it."""
    if about["step"] == "feature_graph":
        return Widened(FeatureColumns.load(about, before, folder))
    place = {name: at for at, name in enumerate(before)}
    scores = tuple(about["kept"].values()) if about["step"] == "selection" else None
    return Chosen(tuple(place[name] for name in about["kept"]), scores)
