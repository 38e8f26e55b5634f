"""A linear model that has been fitted, as arithmetic on levels; it needs no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.models.levels import Levels, Matrix, Vector, centred
from eraflow.models.member import RowEstimator


@dataclass(frozen=True)
class LinearWeights(RowEstimator):
    """`intercept` plus the sum of `weights` times what each level is above the middle one."""

    weights: tuple[float, ...]
    intercept: float

    def values(self, levels: Levels, missing: int) -> Vector:
        """A prediction a row; an unknown level counts as the middle one."""
        values: Matrix = centred(levels, missing).astype(np.float64)
        return np.asarray(values @ np.array(self.weights) + self.intercept, dtype=np.float64)

    def save(self, folder: Path) -> dict[str, Any]:
        return {"kind": "linear", "weights": self.weights, "intercept": self.intercept}

    @classmethod
    def load(cls, about: Mapping[str, Any], folder: Path) -> LinearWeights:
        return cls(tuple(about["weights"]), about["intercept"])
