"""A Transformer over the features of a row that has been trained, as arithmetic on levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.models import network_files
from eraflow.models.era_rows import categories
from eraflow.models.levels import Levels, Vector
from eraflow.models.member import RowEstimator
from eraflow.models.network_files import State


@dataclass(frozen=True)
class TokensScores(RowEstimator):
    """`made`: kind, width, layers, and the epoch whose weights `state` are."""

    made: Mapping[str, Any]
    state: State

    def values(self, levels: Levels, missing: int) -> Vector:
        """A prediction a row."""
        import torch

        from eraflow.models.networks import NETWORKS

        made, threads = self.made, torch.get_num_threads()
        network = NETWORKS[made["kind"]](levels.shape[1], 1, made["width"], made["layers"])
        network.load_state_dict({name: torch.from_numpy(value) for name, value in self.state.items()})
        torch.set_num_threads(1)  # a worker is one of many
        try:
            with torch.no_grad():
                return np.asarray(network(torch.from_numpy(categories(levels, missing))).double().numpy())
        finally:
            torch.set_num_threads(threads)

    @property
    def epoch(self) -> int:
        return int(self.made["epoch"])

    def save(self, folder: Path) -> dict[str, Any]:
        return network_files.save(folder, self.made, self.state)

    @classmethod
    def load(cls, about: Mapping[str, Any], folder: Path) -> TokensScores:
        return cls(about, network_files.load(folder))
