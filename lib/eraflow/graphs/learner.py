"""A graph of a wanted mean degree from distances between nodes, with the certificate of its solution.

By the scale identity W(Z, a, b) = √(a/b) W(Z/√(ab), 1, 1) one parameter is enough: the model is solved for θZ with
a = b = 1. Where a small θ makes more edges, the bounds of Kalofolias and Perraudin (2019) say which one gives a wanted
degree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.graphs.distances import Distances
from eraflow.graphs.edges import Edges, Matrix, Vector
from eraflow.graphs.newton import newton
from eraflow.graphs.objective import Certificate, Objective
from eraflow.graphs.primal_dual import Solution

CLOSE_ENOUGH = 0.08  # of the wanted degree, on a logarithmic scale
MOST_TRIES = 8


@dataclass(frozen=True)
class Graph:
    """A learned graph: its edges, their weights > 0, and how it was found.

    `dual`: one value a node, to start the next date's search with. `covered`: the share of nodes for which no pair that
    was no candidate could have become an edge; at 1 the graph is the optimum over all pairs.
    """

    edges: Edges
    weights: Vector
    theta: float
    dual: Vector
    iterations: int
    certificate: Certificate
    covered: float

    @property
    def degree(self) -> float:
        """Mean number of edges at a node."""
        return 2.0 * len(self.edges) / self.edges.nodes

    def matrix(self) -> Matrix:
        """The adjacency matrix, nodes x nodes."""
        dense: Matrix = self.edges.matrix(self.weights).toarray()
        return dense


def learn(distances: Distances, degree: float, start: Graph | None = None) -> Graph:
    """The graph whose mean degree is near `degree`.

    The bounds give a first θ, which misses where distances are uneven; then θ follows the degree found, up to
    MOST_TRIES times. Equal nodes come with equal edges, so not every degree can be reached; the nearest one that was
    seen comes back. `start`: a graph of the same nodes to begin with. ValueError where nodes are too few.
    """
    nodes = distances.edges.nodes
    if not 1 <= degree < nodes - 1:
        raise ValueError(f"a mean degree of {degree} needs more than {degree + 1:.0f} nodes; there are {nodes}")
    theta = theta_for(distances.nearest, degree) if start is None else start.theta
    dual = None if start is None else start.dual
    tried: list[tuple[float, float]] = []  # (log θ, log of found over wanted degree)
    best: Graph | None = None
    for _ in range(MOST_TRIES):
        solution = newton(Objective(distances.edges, theta * distances.z), dual)
        graph = _graph(distances, theta, solution)
        miss = float(np.log(graph.degree / degree))
        if best is None or abs(miss) < abs(np.log(best.degree / degree)):
            best = graph
        tried.append((float(np.log(theta)), miss))
        if abs(miss) < CLOSE_ENOUGH:
            break
        theta, dual = float(np.exp(_next(tried))), solution.dual
    assert best is not None
    return best


def theta_for(nearest: Matrix, degree: float) -> float:
    """θ = √(θ_l θ_u) with θ_u(k) = mean_i 1/√(k z_ik² − b_ik z_ik), b_ik the sum of the k least, θ_l(k) = θ_u(k + 1).

    A node whose k nearest are equally far says nothing and is left out of the mean. Where all are so, every θ gives the
    complete graph, and 1 over the mean distance keeps numbers near 1.
    """
    running = np.cumsum(nearest, axis=1)

    def upper(k: int) -> float:
        k = min(k, nearest.shape[1])
        z, total = nearest[:, k - 1], running[:, k - 1]
        spread = k * z**2 - total * z
        varies = spread > 1e-12 * (k * z**2)
        return float(np.mean(1.0 / np.sqrt(spread[varies]))) if varies.any() else 0.0

    k = max(2, round(degree))
    theta = float(np.sqrt(upper(k) * upper(k + 1)))
    if theta > 0.0:
        return theta
    size = float(nearest.mean())
    return 1.0 / size if size > 0.0 else 1.0


def _graph(distances: Distances, theta: float, solution: Solution) -> Graph:
    kept = solution.weights > 0.0
    edges, weights = distances.edges.subset(kept), solution.weights[kept]
    # A pair that is no candidate is at least as far as either node's last candidate, and stays out of the graph if
    # 2 θ z >= 1/d_i + 1/d_j: true for all such pairs of nodes whose last candidate is at 1/d or further.
    covered = theta * distances.nearest[:, -1] >= 1.0 / edges.degrees(weights)
    share = 1.0 if distances.complete else float(covered.mean())
    return Graph(edges, weights, theta, solution.dual, solution.iterations, solution.certificate, share)


def _next(tried: list[tuple[float, float]]) -> float:
    """The next log θ: between those whose degrees are too large and too small, else a step of the miss itself."""
    more = max((theta for theta, miss in tried if miss > 0.0), default=None)
    fewer = min((theta for theta, miss in tried if miss <= 0.0), default=None)
    if more is None or fewer is None:
        theta, miss = tried[-1]
        return theta + miss
    if len(tried) > 4:
        return (more + fewer) / 2.0
    high, low = dict(tried)[more], dict(tried)[fewer]
    return more + (fewer - more) * high / (high - low)
