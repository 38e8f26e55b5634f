"""A network that has been trained: what it was made from, and its weights in a file that needs no torch to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from eraflow.models.member import Estimator

State = Mapping[str, npt.NDArray[np.float32]]

WEIGHTS = "weights.npz"


@dataclass(frozen=True)
class TrainedNetwork(Estimator):
    """`made`: kind, shape, and the `epoch` whose weights `state` are, by name."""

    made: Mapping[str, Any]
    state: State

    @property
    def epoch(self) -> int:
        return int(self.made["epoch"])

    def save(self, folder: Path) -> dict[str, Any]:
        arrays: dict[str, Any] = dict(self.state)
        np.savez(folder / WEIGHTS, **arrays)
        return dict(self.made)

    @classmethod
    def load(cls, about: Mapping[str, Any], folder: Path) -> Self:
        """What `save` wrote."""
        with np.load(folder / WEIGHTS) as saved:
            return cls(about, {name: saved[name] for name in saved.files})
