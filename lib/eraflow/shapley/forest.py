"""Trees as the leaves of all of them, each with the features on its path: exact Shapley values of rows of levels.

Plain numpy and native loops; nothing here knows a model, files or Spark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.shapley.kernels import add_interactions, add_shapley

CODES = 8  # bits of a path's levels: an unknown one and at most seven others
ROWS = 4096  # at once: as many values of 800 features are 6.5 MB
MOST_FEATURES = 62  # on one path: a pattern of them is a signed number of 64 bits

Levels = npt.NDArray[np.int8]
Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Path = dict[int, tuple[int, float]]  # feature -> the codes that go this way, the share of rows that did


@dataclass(frozen=True)
class Node:
    """A split: levels at most `threshold` go left, unknown ones where `missing_left` says. Children below 0 are leaves.

    Leaf number k is child ~k (-1 - k), as in LightGBM's text.
    """

    feature: int
    threshold: float
    missing_left: bool
    left: int
    right: int


@dataclass(frozen=True)
class Tree:
    """Nodes with the first as its root; `values` and `counts` (rows in training) of its leaves."""

    nodes: Sequence[Node]
    values: Sequence[float]
    counts: Sequence[float]

    def paths(self) -> Iterator[tuple[float, float, Path]]:
        """Each leaf's value, its share of the rows, and its path."""
        if not self.nodes:
            yield self.values[0], 1.0, {}
            return
        held = self._held
        open_: list[tuple[int, float, Path]] = [(0, 1.0, {})]
        while open_:
            at, share, path = open_.pop()
            if at < 0:
                yield self.values[~at], share, path
                continue
            node = self.nodes[at]
            left = _goes_left(node)
            for child, way in ((node.right, ~left & (1 << CODES) - 1), (node.left, left)):
                went = self._count(child, held) / held[at]
                codes, ratio = path.get(node.feature, ((1 << CODES) - 1, 1.0))
                open_.append((child, share * went, {**path, node.feature: (codes & way, ratio * went)}))

    @property
    def _held(self) -> list[float]:
        """The rows of each node, from its leaves; children stand behind their parents."""
        held = [0.0] * len(self.nodes)
        for at in reversed(range(len(self.nodes))):
            held[at] = self._count(self.nodes[at].left, held) + self._count(self.nodes[at].right, held)
        return held

    def _count(self, child: int, held: Sequence[float]) -> float:
        return self.counts[~child] if child < 0 else held[child]


@dataclass(frozen=True)
class Forest:
    """The leaves of trees that are added up: see `kernels` for the arrays.

    `base` is what the trees predict on average over the rows that they were grown on.
    """

    begins: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int32]
    allowed: npt.NDArray[np.int64]
    ratio: Vector
    value: Vector
    base: float

    @classmethod
    def of(cls, trees: Sequence[Tree], scale: float = 1.0) -> Forest:
        """From trees whose sum times `scale` is what is predicted."""
        leaves = [leaf for tree in trees for leaf in tree.paths()]
        base = sum(value * share for value, share, _ in leaves) * scale
        split = [(value, path) for value, _, path in leaves if path]
        if any(len(path) > MOST_FEATURES for _, path in split):
            raise ValueError(f"a path has more than {MOST_FEATURES} features")
        entries = [(feature, *way) for _, path in split for feature, way in path.items()]
        columns: list[Any] = list(zip(*entries, strict=True)) if entries else [(), (), ()]
        return cls(
            np.array([0, *accumulate(len(path) for _, path in split)], dtype=np.int64),
            np.array(columns[0], dtype=np.int32),
            np.array(columns[1], dtype=np.int64),
            np.array(columns[2], dtype=np.float64),
            np.array([value for value, _ in split], dtype=np.float64) * scale,
            float(base),
        )

    @classmethod
    def of_lightgbm(cls, text: str) -> Forest:
        """From LightGBM's own text of a model: boosted trees, or the mean of those of a forest."""
        head, *parts = text.split("\nTree=")
        scale = 1.0 / len(parts) if "\naverage_output" in head else 1.0
        return cls.of([_lightgbm_tree(part) for part in parts], scale)

    def shapley(self, levels: Levels, missing: int) -> Matrix:
        """Rows x features: what each level adds to `base`; a row's sum and `base` are its prediction."""
        out = np.zeros(levels.shape)
        for begin in range(0, len(levels), ROWS):
            part = codes(levels[begin : begin + ROWS], missing)
            added = np.zeros(part.shape)
            add_shapley(part, self.begins, self.feature, self.allowed, self.ratio, self.value, *RULES, added)
            out[begin : begin + ROWS] = added.T
        return out

    def interactions(self, levels: Levels, missing: int, chosen: Sequence[int]) -> Matrix:
        """Rows x chosen x chosen: the SHAP interaction values of pairs of these features; the diagonal is 0.

        Half of a pair's effect stands in each of its two places (Lundberg et al. 2020, equation 5).
        """
        out = np.zeros((len(levels), len(chosen), len(chosen)))
        place = np.full(levels.shape[1], -1, dtype=np.int64)
        place[list(chosen)] = np.arange(len(chosen))
        leaves = (self.begins, self.feature, self.allowed, self.ratio, self.value)
        add_interactions(codes(levels, missing), *leaves, place, *RULES, out)
        return out


def codes(levels: Levels, missing: int) -> npt.NDArray[np.uint8]:
    """Features x rows: 0 for an unknown level, one more than the level for others."""
    return np.ascontiguousarray(np.where(levels == missing, 0, levels + 1).astype(np.uint8).T)


def _goes_left(node: Node) -> int:
    bits = sum(1 << code for code in range(1, CODES) if code - 1 <= node.threshold)
    return bits | int(node.missing_left)


def _lightgbm_tree(part: str) -> Tree:
    lines = dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
    values = [float(text) for text in lines["leaf_value"].split()]
    if int(lines["num_leaves"]) == 1:
        return Tree((), values, (1.0,))
    assert lines["num_cat"] == "0", "levels are numbers, not categories"
    columns = [
        lines[name].split() for name in ("split_feature", "threshold", "decision_type", "left_child", "right_child")
    ]
    nodes = [
        Node(int(feature), float(threshold), _missing_left(int(kind), float(threshold)), int(left), int(right))
        for feature, threshold, kind, left, right in zip(*columns, strict=True)
    ]
    return Tree(nodes, values, [float(text) for text in lines["leaf_count"].split()])


def _missing_left(kind: int, threshold: float) -> bool:
    """Where LightGBM sends a missing value: by default a side of its own, else where 0 goes."""
    by_default = kind >> 2 & 3 != 0
    return bool(kind & 2) if by_default else threshold >= 0.0


def _rules() -> tuple[Matrix, Matrix]:
    """By number of points the nodes and weights of Gauss and Legendre's rule on 0 to 1."""
    most = MOST_FEATURES // 2 + 1
    nodes, weights = np.zeros((most, most)), np.zeros((most, most))
    nodes[0, 0], weights[0, 0] = 0.5, 1.0
    for points in range(1, most):
        x, w = np.polynomial.legendre.leggauss(points)
        nodes[points, :points], weights[points, :points] = (x + 1) / 2, w / 2
    return nodes, weights


RULES = _rules()
