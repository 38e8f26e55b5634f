"""The fits of which a model is made, as arithmetic on levels: steps, then an estimator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from eraflow.models.levels import Eras, Levels, Matrix, Vector
from eraflow.models.steps import Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Names = tuple[str, ...]
Rows = npt.NDArray[np.intp]  # places


class Estimator(ABC):
    """What a kind of model leaves when it has learned, behind its steps."""

    @abstractmethod
    def save(self, folder: Path) -> dict[str, Any]:
        """What model.json says of it, its `kind` among that; the rest goes to files of its own in the folder."""

    @property
    def epoch(self) -> int | None:
        """The epoch whose weights a network has; None of other kinds."""
        return None


class RowEstimator(Estimator):
    """One that knows a row by its own levels alone."""

    @abstractmethod
    def values(self, levels: Levels, missing: int) -> Vector:
        """Rows x features -> a prediction a row; `missing` is the level of an unknown value."""


class Follower(Estimator):
    """One that knows a row by what its ticker, or all tickers, showed in the weeks before."""

    @property
    @abstractmethod
    def weeks(self) -> int:
        """How many weeks of features it reads, the row's own the last."""

    @property
    @abstractmethod
    def reads_whole_eras(self) -> bool:
        """Whether a row's prediction depends on the era's other rows."""

    @abstractmethod
    def scores(self, windows: Levels, missing: int) -> Vector:
        """Rows x weeks x features -> a prediction a row, of an era's rows: of all where it reads whole eras."""

    @abstractmethod
    def predict(self, rows: DataFrame, history: DataFrame, width: int, missing: int) -> DataFrame:
        """`id, era, prediction` of all rows of `history` in the eras of `rows`; both are `id, era, features`.

        `history` holds these rows and those of the weeks before.
        """


@dataclass(frozen=True)
class Member:
    """One fit: what it has learned, by which seed, and how it reads a row."""

    target: str
    seed: int
    steps: tuple[Step, ...]
    estimator: Estimator

    @property
    def name(self) -> str:
        return f"{self.target}-seed-{self.seed}"

    def feature_names(self, names: Names) -> Names:
        """What the estimator reads of a row of these features."""
        for step in self.steps:
            names = step.names(names)
        return names

    def values(self, levels: Levels, eras: Eras, missing: int) -> Vector:
        """Rows x features -> a prediction a row, by an estimator that knows rows alone."""
        assert isinstance(self.estimator, RowEstimator)
        return self.estimator.values(self.columns(levels, eras), missing)

    def columns(self, levels: Levels, eras: Eras) -> Levels:
        """Rows x features -> rows x what the estimator reads, `feature_names`."""
        for step in self.steps:
            levels = step.levels(levels, eras)
        return levels


def mean_rank(predictions: Matrix) -> Vector:
    """One era's rows x members -> the mean of the members' Gaussianised ranks."""
    ranks = stats.rankdata(predictions, axis=0, method="average")
    return np.asarray(stats.norm.ppf((ranks - 0.5) / len(predictions)).mean(axis=1), dtype=np.float64)


def by_era(make: Callable[[Rows], Vector], eras: Eras) -> Vector:
    """A value a row, made of the rows of one era at a time."""
    out = np.empty(len(eras))
    for era in np.unique(eras):
        rows = np.flatnonzero(eras == era)
        out[rows] = make(rows)
    return out
