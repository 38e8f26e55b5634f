"""L2GMOM (arXiv 2308.12212): a graph learner of a fixed number of steps below a linear head, trained end to end.

The steps are those of `eraflow.graphs.primal_dual`, which repeats them until they are small; here their parameters are
learned. Needs torch, so that only what runs one imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eraflow.graphs.distances import Distances

NOTHING = 1e-12  # a variance or a degree below it is none


@dataclass(frozen=True)
class Candidates:
    """The pairs that may become edges among nodes 0 .. `nodes` - 1, and their squared distances times θ.

    `nearest`: nodes x k, of each node its k smallest, ascending.
    """

    nodes: int
    first: Tensor
    second: Tensor
    z: Tensor
    nearest: Tensor

    @classmethod
    def of(cls, distances: Distances, theta: float, dtype: torch.dtype = torch.float32) -> Candidates:
        edges = distances.edges
        first, second = (torch.from_numpy(side.astype("int64")) for side in (edges.first, edges.second))
        z, nearest = (torch.from_numpy(theta * some).to(dtype) for some in (distances.z, distances.nearest))
        return cls(edges.nodes, first, second, z, nearest)

    def degrees(self, weights: Tensor) -> Tensor:
        """S w: of each node the sum over its edges."""
        return weights.new_zeros(self.nodes).index_add(0, self.first, weights).index_add(0, self.second, weights)

    def sums(self, values: Tensor) -> Tensor:
        """Sᵀ v: of each edge the sum over its two nodes."""
        return values[self.first] + values[self.second]

    def spread(self, weights: Tensor, values: Tensor) -> Tensor:
        """W u: of each node the sum of its neighbours' values, by the weights of their edges."""
        sums = values.new_zeros(self.nodes).index_add(0, self.first, weights * values[self.second])
        return sums.index_add(0, self.second, weights * values[self.first])


class UnrolledLearner(nn.Module):
    """Weights of the candidates, one an edge, after so many steps of the primal-dual iteration from `single_nodes`.

    From w = 0 some hundred steps would be needed to forget the start: the few that are unrolled join nearly all pairs
    where few should be, whatever a and b are learned. Each layer has an a, a b and a step of its own, or (`shared`) all
    have the same; the start has the first layer's. They begin as the iteration has them: a = b = 1, step = .5 / μ with
    μ = 2b + √(2 d), d the most candidates of a node: n - 1 where every pair is one. A step stays below 1 / μ, where the
    iteration converges.
    """

    def __init__(self, layers: int, shared: bool) -> None:
        super().__init__()
        self.layers = layers
        sets = 1 if shared else layers
        self.log_a, self.log_b, self.pace = (nn.Parameter(torch.zeros(sets)) for _ in range(3))

    def forward(self, graph: Candidates) -> Tensor:
        most = graph.degrees(torch.ones_like(graph.z)).max()
        a, b = self.log_a.exp(), self.log_b.exp()
        step = torch.sigmoid(self.pace) / (2.0 * b + torch.sqrt(2.0 * most))
        v = -single_nodes(graph.nearest, a[0], b[0])
        w = torch.relu(-graph.sums(v) / 2.0 - graph.z) / b[0]
        for layer in range(self.layers):
            at = layer % len(a)
            w, v = _step(graph, w, v, a[at], b[at], step[at])
        return torch.relu(w)


def single_nodes(nearest: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a / degree of each node, were it alone to choose its edges: λ with Σ_j max(0, λ − z_j) / b = a / λ.

    Of k edges it is the root of k λ² − λ Σ_{j ≤ k} z_j − a b = 0; k is the most for which λ stays above z_k. The bounds
    of θ (Kalofolias and Perraudin 2019) rest on it; −λ is near the optimal dual, and depends on a b without a kink.
    """
    count = torch.arange(1, nearest.shape[1] + 1, dtype=nearest.dtype)
    sums = nearest.cumsum(dim=1)
    roots = (sums + torch.sqrt(sums**2 + 4.0 * a * b * count)) / (2.0 * count)
    most = (roots > nearest).sum(dim=1, keepdim=True) - 1
    return roots.gather(1, most)[:, 0]


def _step(graph: Candidates, w: Tensor, v: Tensor, a: Tensor, b: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """The next weights and dual values: forward, backward, forward."""
    y = w - step * (2.0 * b * w + graph.sums(v))
    dual_y = v + step * graph.degrees(w)
    p = torch.relu(y - 2.0 * step * graph.z)
    dual_p = (dual_y - torch.sqrt(dual_y**2 + 4.0 * a * step)) / 2.0
    q = p - step * (2.0 * b * p + graph.sums(dual_p))
    return w + q - y, v + dual_p + step * graph.degrees(p) - dual_y


class L2gmomNetwork(nn.Module):
    """A score for each node: Ã (U θ) + b, Ã = D^−½ A D^−½ of the learned graph, U nodes x features.

    `graph`: learned with the head; fixed, so that only the head learns; or none, the ablation, whose score is U θ + b.
    A node without edges scores b.
    """

    def __init__(self, features: int, layers: int, shared: bool, graph: str) -> None:
        super().__init__()
        self.learner = None if graph == "none" else UnrolledLearner(layers, shared).requires_grad_(graph == "learned")
        self.head = nn.Linear(features, 1)
        nn.init.normal_(self.head.weight, std=features**-0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, graph: Candidates, values: Tensor) -> Tensor:
        scores = values @ self.head.weight[0]
        if self.learner is None:
            return scores + self.head.bias
        if not len(graph.z):
            return torch.zeros_like(scores) + self.head.bias
        weights = self.learner(graph)
        scale = torch.rsqrt(graph.degrees(weights) + NOTHING)
        normalised = weights * scale[graph.first] * scale[graph.second]
        return graph.spread(normalised, scores) + self.head.bias
