"""More features from a graph over features, fitted inside a fold: interactions, embeddings, groups, feature momentum.

New columns are packed behind the old ones, in the same five levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from eraflow.errors import InputError
from eraflow.features.cross_section import LEVELS, Levels, Matrix
from eraflow.graphs.feature_graph import FeatureGraph, leading, random_pairs
from eraflow.models.base import Training
from eraflow.models.premia import Eras, Premia, centred, matrix_of, premia

EDGE_ROWS = 20_000  # whose quantiles bound the levels of projections
QUANTILES = (0.2, 0.4, 0.6, 0.8)
PRODUCT_BOUNDS = (-1.5, -0.5, 0.5, 1.5)  # of centred levels -2 .. 2: large, small, none, small, large


@dataclass(frozen=True)
class FeatureNetwork:
    """Which columns are made. A count of 0 leaves a kind out.

    `interactions`: products of centred pairs, those of the strongest edges, or as a control random ones; `pairs` names
    them outright, e.g. `feature_graph.split_pairs` of a model of the same fold. `triples`: products over triangles.
    `vectors`: the graph's leading eigenvectors; `components`: principal ones; `groups`: means of a group's features.
    `momentum`: eras over which what a feature (and its neighbours) paid is averaged to weights of an era, `lag` eras
    behind it: the label's eras plus one.
    """

    interactions: int = 0
    chosen_by: Literal["graph", "random"] = "graph"
    pairs: tuple[tuple[int, int], ...] = ()
    triples: int = 0
    vectors: int = 0
    components: int = 0
    groups: int = 0
    momentum: int = 0
    lag: int | None = None
    degree: float = 10.0
    mutual: float = 0.25
    seed: int = 0

    def fit(self, training: Training, eras: Sequence[int]) -> FittedNetwork:
        """What the labelled rows of `eras` say; no other row is read."""
        found = premia(training, eras)
        graph = FeatureGraph.of(found, self.degree, self.mutual)
        projections = self._projections(graph, found)
        unbinned = FittedNetwork(
            base=training.feature_names,
            missing=training.missing,
            products=self._products(graph, len(training.feature_names)),
            projections=tuple(projections),
            loadings=np.column_stack([np.zeros((len(training.feature_names), 0)), *projections.values()]),
            momentum=self._momentum(graph, found),
            bounds=np.zeros((0, 0)),
        )
        return replace(unbinned, bounds=_bounds(unbinned, training, eras))

    def _momentum(self, graph: FeatureGraph, found: Premia) -> FeatureMomentum | None:
        if not self.momentum:
            return None
        if self.lag is None:
            raise InputError("feature momentum needs its lag: the eras of the target's label and one more.")
        own = found.correlations
        return FeatureMomentum(found.eras, own, own @ graph.smoothing(), self.momentum, self.lag)

    def _products(self, graph: FeatureGraph, features: int) -> tuple[tuple[int, ...], ...]:
        if self.chosen_by == "graph":
            chosen = graph.strongest(self.interactions)
        else:
            chosen = random_pairs(features, self.interactions, self.seed)
        triangles = graph.triples(self.triples)
        return (*self.pairs, *map(tuple, chosen.tolist()), *map(tuple, triangles.tolist()))

    def _projections(self, graph: FeatureGraph, found: Premia) -> dict[str, Matrix]:
        made: dict[str, Matrix] = {}
        for name, count, of in (
            ("graph_vector", self.vectors, graph.vectors),
            ("component", self.components, lambda count: leading(found.mutual, count)),
            ("group_mean", self.groups, lambda count: graph.groups(count, self.seed)),
        ):
            if count:
                made |= {f"{name}_{place}": column for place, column in enumerate(of(count).T)}
        return made


@dataclass(frozen=True)
class FeatureMomentum:
    """Era-wise weights of features: what each, and what its neighbours in the graph, paid of late.

    `own`, `neighbours`: eras x features. An era's weights are the means over the last `window` of `eras` up to the one
    `lag` before it: with a lag of the label's eras plus one, of what had been known then.
    """

    eras: Eras
    own: Matrix
    neighbours: Matrix
    window: int
    lag: int

    names = ("feature_momentum", "network_feature_momentum")

    def weights(self, era: int) -> Matrix:
        """Features x 2; 0 where nothing was known yet."""
        end = int(np.searchsorted(self.eras, era - self.lag, side="right"))
        known = slice(max(0, end - self.window), end)
        if end == 0:
            return np.zeros((self.own.shape[1], 2))
        return np.column_stack([self.own[known].mean(axis=0), self.neighbours[known].mean(axis=0)])


@dataclass(frozen=True)
class FittedNetwork:
    """The columns that a fold's training rows have decided on.

    `products`: numbers of the features that are multiplied. `loadings`: features x projections. `bounds`: between the
    five levels, a row for each projection and each momentum.
    """

    base: tuple[str, ...]
    missing: int
    products: tuple[tuple[int, ...], ...]
    projections: tuple[str, ...]
    loadings: Matrix
    momentum: FeatureMomentum | None
    bounds: Matrix

    @property
    def names(self) -> tuple[str, ...]:
        """The new columns."""
        products = tuple("_x_".join(self.base[feature] for feature in group) for group in self.products)
        return (*products, *self.projections, *(self.momentum.names if self.momentum else ()))

    def transform(self, training: Training) -> Training:
        """The same rows with the new columns at the end of `features`."""
        names = (*training.feature_names, *self.names)
        return Expanded(
            self.widened(training.table), names, training.target, training.missing, training.share, training.half_life,
            source=training, fitted=self,
        )  # fmt: skip

    def widened(self, rows: DataFrame) -> DataFrame:
        """Rows with the new columns; what else they hold passes through."""
        others = [field for field in rows.schema if field.name != "features"]
        schema = StructType([*others, rows.schema["features"]])
        return rows.select(*schema.names).mapInArrow(self._rows(), schema)

    def columns(self, levels: Levels, eras: Eras) -> Levels:
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

    def _rows(self) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
        def make(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for batch in batches:
                levels = matrix_of(batch.column("features"))
                eras = batch.column("era").to_numpy(zero_copy_only=False)
                wide = np.hstack([levels, self.columns(levels, eras)])
                ends = np.arange(len(wide) + 1, dtype=np.int32) * wide.shape[1]
                packed = pa.ListArray.from_arrays(pa.array(ends), pa.array(wide.ravel()))
                others = [batch.column(name) for name in batch.schema.names if name != "features"]
                names = [name for name in batch.schema.names if name != "features"]
                yield pa.record_batch([*others, packed], names=[*names, "features"])

        return make


def _bounds(fitted: FittedNetwork, training: Training, eras: Sequence[int]) -> Matrix:
    """Quantiles of projections over a sample of the training rows, spread over the eras by a hash of the ids."""
    rows = training.labelled(eras).select("id", "era", "features")
    sample = rows.orderBy(F.xxhash64("id"), "id").limit(EDGE_ROWS).toPandas()  # EDGE_ROWS rows of bytes
    levels = np.array(sample["features"].tolist(), dtype=np.int8)
    projected = fitted.projected(centred(levels, fitted.missing), sample["era"].to_numpy())
    assert len(QUANTILES) == LEVELS - 1
    return np.quantile(projected, QUANTILES, axis=0).T


@dataclass(frozen=True, kw_only=True)
class Expanded(Training):
    """A training table with more features. Rows are chosen first and widened then: Spark would widen all of them."""

    source: Training
    fitted: FittedNetwork

    def rows(self, eras: Sequence[int]) -> DataFrame:
        return self.fitted.widened(self.source.rows(eras))
