"""Where the nodes of a graph are drawn. Plain numpy; the same graph gives the same picture."""

from __future__ import annotations

import numpy as np

from eraflow.graphs.edges import Edges, Matrix, Vector
from eraflow.graphs.feature_graph import leading
from eraflow.graphs.history import normalised

ROUNDS = 150
DECIMALS = 9  # nodes drive each other, so that what one processor rounds otherwise than another would end far away
GRAVITY = 0.05  # towards the middle, so that parts which nothing joins stay on the page


def layout(edges: Edges, weights: Vector) -> Matrix:
    """Nodes x 2 within -1 .. 1: nodes that are joined are drawn near, others are driven apart.

    They begin at their ranks along the second and third eigenvector of the normalised adjacency matrix, and move as
    Fruchterman and Reingold (1991) let them, ever less far. Nodes² doubles a few times: for some hundred nodes. Each
    node must have an edge.
    """
    place = _start(edges, weights)
    nodes = len(place)
    pull = edges.matrix(np.round(weights / weights.max(), DECIMALS)).toarray()
    apart = 1.0 / np.sqrt(nodes)  # the distance at which nodes would stand evenly
    for step in np.linspace(0.2, 0.0, ROUNDS, endpoint=False):
        way = place[:, None] - place[None]
        distance = np.maximum(np.linalg.norm(way, axis=2), 1e-6)
        force = (apart / distance) ** 2 - pull * distance / apart
        move = (way * force[:, :, None]).sum(axis=1) - GRAVITY * place
        length = np.maximum(np.linalg.norm(move, axis=1, keepdims=True), 1e-12)
        place = np.round(place + move / length * np.minimum(length, step), DECIMALS)
    place = place - (place.max(axis=0) + place.min(axis=0)) / 2.0
    scaled: Matrix = place / np.abs(place).max()
    return scaled


def _start(edges: Edges, weights: Vector) -> Matrix:
    turn = 2.0 * np.pi * np.arange(edges.nodes) / edges.nodes
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    if edges.nodes < 5:
        return circle
    vectors = leading(edges.matrix(normalised(edges, weights)).toarray(), 3)[:, 1:]
    ranks = np.argsort(np.argsort(vectors.round(9), axis=0, kind="stable"), axis=0)
    return 2.0 * ranks / (edges.nodes - 1) - 1.0 + 1e-3 * circle
