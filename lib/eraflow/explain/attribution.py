"""What each column that an estimator reads adds to its prediction of a row: exact where the kind allows, else sampled.

Trees: path-dependent TreeSHAP by `eraflow.shapley`. Linear: a weight times what a level is above its mean. Networks:
walks from background rows to the row in random orders (`eraflow.shapley.walks`), in which a feature is its history, and
where there are very many features a family of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np

from eraflow.explain.histories import is_whole, scores
from eraflow.models.levels import Eras, Levels, Matrix, Vector, centred
from eraflow.models.linear_weights import LinearWeights
from eraflow.models.member import Member, Names
from eraflow.models.trees import LightGbmTrees, SparkTrees
from eraflow.shapley.forest import Forest, Node, Tree
from eraflow.shapley.walks import Walks

DRAWN_ERAS = 16  # that tell what a whole era predicts on average
WHOLE = 5  # times as few features are walked one by one where each prediction takes a whole era
FAMILY = "family "  # before the name of one that is walked as a whole
OTHERS = "other features"  # the player of what is in no family


@dataclass(frozen=True)
class Sampling:
    """How values are sampled: so many pairs of walks, and beyond `most` features by their families.

    Beyond a fifth of that where a prediction takes a whole era, with a graph of its own.
    """

    pairs: int = 16
    most: int = 100
    families: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def players(self, names: Names, whole: bool) -> dict[str, list[int]]:
        """By its name the places of each player's features, of a member that reads whole eras or rows."""
        if len(names) <= (self.most // WHOLE if whole else self.most):
            return {name: [at] for at, name in enumerate(names)}
        family = {name: one for one, held in reversed(tuple(self.families.items())) for name in held}
        found: dict[str, list[int]] = {}
        for at, name in enumerate(names):
            found.setdefault(f"{FAMILY}{family[name]}" if name in family else OTHERS, []).append(at)
        return found


class Attribution(Protocol):
    """`base` and the values of a row add up to its prediction; where they are sampled each has an error of its own."""

    @property
    def base(self) -> float: ...

    @property
    def is_sampled(self) -> bool: ...

    def values(self, levels: Levels) -> Matrix:
        """Rows x columns of the estimator, or players of walks."""
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
    """Of any estimator, by random walks from rows of the background; rows are an era's, as the estimator reads them."""

    member: Member
    walks: Walks
    missing: int
    is_sampled = True

    @property
    def base(self) -> float:
        return self.walks.base

    def values(self, levels: Levels) -> Matrix:
        return self.with_errors(levels)[0]

    def with_errors(self, levels: Levels) -> tuple[Matrix, Matrix]:
        """Rows x players: the values, and the standard error of each."""
        return self.walks.values(lambda rows: scores(self.member, rows, self.missing), levels)


def attribution(
    member: Member, background: Levels, eras: Eras, missing: int, players: Mapping[str, Sequence[int]], pairs: int
) -> Attribution:
    """The attribution of a member; `background` are rows as its estimator reads them, such as it is used on.

    What has no exact values is sampled by `players`, places of the features of a week by name.
    """
    match member.estimator:
        case LightGbmTrees() as trees:
            return OfTrees(Forest.of_lightgbm(trees.text), missing)
        case SparkTrees() as forest:
            return OfTrees(_of_spark(forest, background), missing)
        case LinearWeights() as line:
            weights, means = np.array(line.weights), centred(background, missing).mean(axis=0, dtype=np.float64)
            return OfWeights(weights, means, float(line.intercept + means @ weights), missing)
    whole = is_whole(member)
    width = sum(map(len, players.values()))
    of_week = np.zeros(width, dtype=np.intp)
    for number, held in enumerate(players.values()):
        of_week[list(held)] = number
    player = np.tile(of_week, background.shape[1] // width)
    base = _base_of_eras(member, background, eras, missing) if whole else scores(member, background, missing).mean()
    return OfWalks(member, Walks(background, float(base), player, pairs, whole), missing)


def _base_of_eras(member: Member, background: Levels, eras: Eras, missing: int) -> float:
    """The mean prediction where each ticker of an era is one that was drawn."""
    draw, count = np.random.default_rng(0), len(background) // len(np.unique(eras))
    drawn = [background[draw.integers(0, len(background), count)] for _ in range(DRAWN_ERAS)]
    return float(np.mean([scores(member, rows, missing).mean() for rows in drawn]))


def is_exact(member: Member) -> bool:
    """Whether its values need not be sampled."""
    return isinstance(member.estimator, LightGbmTrees | SparkTrees | LinearWeights)


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
