"""The graph over features: planted interactions are found among 780 features, and what its columns are made of."""

from dataclasses import dataclass

import numpy as np
import pytest

from eraflow.features.cross_section import Levels, Matrix, Vector
from eraflow.graphs.feature_graph import FeatureGraph, leading, random_pairs, split_pairs
from eraflow.models.levels import centred
from eraflow.models.premia import standardised

FEATURES, ERAS, ROWS, PAIRS = 780, 150, 800, 40
LEARNED = 110  # eras


@dataclass(frozen=True)
class Market:
    """Levels and targets by era. Features 2k and 2k + 1 interact for k < PAIRS."""

    levels: list[Levels]
    target: list[Vector]

    @property
    def premia(self) -> Matrix:
        """Eras x features: correlations with the target."""
        found = [
            standardised(values[:, None].astype(np.float32))[:, 0] @ standardised(centred(rows, -1))
            for rows, values in zip(self.levels[:LEARNED], self.target[:LEARNED], strict=True)
        ]
        return np.array(found, dtype=np.float64)

    def gain(self, pairs: np.ndarray) -> Vector:
        """Of each later era the correlation with the target of the pairs' products, weighted by what they paid."""
        products = [standardised(centred(rows, -1)[:, pairs].prod(axis=2)) for rows in self.levels]
        aims = [standardised(values[:, None].astype(np.float32))[:, 0] for values in self.target]
        paid = np.mean([aim @ x for aim, x in zip(aims[:LEARNED], products[:LEARNED], strict=True)], axis=0)
        later = zip(aims[LEARNED:], products[LEARNED:], strict=True)
        return np.array([np.corrcoef(x @ paid, aim)[0, 1] for aim, x in later])


def market(premium: float, product: float, seed: int = 0) -> Market:
    """Each pair's two features pay the same premium, another one each era; and so does their product, always alike."""
    random = np.random.default_rng(seed)
    levels, targets = [], []
    for _ in range(ERAS):
        rows = random.integers(0, 5, size=(ROWS, FEATURES), dtype=np.int8)
        x = (rows[:, : 2 * PAIRS].astype(np.float64) - 2.0) / np.sqrt(2.0)
        paid = np.repeat(premium * random.normal(size=PAIRS), 2)
        levels.append(rows)
        targets.append(x @ paid + product * (x[:, ::2] * x[:, 1::2]).sum(axis=1) + random.normal(size=ROWS))
    return Market(levels, targets)


def precision(pairs: np.ndarray) -> float:
    """The share of pairs that are planted."""
    return float(np.mean([low % 2 == 0 and high == low + 1 and high < 2 * PAIRS for low, high in pairs]))


@pytest.fixture(scope="module")
def comoving() -> Market:
    return market(premium=0.07, product=0.05)


def test_pairs_whose_premia_move_together_are_found_and_their_products_pay(comoving: Market) -> None:
    found = FeatureGraph.of(comoving.premia, np.eye(FEATURES), degree=5).strongest(PAIRS)

    gain = comoving.gain(found) - comoving.gain(random_pairs(FEATURES, PAIRS, seed=1))
    assert precision(found) > 0.9
    assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain))


def test_a_pure_product_is_not_found() -> None:
    # It has no correlation of its own with the target, so there is no premium to move together.
    premia = market(premium=0.0, product=0.1).premia
    assert precision(FeatureGraph.of(premia, np.eye(FEATURES), degree=5).strongest(PAIRS)) < 0.1


def test_likeness_of_the_features_counts_by_its_share() -> None:
    random = np.random.default_rng(2)
    alike = np.eye(60)
    alike[0, 1] = alike[1, 0] = 0.99
    premia = random.normal(size=(80, 60))

    assert FeatureGraph.of(premia, alike, degree=3, share=0.5).strongest(1).tolist() == [[0, 1]]
    assert FeatureGraph.of(premia, alike, degree=3).strongest(1).tolist() != [[0, 1]]


def blocks() -> FeatureGraph:
    """Three groups of 15 features with common premia."""
    random = np.random.default_rng(3)
    common = np.repeat(random.normal(size=(200, 3)), 15, axis=1)
    return FeatureGraph.of(common + random.normal(size=(200, 45)), np.eye(45), degree=8)


def test_groups_are_the_planted_ones() -> None:
    means = blocks().groups(3, seed=0)

    assert sorted(tuple(np.flatnonzero(column)) for column in means.T) == [
        tuple(range(begin, begin + 15)) for begin in (0, 15, 30)
    ]
    np.testing.assert_allclose(means.sum(axis=0), 1.0)


def test_triples_are_triangles() -> None:
    graph = blocks()
    adjacency = graph.graph.matrix()

    found = graph.triples(10)

    assert len(found) == 10
    for one, other, third in found:
        assert one < other < third
        assert adjacency[one, other] > 0 < adjacency[other, third]
        assert adjacency[one, third] > 0
    assert graph.triples(0).shape == (0, 3)


def test_leading_eigenvectors_are_those_of_numpy() -> None:
    matrix: Matrix = blocks().smoothing()

    found = leading(matrix, 4)

    values = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(matrix @ found, found * values[::-1][:4], atol=1e-10)
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-10)
    assert (found[np.abs(found).argmax(axis=0), range(4)] > 0).all()


def test_random_pairs_differ_and_are_the_seeds() -> None:
    found = random_pairs(30, 50, seed=4)

    assert len({tuple(pair) for pair in found}) == 50
    assert (found[:, 0] < found[:, 1]).all()
    assert (found == random_pairs(30, 50, seed=4)).all()


def test_split_pairs_are_a_models_own_by_gain() -> None:
    # Two trees: feature 2 above 0 (gain 5) and above 2 itself; feature 0 above 2 (gain 1) and above 1 (gain 3).
    model = (
        "tree\nversion=v4\n\nTree=0\nsplit_feature=2 0 2\nsplit_gain=9 5 4\nleft_child=1 -1 -3\nright_child=2 -2 -4\n"
        "\nTree=1\nsplit_feature=0 2 1\nsplit_gain=7 1 3\nleft_child=1 -1 -3\nright_child=2 -2 -4\n\nend of trees\n"
    )

    assert split_pairs(model, ["a", "b", "c"], 5).tolist() == [[0, 2], [0, 1]]
    assert split_pairs(model, ["a", "b", "c"], 1).tolist() == [[0, 2]]
    with pytest.raises(ValueError, match="more features"):
        split_pairs(model, ["a", "b"], 1)
