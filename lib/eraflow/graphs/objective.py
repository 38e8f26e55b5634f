"""The log-degree model of a graph, and certificates of how near a solution is to its optimum.

    minimise over w >= 0   2 zᵀw − a 1ᵀlog(Sw) + b ‖w‖²          (Kalofolias 2016)

z are squared distances of the nodes' rows, one an edge, and Sw the degrees. The logarithm keeps every degree above 0, b
spreads the weight. The dual, over v < 0, one value a node, is

    maximise   −‖max(0, −2z − Sᵀv)‖² / 4b + a 1ᵀlog(−v) − n a (log a − 1),

and at the optimum v = −a / (Sw), w = max(0, −2z − Sᵀv) / 2b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.graphs.edges import Edges, Vector


@dataclass(frozen=True)
class Certificate:
    """How far from the optimum: both are 0 there, and neither needs to know where it is.

    `kkt`: ‖w − max(0, w − g)‖∞ with the gradient g = 2z − a Sᵀ(1/Sw) + 2bw. `gap`: the objective less a
    dual value (of v = −a / (Sw), or a better one), over max(1, |objective|): by so much it can be too large at most.
    Rounding may take it a few units of 1e-16 below 0. inf where a degree is 0.
    """

    objective: float
    kkt: float
    gap: float

    def within(self, bound: float) -> bool:
        return self.kkt < bound and self.gap < bound


@dataclass(frozen=True)
class Objective:
    """The model for given candidate edges, their squared distances, and a, b > 0."""

    edges: Edges
    z: Vector
    a: float = 1.0
    b: float = 1.0

    def value(self, w: Vector) -> float:
        """The objective; inf where a degree is 0."""
        degrees = self.edges.degrees(w)
        if not (degrees > 0.0).all():
            return np.inf
        return float(2.0 * (self.z @ w) - self.a * np.log(degrees).sum() + self.b * (w @ w))

    def dual_value(self, v: Vector) -> float:
        """The dual function: a lower bound of the objective for every v < 0."""
        w = self.primal(v)
        constant = self.edges.nodes * self.a * (np.log(self.a) - 1.0)
        return float(self.a * np.log(-v).sum() - self.b * (w @ w) - constant)

    def primal(self, v: Vector) -> Vector:
        """The weights that belong to a dual point: max(0, −2z − Sᵀv) / 2b."""
        w = self.edges.sums(v)
        w += 2.0 * self.z
        np.negative(w, out=w)
        np.maximum(w, 0.0, out=w)
        w /= 2.0 * self.b
        return w

    def dual(self, w: Vector) -> Vector:
        """The dual point that belongs to weights: −a / (Sw)."""
        return -self.a / self.edges.degrees(w)

    def certificate(self, w: Vector, v: Vector | None = None) -> Certificate:
        """Of the weights `w`; `v` is a further dual point, where one is known."""
        objective = self.value(w)
        if objective == np.inf:
            return Certificate(np.inf, np.inf, np.inf)
        dual = self.dual(w)
        gradient = 2.0 * self.z + self.edges.sums(dual) + 2.0 * self.b * w
        kkt = np.abs(w - np.maximum(0.0, w - gradient)).max()
        bound = max(self.dual_value(point) for point in (dual, v) if point is not None)
        return Certificate(objective, float(kkt), (objective - bound) / max(1.0, abs(objective)))
