"""The graph whose nodes are features, and what is read off it: pairs, embeddings, groups. Plain numpy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.cluster.vq import kmeans2
from scipy.sparse.linalg import eigsh

from eraflow.graphs.distances import all_pairs
from eraflow.graphs.edges import Matrix
from eraflow.graphs.history import normalised
from eraflow.graphs.learner import Graph, learn

Pairs = npt.NDArray[np.intp]  # k x 2 (or 3), ascending within each


@dataclass(frozen=True)
class FeatureGraph:
    """A graph over features: near are those whose premia move together, era by era, and that are alike themselves."""

    graph: Graph

    @classmethod
    def of(cls, premia: Matrix, alike: Matrix, degree: float, share: float = 0.0) -> FeatureGraph:
        """From squared distances 2 − 2ρ between features.

        ρ is the correlation of their `premia` (eras x features) over the eras and, by the `share`, how much they are
        `alike` (features x features): their own mean correlation.
        """
        series = premia - premia.mean(axis=0)
        length = np.linalg.norm(series, axis=0)
        series = series / np.where(length > 1e-12, length, np.inf)
        likeness = (1.0 - share) * (series.T @ series) + share * alike
        squared = np.maximum(0.0, 2.0 - 2.0 * likeness)
        np.fill_diagonal(squared, 0.0)
        return cls(learn(all_pairs(squared, round(10 * degree)), degree))

    def strongest(self, count: int) -> Pairs:
        """The pairs of the `count` heaviest edges, heaviest first."""
        edges, order = self.graph.edges, self._order[:count]
        return np.column_stack([edges.first[order], edges.second[order]])

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        edges = self.graph.edges
        return np.lexsort((edges.second, edges.first, -self.graph.weights))

    def named(self, names: Sequence[str]) -> pd.DataFrame:
        """`source, target, weight` of every edge by name, heaviest first."""
        edges, order, held = self.graph.edges, self._order, np.array(names, dtype=object)
        ends = {"source": held[edges.first[order]], "target": held[edges.second[order]]}
        return pd.DataFrame({**ends, "weight": self.graph.weights[order]})

    def triples(self, count: int) -> Pairs:
        """The triangles of the graph with the largest sum of weights: `count` x 3, ascending within each."""
        if not count:
            return np.empty((0, 3), dtype=np.intp)
        adjacency = self.graph.matrix()
        found: list[tuple[float, int, int, int]] = []
        for one, other in self.strongest(len(self.graph.edges)):
            for third in np.flatnonzero((adjacency[one] > 0.0) & (adjacency[other] > 0.0)):
                if third > other:
                    weight = adjacency[one, other] + adjacency[one, third] + adjacency[other, third]
                    found.append((-float(weight), int(one), int(other), int(third)))
        return np.array([triangle[1:] for triangle in sorted(found)[:count]], dtype=np.intp).reshape(-1, 3)

    def smoothing(self) -> Matrix:
        """D^−½ A D^−½, features x features: times feature momentum it is what a feature's neighbours paid."""
        edges = self.graph.edges
        dense: Matrix = edges.matrix(normalised(edges, self.graph.weights)).toarray()
        return dense

    def vectors(self, count: int) -> Matrix:
        """The leading eigenvectors of the normalised adjacency matrix: features x count."""
        return leading(self.smoothing(), count)

    def groups(self, count: int, seed: int) -> Matrix:
        """Features x count: 1 / size where a feature is in a group; k-means on the rows of the leading eigenvectors."""
        rows = self.vectors(count)
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        _, label = kmeans2(rows, count, minit="++", rng=seed)
        member = (label[:, None] == np.arange(count)).astype(np.float64)
        means: Matrix = member / np.maximum(member.sum(axis=0), 1.0)
        return means


def leading(symmetric: Matrix, count: int) -> Matrix:
    """Eigenvectors of the largest eigenvalues, largest first; of each the largest element is positive."""
    _, vectors = eigsh(symmetric, k=count, which="LA", v0=np.ones(len(symmetric)))
    vectors = vectors[:, ::-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    out: Matrix = vectors * signs
    return out


def random_pairs(features: int, count: int, seed: int) -> Pairs:
    """Different pairs drawn evenly: the control."""
    first, second = np.triu_indices(features, 1)
    chosen = np.random.default_rng(seed).choice(len(first), size=count, replace=False)
    return np.column_stack([first[chosen], second[chosen]])


def random_triples(features: int, count: int, seed: int) -> Pairs:
    """Different triples drawn evenly; there must be `count` of them."""
    random = np.random.default_rng(seed)
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < count:
        drawn.add(tuple(sorted(random.choice(features, size=3, replace=False).tolist())))
    return np.array(sorted(drawn), dtype=np.intp).reshape(-1, 3)


def split_pairs(model: str, names: Sequence[str], count: int) -> Pairs:
    """The pairs in which a model itself splits one feature below the other, by the gain of the lower split.

    `model` is LightGBM's own text; `names` are its features in order. Different features only.
    """
    gains: dict[tuple[int, int], float] = defaultdict(float)
    for tree in model.split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in tree.splitlines() if "=" in line)
        if "split_feature" not in lines:
            continue
        features = [int(text) for text in lines["split_feature"].split()]
        gain = [float(text) for text in lines["split_gain"].split()]
        for side in ("left_child", "right_child"):
            for parent, child in enumerate(int(text) for text in lines[side].split()):
                if child >= 0 and features[parent] != features[child]:
                    low, high = sorted((features[parent], features[child]))
                    gains[low, high] += gain[child]
    order = sorted(gains, key=lambda pair: (-gains[pair], pair))[:count]
    if any(feature >= len(names) for pair in order for feature in pair):
        raise ValueError(f"the model has more features than the {len(names)} names")
    return np.array(order, dtype=np.intp).reshape(-1, 2)
