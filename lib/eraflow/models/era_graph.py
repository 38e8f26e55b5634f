"""The pairs of an era's tickers that a graph may join, by how their last weeks differ: numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eraflow.graphs.distances import ROWS, Distances, candidates, of_candidates
from eraflow.graphs.edges import Edges
from eraflow.graphs.history import CANDIDATES, LEAST_NODES
from eraflow.graphs.learner import theta_for
from eraflow.models.panel import Panel

STRANGE = 1.0  # the expected squared difference of two levels, of -1 to 1, that have nothing to do with each other


def era_candidates(data: Panel, era: int, length: int, degree: float) -> tuple[npt.NDArray[np.int64], Distances, float]:
    """An era's nodes (places of tickers in the panel), their candidate pairs, and θ for graphs of the wanted degree.

    A node is a ticker of which a level is known in the era; its candidates are its nearest others, CANDIDATES for each
    wanted neighbour. Too few nodes have no candidates.
    """
    nodes = data.present(era)
    if len(nodes) < max(LEAST_NODES, int(degree) + 2):
        none = Edges(len(nodes), np.zeros(0, np.intp), np.zeros(0, np.intp))
        return nodes, Distances(none, np.zeros(0), np.zeros((len(nodes), 0))), 1.0
    values, observed = data.seen(era, length, nodes)
    rows, mask = values.reshape(len(nodes), -1), observed.reshape(len(nodes), -1).astype(np.float32)
    found = _nearest(rows, mask, round(CANDIDATES * degree))
    return nodes, found, theta_for(found.nearest, degree)


def _nearest(values: npt.NDArray[np.float32], observed: npt.NDArray[np.float32], nearest: int) -> Distances:
    """Candidates by the mean squared difference of rows; where either is unknown they differ as strangers would.

    Sum over k of m m' (x - x')² + (1 - m m') STRANGE, x being 0 where it is unknown (m = 0): one product of matrices,
    and exact in single precision, since levels are halves. ROWS rows of the matrix of all pairs are held at once.
    """
    width = values.shape[1]
    left = np.hstack([values**2, observed, -2.0 * values])
    right = np.hstack([observed, values**2 - STRANGE * observed, values])
    blocks = []
    for begin in range(0, len(values), ROWS):
        squared = (left[begin : begin + ROWS] @ right.T + STRANGE * width).astype(np.float64) / width
        blocks.append(candidates(squared, begin, nearest))
    return of_candidates(blocks)
