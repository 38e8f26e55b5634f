"""A Transformer over the features of a row that has been trained, as arithmetic on levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.models.era_rows import categories
from eraflow.models.levels import Levels, Vector
from eraflow.models.member import RowEstimator
from eraflow.models.trained_network import TrainedNetwork

DIGITS = 9


@dataclass(frozen=True)
class TokensScores(TrainedNetwork, RowEstimator):
    """Its shape is width and layers."""

    def values(self, levels: Levels, missing: int) -> Vector:
        """A prediction a row, in double precision and rounded: rows of equal levels tie, whatever comes with them.

        A row's last bits depend on the batch that it is in, and ranks would tell equal rows apart by these.
        """
        import torch

        from eraflow.models.networks import NETWORKS

        made, threads = self.made, torch.get_num_threads()
        network = NETWORKS[made["kind"]](levels.shape[1], 1, made["width"], made["layers"])
        network.load_state_dict({name: torch.from_numpy(value) for name, value in self.state.items()})
        network.double()
        torch.set_num_threads(1)  # a worker is one of many
        try:
            with torch.no_grad():
                found = network(torch.from_numpy(categories(levels, missing))).numpy()
                return np.asarray(np.round(found, DIGITS))
        finally:
            torch.set_num_threads(threads)
