"""The log-degree model by the primal-dual iteration of Kalofolias (2016): forward, backward, forward.

Its cost is about linear in the edges for each of some hundred to some thousand iterations. It is the published method
and what an unrolled learner repeats; `eraflow.graphs.newton` finds the same graph in about ten steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.graphs.edges import Vector
from eraflow.graphs.objective import Certificate, Objective


@dataclass(frozen=True)
class Setting:
    """When to stop: both relative steps below `step`, and KKT residual and relative gap below `bound`."""

    step: float
    bound: float
    most_iterations: int


WORKING = Setting(1e-4, 1e-4, 20_000)
STRICT = Setting(1e-6, 1e-6, 200_000)


@dataclass(frozen=True)
class Solution:
    """Weights, one an edge, the dual values, one a node, and what they are worth."""

    weights: Vector
    dual: Vector
    iterations: int
    certificate: Certificate


def primal_dual(
    objective: Objective, setting: Setting = WORKING, start: Vector | None = None, dual: Vector | None = None
) -> Solution:
    """The learned weights.

    `start`: weights to begin with, e.g. those of the last date; without `dual` the dual begins at its optimum for them.
    Steps can be small far from the optimum, so once they are below the setting's the certificate decides, and where it
    is not fulfilled steps ten times as small are asked for. After `most_iterations` the best there is comes back: the
    certificate tells.
    """
    edges, z, a, b = objective.edges, objective.z, objective.a, objective.b
    step = 0.5 / (2.0 * b + np.sqrt(2.0 * (edges.nodes - 1)))
    w = np.zeros(len(edges)) if start is None else start.copy()
    if dual is None:
        dual = edges.degrees(w) if start is None else objective.dual(w)
    v = dual.copy()
    y, p, q, scratch = (np.empty_like(w) for _ in range(4))  # the formulas' names; filled anew each time
    pull, tolerance, iteration = 2.0 * step * z, setting.step, 0

    def descend(at: Vector, dual: Vector, out: Vector) -> None:
        """out = at − step (2b at + Sᵀ dual)."""
        np.multiply(at, 1.0 - 2.0 * b * step, out=out)
        edges.sums(dual, out=scratch)
        np.multiply(scratch, step, out=scratch)
        out -= scratch

    while True:
        iteration += 1
        descend(w, v, y)
        dual_y = v + step * edges.degrees(w)
        np.subtract(y, pull, out=p)
        np.maximum(p, 0.0, out=p)
        dual_p = (dual_y - np.sqrt(dual_y**2 + 4.0 * a * step)) / 2.0
        descend(p, dual_p, q)
        q -= y
        dual_change = dual_p + step * edges.degrees(p) - dual_y
        steps = max(_relative(q, w), _relative(dual_change, v))
        w += q
        v += dual_change
        last = iteration == setting.most_iterations
        if steps < tolerance or last:
            weights = np.maximum(w, 0.0)
            certificate = objective.certificate(weights, v)
            if last or certificate.within(setting.bound):
                return Solution(weights, v, iteration, certificate)
            tolerance /= 10.0


def _relative(change: Vector, of: Vector) -> float:
    size = float(np.linalg.norm(of))
    return float(np.linalg.norm(change)) / size if size > 0.0 else np.inf
