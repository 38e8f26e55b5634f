"""The unrolled graph learner is the primal-dual iteration, its gradients are right, and L2GMOM is made of it."""

import numpy as np
import pytest
from scipy.optimize import brentq

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

from eraflow.graphs.distances import Distances, all_pairs, nearest_pairs, squared_distances  # noqa: E402
from eraflow.graphs.history import normalised  # noqa: E402
from eraflow.graphs.learner import theta_for  # noqa: E402
from eraflow.graphs.newton import newton  # noqa: E402
from eraflow.graphs.objective import Objective  # noqa: E402
from eraflow.graphs.primal_dual import Setting, primal_dual  # noqa: E402
from eraflow.models.unrolled import Candidates, L2gmomNetwork, UnrolledLearner, single_nodes  # noqa: E402

NODES, THETA = 25, 0.8


def distances() -> Distances:
    rows = np.random.default_rng(3).normal(size=(NODES, 6))
    return all_pairs(squared_distances(rows), NODES - 1)


def learner(layers: int, a: float = 1.0, b: float = 1.0, shared: bool = True) -> UnrolledLearner:
    made = UnrolledLearner(layers, shared).double()
    with torch.no_grad():
        made.log_a.fill_(np.log(a))
        made.log_b.fill_(np.log(b))
    return made


def alone(a: float, b: float) -> np.ndarray:
    """λ of each node among all others: where Σ_j max(0, λ − z_j) / b = a / λ."""
    z = THETA * distances().edges.matrix(distances().z).toarray()
    np.fill_diagonal(z, np.inf)
    return np.array([brentq(lambda x, row=row: np.maximum(0, x - row).sum() / b - a / x, 1e-9, 1e3) for row in z])


def iterated(a: float, b: float, layers: int) -> np.ndarray:
    """The weights after so many steps of the iteration in numpy, from what each node would choose alone."""
    edges, z = distances().edges, THETA * distances().z
    dual = -alone(a, b)
    start = np.maximum(0.0, (-edges.sums(dual) - 2.0 * z) / (2.0 * b))
    return primal_dual(Objective(edges, z, a, b), Setting(0.0, 0.0, layers), start, dual).weights


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.5, 2.0), (30.0, 0.4)])
def test_the_start_is_what_each_node_would_choose_alone(a: float, b: float) -> None:
    nearest = Candidates.of(distances(), THETA, torch.float64).nearest
    found = single_nodes(nearest, torch.tensor(a), torch.tensor(b))
    np.testing.assert_allclose(found.numpy(), alone(a, b), rtol=1e-9)


@pytest.mark.parametrize(("layers", "a", "b"), [(1, 1.0, 1.0), (7, 1.0, 1.0), (40, 0.5, 2.0), (300, 3.0, 0.4)])
@pytest.mark.parametrize("shared", [True, False])
def test_with_the_same_parameters_it_is_the_iteration_in_numpy(layers: int, a: float, b: float, shared: bool) -> None:
    found = distances()
    weights = learner(layers, a, b, shared)(Candidates.of(found, THETA, torch.float64)).detach().numpy()

    np.testing.assert_allclose(weights, iterated(a, b, layers), rtol=1e-10, atol=1e-12)


def test_gradients_equal_differences_of_the_iteration_in_numpy() -> None:
    found, step = distances(), 1e-6
    pull = np.random.default_rng(5).normal(size=len(found.z))

    def value(a: float, b: float) -> float:
        return float(pull @ iterated(a, b, 30))

    made = learner(30, 0.7, 1.3)
    (made(Candidates.of(found, THETA, torch.float64)) @ torch.from_numpy(pull)).backward()
    # What is learned is the logarithm.
    by_a = (value(0.7 * np.exp(step), 1.3) - value(0.7 * np.exp(-step), 1.3)) / (2 * step)
    by_b = (value(0.7, 1.3 * np.exp(step)) - value(0.7, 1.3 * np.exp(-step))) / (2 * step)
    assert made.log_a.grad.item() == pytest.approx(by_a, rel=1e-6)
    # The step of the iteration depends on b, here and there alike.
    assert made.log_b.grad.item() == pytest.approx(by_b, rel=1e-6)


def test_gradients_of_every_parameter_equal_differences() -> None:
    torch.manual_seed(2)
    network = L2gmomNetwork(3, 5, shared=False, graph="learned").double()
    with torch.no_grad():
        for parameter in network.learner.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    graph = Candidates.of(distances(), THETA, torch.float64)
    values = torch.randn(NODES, 3, dtype=torch.float64)
    names, parameters = zip(*network.named_parameters(), strict=True)

    def scores(*changed: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(network, dict(zip(names, changed, strict=True)), (graph, values))

    assert len(parameters) == 5
    assert torch.autograd.gradcheck(scores, tuple(p.detach().clone().requires_grad_() for p in parameters))


def test_a_score_is_the_normalised_graph_times_the_head() -> None:
    torch.manual_seed(2)
    network = L2gmomNetwork(3, 30, shared=True, graph="fixed").double()
    found = distances()
    values = np.random.default_rng(1).normal(size=(NODES, 3))
    with torch.no_grad():
        network.head.bias.fill_(0.25)
        scores = network(Candidates.of(found, THETA, torch.float64), torch.from_numpy(values)).numpy()

    matrix = found.edges.matrix(normalised(found.edges, iterated(1.0, 1.0, 30)))
    np.testing.assert_allclose(scores, matrix @ (values @ network.head.weight[0].detach().numpy()) + 0.25, atol=1e-9)


def test_five_layers_come_near_the_optimum() -> None:
    draw = np.random.default_rng(8)
    found = nearest_pairs(np.repeat(draw.normal(size=(30, 100)), 3, axis=0) + draw.normal(size=(90, 100)), 30)
    theta = theta_for(found.nearest, 5)
    weights = learner(5)(Candidates.of(found, theta, torch.float64)).detach().numpy()

    optimum = newton(Objective(found.edges, theta * found.z), None).weights
    assert np.corrcoef(normalised(found.edges, weights), normalised(found.edges, optimum))[0, 1] > 0.99


def test_without_edges_or_without_a_graph() -> None:
    values = torch.ones(4, 3)
    none = Candidates(4, *(torch.zeros(0, dtype=torch.int64) for _ in range(2)), torch.zeros(0), torch.zeros(4, 0))
    learned, alone = (L2gmomNetwork(3, 5, shared=True, graph=graph) for graph in ("learned", "none"))

    assert not learned(none, values).any()
    torch.testing.assert_close(alone(none, values), values @ alone.head.weight[0])
