"""What each column that an estimator reads adds to its prediction of a row: exact where the kind allows, else sampled.

Trees: path-dependent TreeSHAP by `eraflow.shapley`. Linear: a weight times what a level is above its mean. Others:
walks from background rows to the row, column by column in random orders (Strumbelj & Kononenko 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from eraflow.models.levels import Levels, Matrix, Vector, centred
from eraflow.models.linear_weights import LinearWeights
from eraflow.models.member import Estimator, RowEstimator
from eraflow.models.trees import LightGbmTrees, SparkTrees
from eraflow.shapley.forest import Forest, Node, Tree

WALKS = 8  # pairs of walks to each row, there and in the opposite order
ROWS_AT_ONCE = 20_000  # that are predicted for walks


class Attribution(Protocol):
    """`base` and the values of a row add up to its prediction: exactly or, where walks are sampled, by an error."""

    @property
    def base(self) -> float: ...

    @property
    def is_sampled(self) -> bool: ...

    def values(self, levels: Levels) -> Matrix:
        """Rows x columns of the estimator."""
        ...


@dataclass(frozen=True)
class OfTrees:
    """Of boosted trees and forests."""

    forest: Forest
    missing: int
    is_sampled = False

    @property
    def base(self) -> float:
        return self.forest.base

    def values(self, levels: Levels) -> Matrix:
        return self.forest.shapley(levels, self.missing)


@dataclass(frozen=True)
class OfWeights:
    """Of a linear model; `means` are those of the centred levels in the background."""

    weights: Vector
    means: Vector
    base: float
    missing: int
    is_sampled = False

    def values(self, levels: Levels) -> Matrix:
        return np.asarray((centred(levels, self.missing).astype(np.float64) - self.means) * self.weights)


@dataclass(frozen=True)
class OfWalks:
    """Of any estimator that knows rows alone, by random walks from rows of the background."""

    estimator: RowEstimator
    background: Levels
    missing: int
    seed: int = 0
    is_sampled = True

    @property
    def base(self) -> float:
        return float(self.estimator.values(self.background, self.missing).mean())

    def values(self, levels: Levels) -> Matrix:
        return self.with_errors(levels)[0]

    def with_errors(self, levels: Levels) -> tuple[Matrix, Matrix]:
        """The mean over pairs of walks, and its standard error."""
        draw, width = np.random.default_rng(self.seed), levels.shape[1]
        found = np.empty((WALKS, *levels.shape))
        for walk in range(WALKS):
            start = self.background[draw.integers(0, len(self.background), len(levels))]
            order = draw.permuted(np.tile(np.arange(width), (len(levels), 1)), axis=1)
            found[walk] = (self._walked(start, levels, order) + self._walked(start, levels, order[:, ::-1])) / 2
        return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(WALKS)

    def _walked(self, start: Levels, end: Levels, order: np.ndarray) -> Matrix:
        """What each column changes as the rows go from start to end in the order of their own."""
        out, at_once = np.empty(end.shape), max(1, ROWS_AT_ONCE // (end.shape[1] + 1))
        for begin in range(0, len(end), at_once):
            block = slice(begin, begin + at_once)
            rank = np.argsort(order[block], axis=1)  # of each column when it is changed
            steps = np.arange(end.shape[1] + 1)[None, :, None]
            path = np.where(rank[:, None, :] < steps, end[block][:, None, :], start[block][:, None, :])
            values = self.estimator.values(path.reshape(-1, end.shape[1]).astype(np.int8), self.missing)
            changes = np.diff(values.reshape(len(rank), -1), axis=1)
            out[block] = np.take_along_axis(changes, rank, axis=1)
        return out


def attribution(estimator: Estimator, background: Levels, missing: int) -> Attribution:
    """The attribution of an estimator; `background` are rows of its own columns, such as it is used on.

    It is one that knows rows alone.
    """
    match estimator:
        case LightGbmTrees():
            return OfTrees(Forest.of_lightgbm(estimator.text), missing)
        case SparkTrees():
            return OfTrees(_of_spark(estimator, background), missing)
        case LinearWeights():
            weights, means = np.array(estimator.weights), centred(background, missing).mean(axis=0, dtype=np.float64)
            return OfWeights(weights, means, float(estimator.intercept + means @ weights), missing)
        case RowEstimator():
            return OfWalks(estimator, background, missing)
    raise TypeError(f"{type(estimator).__name__} knows more than rows")


def _of_spark(trees: SparkTrees, background: Levels) -> Forest:
    """Spark keeps no counts of rows in a tree's text: those of the background stand in, and one more in each leaf."""
    bounds = [*trees.roots.tolist(), len(trees.feature)]
    grown = []
    for begin, end in pairwise(bounds):
        places = np.arange(begin, end)
        is_leaf = np.asarray(trees.feature[begin:end] < 0)
        number = np.where(is_leaf, -1 * np.cumsum(is_leaf), np.cumsum(~is_leaf) - 1)  # a leaf's is -1 - k
        nodes = [
            Node(
                int(trees.feature[at]), float(trees.threshold[at]), True,
                int(number[at + 1 - begin]), int(number[trees.right[at] - begin]),
            )
            for at in places[~is_leaf]
        ]  # fmt: skip # an unknown level is below the lowest
        reached = np.bincount(trees.leaves(begin, background) - begin, minlength=end - begin)[is_leaf]
        grown.append(Tree(nodes, trees.value[begin:end][is_leaf].tolist(), (reached + 1.0).tolist()))
    return Forest.of(grown, 1.0 / len(grown))
