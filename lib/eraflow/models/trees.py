"""Trees that have been grown, as arithmetic on levels: LightGBM's by its own library, Spark ML's by numpy.

Nothing here needs Spark, so that a worker, a notebook and a hosted model predict by the same code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from eraflow.models.levels import Levels, Vector
from eraflow.models.member import RowEstimator

TEXT, ARRAYS = "model.txt", "forest.npz"


@dataclass(frozen=True)
class LightGbmTrees(RowEstimator):
    """A booster as LightGBM's own text, which `lightgbm.Booster(model_str=...)` loads."""

    text: str

    def values(self, levels: Levels, missing: int) -> Vector:
        """A prediction a row; a missing level goes down the branch that training chose for it.

        A ranking predicts as a regression does: by the sum of its trees. All processors work; one of Spark's workers
        has OMP_NUM_THREADS from Spark, and so as many as its task has.
        """
        floats = np.where(levels == missing, np.nan, levels.astype(np.float64))
        return np.asarray(self.booster.predict(floats), dtype=np.float64)

    @property
    def booster(self) -> lightgbm.Booster:
        """LightGBM's model; the last ones are kept in this process."""
        return _booster(self.text)

    def save(self, folder: Path) -> dict[str, Any]:
        (folder / TEXT).write_text(self.text, encoding="utf-8")
        return {"kind": "lightgbm"}

    @classmethod
    def load(cls, about: Mapping[str, Any], folder: Path) -> LightGbmTrees:
        return cls((folder / TEXT).read_text(encoding="utf-8"))


@lru_cache(maxsize=8)
def _booster(text: str) -> lightgbm.Booster:
    return lightgbm.Booster(model_str=text)


@dataclass(frozen=True)
class SparkTrees(RowEstimator):
    """A forest of Spark ML: the mean of its trees.

    Nodes of all trees stand one after another. `roots`: each tree's first; `feature`: what a node splits by, -1 of a
    leaf; a level of at most `threshold` goes to the next node, a greater one to `right`; `value`: what a leaf predicts.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int32]
    threshold: Vector
    right: npt.NDArray[np.int32]
    value: Vector

    def values(self, levels: Levels, missing: int) -> Vector:
        """A prediction a row; an unknown level is one below the lowest, as `missing` is."""
        total = np.zeros(len(levels))
        for root in self.roots.tolist():  # in Spark's order, to the last bit
            total += self.value[self.leaves(root, levels)]
        return np.asarray(total / len(self.roots), dtype=np.float64)

    def leaves(self, root: int, levels: Levels) -> npt.NDArray[np.int64]:
        """The place of the leaf in which each row ends up in the tree of this root."""
        at = np.full(len(levels), root, dtype=np.int64)
        while len(rows := np.flatnonzero(self.feature[at] >= 0)):
            node = at[rows]
            goes_right = levels[rows, self.feature[node]] > self.threshold[node]
            at[rows] = np.where(goes_right, self.right[node], node + 1)
        return at

    @classmethod
    def of(cls, text: str) -> SparkTrees:
        """From the model's `toDebugString`: Spark has no other form of its trees that is read at once."""
        forest = _Forest()
        for line in text.splitlines():
            forest.read(line.strip())
        return forest.trees()

    def save(self, folder: Path) -> dict[str, Any]:
        np.savez(folder / ARRAYS, **vars(self))  # numpy before 2.1 would take allow_pickle=False for one more array
        return {"kind": "spark_forest"}

    @classmethod
    def load(cls, about: Mapping[str, Any], folder: Path) -> SparkTrees:
        with np.load(folder / ARRAYS) as arrays:
            return cls(**arrays)


class _Forest:
    """The nodes of a forest, from lines that go down the left branch of each split first."""

    SPLIT = re.compile(r"If \(feature (\d+) <= (\S+)\)")

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.right: list[int] = []
        self.value: list[float] = []
        self.open: list[int] = []  # splits whose right branch is still to come

    def read(self, line: str) -> None:
        if line.startswith("Tree "):
            self.roots.append(len(self.feature))
        elif line.startswith("If "):
            split = self.SPLIT.fullmatch(line)
            assert split, f"Spark ML describes a split in another way: {line}"
            self.open.append(len(self.feature))
            self._node(int(split[1]), float(split[2]), 0.0)
        elif line.startswith("Else "):
            self.right[self.open.pop()] = len(self.feature)
        elif line.startswith("Predict: "):
            self._node(-1, 0.0, float(line.removeprefix("Predict: ")))

    def _node(self, feature: int, threshold: float, value: float) -> None:
        self.feature.append(feature)
        self.threshold.append(threshold)
        self.right.append(-1)
        self.value.append(value)

    def trees(self) -> SparkTrees:
        whole = [np.array(column, dtype=np.int32) for column in (self.roots, self.feature, self.right)]
        threshold, value = np.array(self.threshold), np.array(self.value)
        return SparkTrees(whole[0], whole[1], threshold, whole[2], value)
