"""A model that learns from its features and from columns that a graph over them gives, both fitted to the same eras."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from eraflow.frames import read_frame
from eraflow.graphs.feature_graph import split_pairs
from eraflow.models.base import Model, Training, check_features
from eraflow.models.behind import FittedBehind
from eraflow.models.expansion import FeatureMomentum, FeatureNetwork, FittedNetwork
from eraflow.models.lightgbm import FittedLightGbm

ABOUT, ARRAYS, EDGES = "network.json", "network.npz", "network.csv"


@dataclass(frozen=True)
class NetworkModel:
    """`model` on the features and the columns of `network`."""

    model: Model
    network: FeatureNetwork

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> FittedNetworkModel:
        """The graph is learned from the rows of `eras`, as the model is; watched eras are widened by what it says."""
        network = self.network
        if network.chosen_by == "splits":
            network = replace(network, pairs=self._split_pairs(training, eras, watched))
        fitted = network.fit(training, eras)
        with fitted.widened_training(training, eras, watched) as wide:
            return FittedNetworkModel(self.model.fit(wide, eras, watched), fitted)

    def _split_pairs(
        self, training: Training, eras: Sequence[int], watched: Sequence[int]
    ) -> tuple[tuple[int, int], ...]:
        """The pairs in which the model splits that learns from the features alone."""
        plain = self.model.fit(training, eras, watched)
        assert isinstance(plain, FittedLightGbm)  # the config refuses splits of other kinds
        found = split_pairs(plain.native_string(), training.feature_names, self.network.interactions)
        return tuple((int(one), int(other)) for one, other in found)


@dataclass(frozen=True)
class FittedNetworkModel(FittedBehind):
    """A model that has learned from the table's features and, behind them, the columns of the network."""

    network: FittedNetwork

    def prepared(self, rows: DataFrame) -> DataFrame:
        return self.network.widened(rows)

    def save(self, folder: Path) -> None:
        """Beside the model: what columns there are (network.json, .npz), and the graph's edges by name (.csv)."""
        super().save(folder)
        save_network(self.network, folder)


def save_network(network: FittedNetwork, folder: Path) -> None:
    """Writes what `load_network` reads."""
    momentum = network.momentum
    about: dict[str, Any] = {
        "feature_names": network.base,
        "missing": network.missing,
        "products": network.products,
        "projections": network.projections,
        "columns": network.names,
        "momentum": momentum and {"window": momentum.window, "lag": momentum.lag},
    }
    arrays: dict[str, Any] = {"loadings": network.loadings, "bounds": network.bounds}
    if momentum:
        arrays |= {"eras": momentum.eras, "own": momentum.own, "neighbours": momentum.neighbours}
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    np.savez(folder / ARRAYS, allow_pickle=False, **arrays)
    network.edges.to_csv(folder / EDGES, index=False)


def load_network(folder: Path, training: Training) -> FittedNetwork:
    """The network that was saved. InputError where the training table has other features than its own."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    check_features(about["feature_names"], training, folder)
    with np.load(folder / ARRAYS) as arrays:
        held = dict(arrays)
    momentum = about["momentum"] and FeatureMomentum(held["eras"], held["own"], held["neighbours"], **about["momentum"])
    return FittedNetwork(
        base=tuple(about["feature_names"]),
        missing=about["missing"],
        products=tuple(map(tuple, about["products"])),
        projections=tuple(about["projections"]),
        loadings=held["loadings"],
        momentum=momentum,
        bounds=held["bounds"],
        edges=read_frame(folder / EDGES),
    )
