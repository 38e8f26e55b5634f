"""Squared distances between the rows of nodes: of all pairs, or of each node's nearest others where nodes are many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from eraflow.graphs.edges import Edges, Matrix, Nodes, Vector

ROWS = 512  # of the distance matrix that are held at once where only candidates are kept


@dataclass(frozen=True)
class Distances:
    """Squared distances of the candidate edges.

    `z`: one an edge. `nearest`: nodes x k, of each node its k smallest, ascending. Candidates are all pairs, or those
    in which one is among the k nearest of the other.
    """

    edges: Edges
    z: Vector
    nearest: Matrix

    @property
    def complete(self) -> bool:
        """Whether every pair is a candidate."""
        return 2 * len(self.edges) == self.edges.nodes * (self.edges.nodes - 1)


def all_pairs(squared: Matrix, nearest: int) -> Distances:
    """Every pair of a symmetric matrix of squared distances; `nearest` of each node are sorted."""
    edges = Edges.complete(len(squared))
    others = np.array(squared)
    np.fill_diagonal(others, np.inf)
    count = min(nearest, len(squared) - 1)
    smallest = np.partition(others, count - 1, axis=1)[:, :count]
    return Distances(edges, squared[edges.first, edges.second], np.sort(smallest, axis=1))


def squared_distances(rows: Matrix, of: slice = slice(None)) -> Matrix:
    """‖v_i − v_j‖² for the rows i of the slice and all j: by one product of matrices, clipped at 0."""
    lengths = np.einsum("ij,ij->i", rows, rows)
    return _from_products(rows[of] @ rows.T, lengths[of], lengths)


def nested(rows: Matrix, cuts: Sequence[int], counts: Sequence[int], nearest: int, dense: bool) -> Iterator[Distances]:
    """Distances over the columns from each of `cuts` on: the last cut, of the fewest columns, comes out first.

    `cuts` ascend. Of each cut only the first `counts` nodes take part: order nodes so that those with long rows come
    first, and fill the rest with any numbers. A product of matrices for each stretch between two cuts serves all longer
    ones. `dense`: all pairs, in memory of nodes²; else `nearest` candidates a node, ROWS rows of the matrix at a time.
    """
    stretches = [rows[:, begin:end] for begin, end in pairwise([*cuts, rows.shape[1]])][::-1]
    sizes = list(counts)[::-1]
    lengths = np.cumsum([np.einsum("ij,ij->i", stretch, stretch) for stretch in stretches], axis=0)
    found: list[list[tuple[Nodes, Matrix]]] = [[] for _ in cuts]
    for begin in range(0, len(rows), len(rows) if dense else ROWS):
        block = slice(begin, len(rows) if dense else begin + ROWS)
        products = np.zeros((len(rows[block]), len(rows)))
        for stretch, size, length, parts in zip(stretches, sizes, lengths, found, strict=True):
            products += stretch[block] @ stretch.T
            squared = _from_products(products[: max(0, size - begin), :size], length[block], length[:size])
            if dense:
                yield all_pairs(squared, nearest)
            elif len(squared):
                parts.append(candidates(squared, begin, nearest))
    if not dense:
        yield from map(of_candidates, found)


def nearest_pairs(rows: Matrix, nearest: int) -> Distances:
    """The candidates of each node: its `nearest` others by exact distance."""
    return next(nested(rows, [0], [len(rows)], nearest, dense=False))


def _from_products(products: Matrix, lengths: Vector, all_lengths: Vector) -> Matrix:
    squared = products * -2.0
    squared += lengths[: len(products), None]
    squared += all_lengths[None, :]
    np.maximum(squared, 0.0, out=squared)
    return squared


def candidates(squared: Matrix, begin: int, nearest: int) -> tuple[Nodes, Matrix]:
    """Of the nodes from `begin` on the numbers of their nearest others, and their distances, ascending."""
    here = np.arange(len(squared))
    squared[here, begin + here] = np.inf
    count = min(nearest, squared.shape[1] - 1)
    who = np.argpartition(squared, count - 1, axis=1)[:, :count]
    distances = np.take_along_axis(squared, who, axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(who, order, axis=1), np.take_along_axis(distances, order, axis=1)


def of_candidates(parts: Sequence[tuple[Nodes, Matrix]]) -> Distances:
    """The pairs of which one is a candidate of the other; `parts` are what `candidates` found, block after block."""
    who = np.concatenate([part[0] for part in parts])
    distances = np.concatenate([part[1] for part in parts])
    nodes = len(who)
    mine, other = np.repeat(np.arange(nodes), who.shape[1]), who.ravel()
    pairs = np.minimum(mine, other) * nodes + np.maximum(mine, other)
    kept, at = np.unique(pairs, return_index=True)
    return Distances(Edges(nodes, *np.divmod(kept, nodes)), distances.ravel()[at], distances)
