"""A trained network as files that need neither Spark nor torch to read: `model.json` and `weights.npz`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.models.base import Training, check_features

State = Mapping[str, npt.NDArray[np.float32]]


def save(folder: Path, made: Mapping[str, Any], feature_names: tuple[str, ...], missing: int, state: State) -> None:
    """Writes what a network was made from, its features, the level of an unknown value, and its weights by name."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {**made, "feature_names": feature_names, "missing": missing}
    (folder / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    np.savez(folder / "weights.npz", allow_pickle=False, **dict(state))


def load(folder: Path, training: Training) -> tuple[tuple[str, ...], int, dict[str, Any], State]:
    """Feature names, missing level, what it was made from, weights. InputError where features are not the table's."""
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    names, missing = tuple(about.pop("feature_names")), about.pop("missing")
    check_features(names, training, folder)
    with np.load(folder / "weights.npz") as saved:
        return names, missing, about, {name: saved[name] for name in saved.files}
