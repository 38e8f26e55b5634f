"""More features from a graph over features, fitted inside a fold: interactions, embeddings, groups, feature momentum.

New columns are packed behind the old ones, in the same five levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from eraflow.batches import lists
from eraflow.features.cross_section import LEVELS
from eraflow.graphs.feature_graph import FeatureGraph, leading, random_pairs, random_triples, split_pairs
from eraflow.models.base import Model, Training
from eraflow.models.feature_columns import FeatureColumns, FeatureMomentum
from eraflow.models.levels import Matrix, centred, matrix, whole
from eraflow.models.premia import Premia, premia
from eraflow.models.steps import Widened
from eraflow.models.trees import LightGbmTrees
from eraflow.session import fixed_partitions

PART_ROWS = 2_000  # that are widened at once, at 12 bytes a level and more
EDGE_ROWS = 20_000  # whose quantiles bound the levels of projections
QUANTILES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class FeatureNetwork:
    """Which columns are made. A count of 0 leaves a kind out.

    `interactions`: products of centred pairs, those of the strongest edges, or as a control random ones; `pairs` names
    them outright, as those of `splits` must be: `feature_graph.split_pairs` of a model of the same fold. `triples`:
    products over triangles, or random ones. `vectors`: the graph's leading eigenvectors; `components`: principal ones;
    `groups`: means of a group's features. `momentum`: eras over which what a feature (and its neighbours) paid is
    averaged to weights of an era, `lag` behind it: None = the first at which labels are known.
    """

    interactions: int = 0
    chosen_by: Literal["graph", "random", "splits"] = "graph"
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

    def fit(self, training: Training, eras: Sequence[int]) -> FeatureColumns:
        """What the labelled rows of `eras` say; no other row is read."""
        found = premia(training, eras)
        graph = FeatureGraph.of(found.correlations, found.mutual, self.degree, self.mutual)
        projections = self._projections(graph, found)
        unbinned = FeatureColumns(
            base=training.feature_names,
            missing=training.missing,
            products=self._products(graph, len(training.feature_names)),
            projections=tuple(projections),
            loadings=np.column_stack([np.zeros((len(training.feature_names), 0)), *map(whole, projections.values())]),
            momentum=self._momentum(graph, found, training),
            bounds=np.zeros((0, 0)),
            edges=graph.named(training.feature_names),
        )
        return replace(unbinned, bounds=_bounds(unbinned, training, eras))

    @contextmanager
    def widened(
        self, model: Model, training: Training, eras: Sequence[int], watched: Sequence[int]
    ) -> Iterator[tuple[Widened, Training]]:
        """The graph is learned from the rows of `eras`, as the model is; watched eras are widened by what it says."""
        graph = self
        if self.chosen_by == "splits":
            graph = replace(self, pairs=self._split_pairs(model, training, eras, watched))
        columns = graph.fit(training, eras)
        with widened_training(columns, training, eras, watched) as rows:
            yield Widened(columns), rows

    def _split_pairs(
        self, model: Model, training: Training, eras: Sequence[int], watched: Sequence[int]
    ) -> tuple[tuple[int, int], ...]:
        """The pairs in which the model splits that learns from the features alone."""
        plain = model.fit(training, eras, watched)
        assert isinstance(plain, LightGbmTrees)  # the config refuses splits of other kinds
        found = split_pairs(plain.text, training.feature_names, self.interactions)
        return tuple((int(one), int(other)) for one, other in found)

    def _momentum(self, graph: FeatureGraph, found: Premia, training: Training) -> FeatureMomentum | None:
        if not self.momentum:
            return None
        lag = self.lag if self.lag is not None else training.reach[training.target] + 1
        correlations = found.correlations
        return FeatureMomentum(found.eras, correlations, correlations @ graph.smoothing(), self.momentum, lag)

    def _products(self, graph: FeatureGraph, features: int) -> tuple[tuple[int, ...], ...]:
        if self.chosen_by == "random":
            pairs = random_pairs(features, self.interactions, self.seed)
            triples = random_triples(features, self.triples, self.seed)
        else:
            pairs = graph.strongest(self.interactions if self.chosen_by == "graph" else 0)
            triples = graph.triples(self.triples)
        return (*self.pairs, *map(tuple, pairs.tolist()), *map(tuple, triples.tolist()))

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


@contextmanager
def widened_training(
    columns: FeatureColumns, training: Training, eras: Sequence[int], watched: Sequence[int]
) -> Iterator[Training]:
    """A training table of the labelled rows of these eras with the new columns at the end of `features`.

    A fit reads its table several times, so the rows are kept on the executors' disks, in the order of the table's
    files, for as long as the context lasts.
    """
    rows = training.labelled(eras)
    if watched:
        rows = rows.unionByName(training.rows(watched).where(F.col(training.target).isNotNull()))
    with fixed_partitions(rows.sparkSession):
        kept = widened(columns, rows).persist(StorageLevel.DISK_ONLY)
        try:
            kept.count()  # what partitions there are is decided here
            yield replace(training, table=kept, feature_names=(*training.feature_names, *columns.names))
        finally:
            kept.unpersist()


def widened(columns: FeatureColumns, rows: DataFrame) -> DataFrame:
    """Rows with the new columns; what else they hold passes through."""
    others = [field for field in rows.schema if field.name != "features"]
    schema = StructType([*others, rows.schema["features"]])
    return rows.select(*schema.names).mapInArrow(_wide_rows(columns), schema)


def _wide_rows(columns: FeatureColumns) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    width = len(columns.base)

    def make(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in (part for each in batches for part in _parts(each)):
            levels = matrix(batch.column("features"), width)
            eras = batch.column("era").to_numpy(zero_copy_only=False)
            packed = lists(np.hstack([levels, columns.levels(levels, eras)]))
            names = [name for name in batch.schema.names if name != "features"]
            yield pa.record_batch([*(batch.column(name) for name in names), packed], names=[*names, "features"])

    return make


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for begin in range(0, batch.num_rows, PART_ROWS):
        yield batch.slice(begin, PART_ROWS)


def _bounds(fitted: FeatureColumns, training: Training, eras: Sequence[int]) -> Matrix:
    """Quantiles of projections over a sample of the training rows, spread over the eras by a hash of the ids."""
    if not fitted.names[len(fitted.products) :]:
        return np.zeros((0, LEVELS - 1))
    rows = training.labelled(eras).select("id", "era", "features")
    sample = rows.orderBy(F.xxhash64("id"), "id").limit(EDGE_ROWS).toPandas()  # EDGE_ROWS rows of bytes
    levels = np.array(sample["features"].tolist(), dtype=np.int8)
    projected = fitted.projected(centred(levels, fitted.missing), sample["era"].to_numpy())
    assert len(QUANTILES) == LEVELS - 1
    return np.quantile(projected, QUANTILES, axis=0).T
