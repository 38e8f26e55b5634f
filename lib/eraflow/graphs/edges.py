"""The pairs that may become edges of an undirected graph, and the two linear maps between edges and nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Nodes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Edges:
    """Pairs of the nodes 0 .. `nodes` - 1: the k-th joins `first[k]` and `second[k]`, the smaller number first."""

    nodes: int
    first: Nodes
    second: Nodes

    @classmethod
    def complete(cls, nodes: int) -> Edges:
        """Every pair, in the order of the upper triangle."""
        return cls(nodes, *np.triu_indices(nodes, 1))

    def __len__(self) -> int:
        return len(self.first)

    def degrees(self, weights: Vector) -> Vector:
        """S w: of each node the sum over its edges."""
        total: Vector = np.bincount(self.first, weights, self.nodes).astype(np.float64, copy=False)
        total += np.bincount(self.second, weights, self.nodes)
        return total

    def sums(self, values: Vector, out: Vector | None = None) -> Vector:
        """Sᵀ v: of each edge the sum over its two nodes."""
        total = np.take(values, self.first, out=out, mode="clip")  # a mode other than "raise" needs no buffer
        total += values[self.second]
        return total

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Edges:
        return Edges(self.nodes, self.first[chosen], self.second[chosen])

    def matrix(self, weights: Vector) -> sparse.csr_array[Any]:
        """The symmetric adjacency matrix, nodes x nodes."""
        rows, columns = np.concatenate([self.first, self.second]), np.concatenate([self.second, self.first])
        both = (np.concatenate([weights, weights]), (rows, columns))
        return sparse.csr_array(both, shape=(self.nodes, self.nodes))
