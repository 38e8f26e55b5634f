"""The log-degree model by Newton's method on its dual.

The dual is smooth and concave and has one value a node, not one an edge. Its second derivative jumps where an edge
enters or leaves the graph; Newton's method still converges (semismooth, Qi and Sun 1993), in about ten steps here, to
the last digits. The matrix of a step is a Laplacian with + for −, of the graph so far, plus a diagonal: positive
definite.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, cg

from eraflow.graphs.edges import Vector
from eraflow.graphs.objective import Objective
from eraflow.graphs.primal_dual import Solution

MOST_STEPS = 200
DENSE_NODES = 1000  # up to which a step is solved by a Cholesky factor, above by conjugate gradients
STALLED = 3  # steps in a row that rounding lets gain nothing
SUFFICIENT = 1e-4  # of the gain that the gradient promises (Armijo)
ROUNDING = 1e-14


def newton(objective: Objective, start: Vector | None = None, tolerance: float = 1e-11) -> Solution:
    """The learned weights, to machine precision where the distances allow it.

    `start`: dual values to begin with, e.g. those of the last date. Stops once each degree is within `tolerance` of
    −a / v, or where rounding lets the dual value grow no further; the certificate tells. Raises ValueError where a node
    has no candidate edge: then no graph has only degrees above 0.
    """
    edges, a = objective.edges, objective.a
    v = _first_guess(objective) if start is None else start.copy()
    value, w = objective.dual_value(v), objective.primal(v)
    step, stalled = 0, 0
    while stalled < STALLED and step < MOST_STEPS:
        residual = edges.degrees(w) + a / v  # the dual's gradient
        error = float(np.abs(residual * v).max()) / a
        if error < tolerance:
            break
        step += 1
        direction = _direction(objective, v, w, residual, error)
        slope = float(residual @ direction)
        length = min(1.0, 0.95 / max(float((direction / -v).max()), 1e-300))  # v stays below 0
        while True:
            moved = v + length * direction
            reached = objective.dual_value(moved)
            if reached >= value + SUFFICIENT * length * slope - ROUNDING * abs(value) or length < 1e-10:
                break
            length /= 2.0
        stalled = stalled + 1 if reached <= value + ROUNDING * abs(value) else 0
        v, value, w = moved, reached, objective.primal(moved)
    return Solution(w, v, step, objective.certificate(w, v))


def _first_guess(objective: Objective) -> Vector:
    """Dual values as if each node had one edge, to its nearest, and that one had no other: v = −a/w, z + bw + v = 0."""
    edges, nearest = objective.edges, np.full(objective.edges.nodes, np.inf)
    np.minimum.at(nearest, edges.first, objective.z)
    np.minimum.at(nearest, edges.second, objective.z)
    if not np.isfinite(nearest).all():
        raise ValueError(f"node {int(np.flatnonzero(~np.isfinite(nearest))[0])} has no candidate edge")
    return -(nearest + np.sqrt(nearest**2 + 4.0 * objective.a * objective.b)) / 2.0


def _direction(objective: Objective, v: Vector, w: Vector, residual: Vector, error: float) -> Vector:
    """(S diag(w > 0) Sᵀ / 2b + diag(a / v²))⁻¹ residual."""
    active = w > 0.0
    graph = objective.edges.subset(active)
    ones: npt.NDArray[np.float64] = np.full(len(graph), 0.5 / objective.b)
    diagonal = graph.degrees(ones) + objective.a / v**2
    if graph.nodes <= DENSE_NODES:
        matrix = np.zeros((graph.nodes, graph.nodes))
        matrix[graph.first, graph.second] = ones
        matrix[graph.second, graph.first] = ones
        matrix[np.diag_indices(graph.nodes)] = diagonal
        solved: Vector = linalg.solve(matrix, residual, assume_a="pos", check_finite=False)
        return solved
    curvature = graph.matrix(ones) + sparse.diags_array(diagonal)
    jacobi = LinearOperator(curvature.shape, matvec=lambda x: x / diagonal)
    accuracy = min(0.1, max(error, 1e-8))
    direction, _ = cg(curvature, residual, rtol=accuracy, M=jacobi, maxiter=500)
    return direction
