"""Columns that a graph over features gives a row: interactions, embeddings, groups, feature momentum. Plain numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from eraflow.frames import read_frame
from eraflow.models.levels import Eras, Levels, Matrix, centred, whole

PRODUCT_BOUNDS = (-1.5, -0.5, 0.5, 1.5)  # of centred levels -2 .. 2: large, small, none, small, large
ARRAYS, EDGES = "network.npz", "network.csv"


@dataclass(frozen=True)
class FeatureMomentum:
    """Era-wise weights of features: what each, and what its neighbours in the graph, paid of late.

    `correlations`, `neighbours`: eras x features. An era's weights are the means over the last `window` of `eras` up to
    the one `lag` before it: with a lag of the label's eras plus one, of what had been known then.
    """

    eras: Eras
    correlations: Matrix
    neighbours: Matrix
    window: int
    lag: int

    names = ("feature_momentum", "network_feature_momentum")

    def weights(self, era: int) -> Matrix:
        """Features x 2; 0 where nothing was known yet."""
        end = int(np.searchsorted(self.eras, era - self.lag, side="right"))
        recent = slice(max(0, end - self.window), end)
        if end == 0:
            return np.zeros((self.correlations.shape[1], 2))
        return np.column_stack([whole(part[recent].mean(axis=0)) for part in (self.correlations, self.neighbours)])


@dataclass(frozen=True)
class FeatureColumns:
    """The columns that a fold's training rows have decided on.

    `products`: numbers of the features that are multiplied. `loadings`: features x projections, rounded so that sums
    over features are exact: the rows that come in one batch cannot change a level. `bounds`: between the five levels, a
    row for each projection and each momentum. `edges`: `source, target, weight` of the graph by name, heaviest first.
    """

    base: tuple[str, ...]
    missing: int
    products: tuple[tuple[int, ...], ...]
    projections: tuple[str, ...]
    loadings: Matrix
    momentum: FeatureMomentum | None
    bounds: Matrix
    edges: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """The new columns; `_x_` is in the names of products that a training table has itself."""
        products = tuple("_times_".join(self.base[feature] for feature in group) for group in self.products)
        return (*products, *self.projections, *(self.momentum.names if self.momentum else ()))

    def levels(self, levels: Levels, eras: Eras) -> Levels:
        """Rows x names: the levels of the new columns; a product of a missing level is missing."""
        products = np.empty((len(levels), len(self.products)), dtype=np.int8)
        values = centred(levels, self.missing)
        for place, group in enumerate(self.products):
            product = np.searchsorted(PRODUCT_BOUNDS, values[:, list(group)].prod(axis=1))
            products[:, place] = np.where((levels[:, list(group)] == self.missing).any(axis=1), self.missing, product)
        projected = self.projected(values, eras)
        binned = [np.searchsorted(bounds, column) for bounds, column in zip(self.bounds, projected.T, strict=True)]
        return np.column_stack([products, *(column.astype(np.int8) for column in binned)])

    def projected(self, values: npt.NDArray[np.float32], eras: Eras) -> Matrix:
        """Rows x (projections and momenta), before they are cut into levels."""
        parts = [values @ self.loadings]
        if self.momentum:
            out = np.empty((len(values), len(self.momentum.names)))
            for era in np.unique(eras):
                rows = eras == era
                out[rows] = values[rows] @ self.momentum.weights(int(era))
            parts.append(out)
        return np.hstack(parts)

    def save(self, folder: Path) -> dict[str, Any]:
        """What columns there are, for model.json; beside it arrays (.npz) and the graph's edges by name (.csv)."""
        momentum = self.momentum
        arrays: dict[str, Any] = {"loadings": self.loadings, "bounds": self.bounds}
        if momentum:
            arrays |= {"eras": momentum.eras, "own": momentum.correlations, "neighbours": momentum.neighbours}
        np.savez(folder / ARRAYS, **arrays)
        self.edges.to_csv(folder / EDGES, index=False)
        return {
            "missing": self.missing,
            "products": self.products,
            "projections": self.projections,
            "columns": self.names,
            "momentum": momentum and {"window": momentum.window, "lag": momentum.lag},
        }

    @classmethod
    def load(cls, about: Mapping[str, Any], base: tuple[str, ...], folder: Path) -> FeatureColumns:
        """What `save` wrote."""
        with np.load(folder / ARRAYS) as arrays:
            held = dict(arrays)
        momentum = about["momentum"]
        return cls(
            base=base,
            missing=about["missing"],
            products=tuple(map(tuple, about["products"])),
            projections=tuple(about["projections"]),
            loadings=held["loadings"],
            momentum=momentum and FeatureMomentum(held["eras"], held["own"], held["neighbours"], **momentum),
            bounds=held["bounds"],
            edges=read_frame(folder / EDGES),
        )
