"""A trained network's weights as a file that needs neither Spark nor torch to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

State = Mapping[str, npt.NDArray[np.float32]]

WEIGHTS = "weights.npz"


def save(folder: Path, made: Mapping[str, Any], state: State) -> dict[str, Any]:
    """Writes the weights by name; returns what model.json says of the network."""
    arrays: dict[str, Any] = dict(state)
    np.savez(folder / WEIGHTS, allow_pickle=False, **arrays)
    return dict(made)


def load(folder: Path) -> State:
    """The weights that `save` wrote."""
    with np.load(folder / WEIGHTS) as saved:
        return {name: saved[name] for name in saved.files}
