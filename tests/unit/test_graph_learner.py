"""The graph learner: certificates, a convex solver, identities, degrees, planted graphs, candidates."""

from pathlib import Path

import cvxpy
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from eraflow.graphs.distances import all_pairs, nearest_pairs, nested, squared_distances
from eraflow.graphs.edges import Edges, Matrix
from eraflow.graphs.learner import Graph, learn
from eraflow.graphs.newton import newton
from eraflow.graphs.objective import Objective
from eraflow.graphs.primal_dual import STRICT, WORKING, Setting, primal_dual


def factor_rows(nodes: int, days: int, seed: int) -> Matrix:
    """Rows that share factors in uneven measure, as stocks do."""
    random = np.random.default_rng(seed)
    loadings = random.normal(size=(nodes, 6)) * random.uniform(0.2, 1.0, size=(nodes, 1))
    return loadings @ random.normal(size=(6, days)) + random.normal(size=(nodes, days))


def with_duplicates() -> Matrix:
    return np.repeat(np.random.default_rng(1).normal(size=(30, 20)), 3, axis=0)


def with_constant_rows() -> Matrix:
    return np.vstack([np.random.default_rng(2).normal(size=(60, 20)), np.full((10, 20), 3.0)])


def all_equal() -> Matrix:
    return np.ones((25, 4))


INPUTS = {
    "random": np.random.default_rng(0).normal(size=(80, 40)),
    "factors": factor_rows(90, 60, 0),
    "duplicates": with_duplicates(),
    "constant rows": with_constant_rows(),
    "all equal": all_equal(),
}


def objective(rows: Matrix, scale: float | None = None) -> Objective:
    squared = squared_distances(rows)
    edges = Edges.complete(len(rows))
    z = squared[edges.first, edges.second]
    return Objective(edges, z * (scale if scale is not None else 4.0 / max(z.mean(), 1e-300)))


def learned(rows: Matrix, degree: float = 10) -> Graph:
    return learn(all_pairs(squared_distances(rows), 60), degree)


@pytest.mark.parametrize("name", INPUTS)
def test_newton_is_optimal_to_rounding(name: str) -> None:
    found = newton(objective(INPUTS[name]))

    assert found.certificate.within(1e-10)
    assert (objective(INPUTS[name]).edges.degrees(found.weights) > 0.0).all()


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize(("setting", "bound"), [(WORKING, 1e-4), (STRICT, 1e-6)], ids=["working", "strict"])
def test_the_primal_dual_keeps_what_its_setting_promises(name: str, setting: Setting, bound: float) -> None:
    problem = objective(INPUTS[name])

    found = primal_dual(problem, setting)

    assert found.certificate.within(bound)
    np.testing.assert_allclose(found.weights, newton(problem).weights, atol=20 * bound)


@pytest.mark.parametrize("rows", [factor_rows(64, 50, 3), INPUTS["random"][:40], INPUTS["duplicates"][:60:2]])
def test_the_objective_is_that_of_a_convex_solver(rows: Matrix) -> None:
    problem = objective(rows)
    w = cvxpy.Variable(len(problem.edges), nonneg=True)
    degrees = cvxpy.Variable(len(rows))
    incidence = np.zeros((len(rows), len(problem.edges)))
    incidence[problem.edges.first, np.arange(len(problem.edges))] = 1.0
    incidence[problem.edges.second, np.arange(len(problem.edges))] = 1.0
    cost = 2.0 * problem.z @ w - cvxpy.sum(cvxpy.log(degrees)) + cvxpy.sum_squares(w)
    wanted = cvxpy.Problem(cvxpy.Minimize(cost), [degrees == incidence @ w]).solve(solver=cvxpy.CLARABEL)

    for found in (newton(problem), primal_dual(problem, STRICT)):
        assert found.certificate.objective == pytest.approx(wanted, rel=1e-5)


def test_the_first_step_is_the_published_iteration() -> None:
    problem, a, b = objective(INPUTS["random"][:6]), 1.0, 1.0
    step = 0.5 / (2 * b + np.sqrt(2 * 5))
    incidence = np.zeros((6, 15))
    incidence[problem.edges.first, np.arange(15)] = incidence[problem.edges.second, np.arange(15)] = 1.0
    w, v = np.full(15, 0.3), np.full(6, -1.0 / 1.5)  # the dual at its optimum for the weights
    for _ in range(3):
        y, dual_y = w - step * (2 * b * w + incidence.T @ v), v + step * incidence @ w
        p = np.maximum(0.0, y - 2 * step * problem.z)
        dual_p = (dual_y - np.sqrt(dual_y**2 + 4 * a * step)) / 2
        q, dual_q = p - step * (2 * b * p + incidence.T @ dual_p), dual_p + step * incidence @ p
        w, v = w + q - y, v + dual_q - dual_y

    three = primal_dual(problem, Setting(0.0, 0.0, 3), start=np.full(15, 0.3))

    np.testing.assert_allclose(three.weights, np.maximum(w, 0.0), atol=1e-14)
    np.testing.assert_allclose(three.dual, v, atol=1e-14)


def test_the_last_graph_is_a_good_start() -> None:
    before, after = factor_rows(60, 300, 5), factor_rows(60, 300, 5)
    after[:, :5] = factor_rows(60, 5, 6)
    last = newton(objective(before))

    cold, warm = (primal_dual(objective(after), STRICT, start) for start in (None, last.weights))

    assert warm.iterations < 0.9 * cold.iterations
    assert newton(objective(after), last.dual).iterations < newton(objective(after)).iterations


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 20.0), st.floats(0.05, 20.0), st.integers(0, 1000))
def test_scale_identity(a: float, b: float, seed: int) -> None:
    one = objective(factor_rows(20, 15, seed))

    left = newton(Objective(one.edges, one.z, a, b)).weights
    right = np.sqrt(a / b) * newton(Objective(one.edges, one.z / np.sqrt(a * b))).weights

    np.testing.assert_allclose(left, right, rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_another_order_of_the_nodes_gives_the_same_graph(seed: int) -> None:
    rows = factor_rows(30, 25, seed)
    order = np.random.default_rng(seed).permutation(30)

    np.testing.assert_allclose(learned(rows[order], 5).matrix(), learned(rows, 5).matrix()[order][:, order], atol=1e-9)


@pytest.mark.parametrize("degree", [5, 10, 20])
@pytest.mark.parametrize("nodes", [60, 200])
def test_wanted_degrees_are_reached(degree: int, nodes: int) -> None:
    for rows in (factor_rows(nodes, 120, 7), np.random.default_rng(8).normal(size=(nodes, 50))):
        assert learned(rows, degree).degree == pytest.approx(degree, rel=0.15)


@pytest.mark.parametrize(
    ("days", "every"),
    [
        pytest.param(252, 3, id="a third of tickers", marks=pytest.mark.slow),
        pytest.param(252, 1, id="one year", marks=pytest.mark.soak),
        pytest.param(1260, 1, id="five years", marks=pytest.mark.soak),
    ],
)
def test_graphs_of_real_returns(real_prices: Path, days: int, every: int) -> None:
    table = pd.read_parquet(real_prices, columns=["ticker", "date", "adjusted_close"])
    closes = table.pivot(index="date", columns="ticker", values="adjusted_close").tail(days + 1).dropna(axis=1)
    closes = closes.iloc[:, ::every]
    returns = closes.pct_change().dropna()
    distances = all_pairs(squared_distances((returns / returns.std()).to_numpy().T.copy()), 60)

    for degree in (5, 10, 20):
        found = learn(distances, degree)
        problem = Objective(distances.edges, found.theta * distances.z)

        assert found.degree == pytest.approx(degree, rel=0.15)
        assert found.certificate.within(1e-10)
        assert primal_dual(problem, WORKING).certificate.within(1e-4)
        assert primal_dual(problem, STRICT).certificate.within(1e-6)


def planted() -> tuple[Matrix, np.ndarray]:
    """Five blocks of 20 nodes with a correlation of .6 within, 500 samples."""
    random, blocks = np.random.default_rng(9), np.repeat(np.arange(5), 20)
    return np.sqrt(0.6) * random.normal(size=(5, 500))[blocks] + np.sqrt(0.4) * random.normal(size=(100, 500)), blocks


def f1(found: np.ndarray, wanted: np.ndarray) -> float:
    upper = np.triu_indices(len(wanted), 1)
    found, wanted = found[upper], wanted[upper]
    return 2.0 * (found & wanted).sum() / (found.sum() + wanted.sum())


def test_a_planted_graph_is_recovered() -> None:
    rows, blocks = planted()
    same = blocks[:, None] == blocks[None, :]

    ten, nineteen = learned(rows, 10), learned(rows, 19)

    # A degree of 10 is about half of the 19 others of a block: no edge leaves it, and its edges hold it together.
    assert same[ten.edges.first, ten.edges.second].all()
    parts = connected_components(ten.matrix() > 0.0)[1]
    assert f1(parts[:, None] == parts[None, :], same) > 0.9
    assert f1(nineteen.matrix() > 0.0, same) > 0.9


def test_sparse_equals_dense_where_candidates_cover_the_support() -> None:
    rows = factor_rows(150, 80, 10)
    dense = learned(rows, 6)

    sparse = learn(nearest_pairs(rows, 60), 6)

    assert len(nearest_pairs(rows, 60).edges) < 0.7 * 150 * 149 / 2
    assert sparse.covered == 1.0
    np.testing.assert_allclose(sparse.matrix(), dense.matrix(), atol=1e-9)


def test_too_few_candidates_are_told() -> None:
    assert learn(nearest_pairs(factor_rows(150, 80, 10), 12), 6).covered < 1.0


@pytest.mark.parametrize("dense", [True, False])
def test_nested_stretches_equal_each_stretch_alone(dense: bool) -> None:
    rows, cuts, counts = factor_rows(700, 40, 11), [0, 10, 32], [500, 640, 700]

    found = list(nested(rows, cuts, counts, 15, dense))

    for distances, cut, count in zip(found[::-1], cuts, counts, strict=True):
        edges = distances.edges
        direct = ((rows[edges.first, cut:] - rows[edges.second, cut:]) ** 2).sum(axis=1)
        assert edges.nodes == count
        np.testing.assert_allclose(distances.z, direct, atol=1e-9)
        squared = squared_distances(rows[:count, cut:])
        np.fill_diagonal(squared, np.inf)
        np.testing.assert_allclose(distances.nearest, np.sort(squared, axis=1)[:, :15], atol=1e-9)


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(ValueError, match="there are 8"):
        learned(factor_rows(8, 5, 0), 7)
    lonely = Objective(Edges(3, np.array([0]), np.array([1])), np.array([1.0]))
    with pytest.raises(ValueError, match="node 2 has no candidate edge"):
        newton(lonely)
