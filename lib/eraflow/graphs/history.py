"""An era's graph over assets: learned over several look-backs of their features, averaged, normalised.

Network Momentum across Asset Classes (arXiv 2308.11294): a node's row holds its features on every day of the look-back.
Plain numpy over a block of days; `eraflow.graphs.assets` runs blocks side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.graphs.distances import nested
from eraflow.graphs.edges import Edges, Nodes, Vector
from eraflow.graphs.learner import Graph, learn

Cube = npt.NDArray[np.float64]  # nodes x days x features
Flags = npt.NDArray[np.bool_]

LEAST_NODES = 20  # fewer make no graph
LONGEST_GAP = 10  # days over which the last known values stand in for missing ones: a holiday, a halt
DENSE_NODES = 2000  # up to which every pair is a candidate
CANDIDATES = 10  # for each wanted neighbour, above


@dataclass(frozen=True)
class Ensemble:
    """Which graphs are averaged: a look-back (trading days) each, all of one mean degree."""

    look_backs: tuple[int, ...]
    degree: float


@dataclass(frozen=True)
class EraGraph:
    """The mean of an era's graphs over the nodes that `edges` number, and those graphs by look-back.

    `weights`: mean over the look-backs that both nodes have the history for. `normalised`: D^−½ A D^−½.
    """

    edges: Edges
    weights: Vector
    normalised: Vector
    graphs: dict[int, Graph]


@dataclass(frozen=True)
class History:
    """Features without gaps up to LONGEST_GAP, and of each node and day how many days in a row are known up to it.

    `members`: nodes x days, who may be a node on that day.
    """

    values: Cube
    lengths: npt.NDArray[np.intp]
    members: Flags

    @classmethod
    def of(cls, values: Cube, members: Flags) -> History:
        """From values with NaN where they are missing, which are filled in place: a universe's are not held twice.

        A day counts as known where all features are.
        """
        observed = ~np.isnan(values).any(axis=2)
        days = np.arange(values.shape[1])
        last = np.maximum.accumulate(np.where(observed, days, -1), axis=1)
        filled = (last >= 0) & (days - last <= LONGEST_GAP)
        node, day = np.nonzero(filled & ~observed)
        values[node, day] = values[node, last[node, day]]
        values[~filled] = 0.0
        broken = np.maximum.accumulate(np.where(filled, -1, days), axis=1)
        return cls(values, days - broken, np.take_along_axis(members, last, axis=1) & filled)

    def graph(self, day: int, ensemble: Ensemble) -> EraGraph | None:
        """The graph that is known at the close of a day; None where too few nodes have the shortest history."""
        spans = np.array(ensemble.look_backs)
        held = np.where(self.members[:, day], (self.lengths[:, day, None] >= spans).sum(axis=1), 0)
        least = max(LEAST_NODES, int(ensemble.degree) + 2)
        used = [place for place in range(len(spans)) if (held > place).sum() >= least]
        if not used:
            return None
        held = np.minimum(held, len(used))
        # Who has the longest history comes first, so that each look-back's nodes are the first ones.
        order = np.argsort(-held, kind="stable")[: (held > 0).sum()]
        longest = int(spans[used[-1]])
        rows = self.values[order, day + 1 - longest : day + 1].reshape(len(order), -1)
        width = self.values.shape[2]
        descending = [int(spans[place]) for place in reversed(used)]
        distances = nested(
            rows,
            cuts=[(longest - span) * width for span in descending],
            counts=[int((held > place).sum()) for place in reversed(used)],
            nearest=round(CANDIDATES * ensemble.degree),
            dense=len(rows) <= DENSE_NODES,
        )
        graphs = {
            int(spans[place]): learn(found, ensemble.degree) for place, found in zip(used, distances, strict=True)
        }
        return _mean(list(graphs.values()), order, held[order], len(held), graphs)


def _mean(parts: Sequence[Graph], order: Nodes, held: Nodes, nodes: int, graphs: dict[int, Graph]) -> EraGraph:
    one = np.concatenate([part.edges.first for part in parts])
    other = np.concatenate([part.edges.second for part in parts])
    looks = np.minimum(held[one], held[other])
    low, high = np.minimum(order[one], order[other]), np.maximum(order[one], order[other])
    pairs, place = np.unique(low * nodes + high, return_inverse=True)
    shares = np.concatenate([part.weights for part in parts]) / looks
    weights: Vector = np.bincount(place, shares).astype(np.float64, copy=False)
    edges = Edges(nodes, *np.divmod(pairs, nodes))
    return EraGraph(edges, weights, normalised(edges, weights), graphs)


def normalised(edges: Edges, weights: Vector) -> Vector:
    """The edges of D^−½ A D^−½."""
    degrees = edges.degrees(weights)
    scaled: Vector = weights / np.sqrt(degrees[edges.first] * degrees[edges.second])
    return scaled
