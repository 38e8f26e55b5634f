"""Shapley values of trees: by their definition, beside LightGBM's own, and as parts of a prediction."""

from itertools import combinations
from math import factorial

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from eraflow.shapley.forest import Forest

Levels = npt.NDArray[np.int8]
MISSING = -1


def rows(count: int, features: int, seed: int = 3) -> Levels:
    return np.random.default_rng(seed).integers(MISSING, 5, (count, features)).astype(np.int8)


def floats(levels: Levels) -> npt.NDArray[np.float64]:
    return np.where(levels == MISSING, np.nan, levels.astype(np.float64))


def grown(levels: Levels, trees: int, **settings: object) -> lightgbm.Booster:
    """Trees of a target with an interaction, whose missing levels go both ways."""
    values = np.nan_to_num(floats(levels) - 2)
    noise = np.random.default_rng(4).normal(size=len(levels))
    target = values[:, 0] + values[:, 1] * values[:, 2] + (levels[:, 3] == MISSING) + 0.3 * noise
    defaults = {
        "verbosity": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "max_bin": 7,
        "deterministic": True,
        "seed": 1,
    }
    booster = lightgbm.train(defaults | settings, lightgbm.Dataset(floats(levels), target), trees)
    return lightgbm.Booster(model_str=booster.model_to_string())


FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "feature_fraction": 0.5}
SHAPES = [
    pytest.param({"num_leaves": 31, "max_depth": 5}, id="boosted"),
    pytest.param({"num_leaves": 200, "max_depth": 12}, id="deep"),  # more patterns of a path than rows
    pytest.param({**FOREST, "num_leaves": 63}, id="forest"),
    pytest.param({"num_leaves": 4, "boost_from_average": False}, id="shallow"),
    pytest.param({"use_missing": False}, id="without missing values"),
]


@pytest.mark.parametrize("settings", SHAPES)
def test_values_and_base_are_the_prediction_and_lightgbms_own(settings: dict[str, object]) -> None:
    levels = rows(3000, 12)
    booster = grown(levels, 8, **settings)
    forest = Forest.of_lightgbm(booster.model_to_string())

    few = levels[:300]
    found = forest.shapley(few, MISSING)
    predicted = booster.predict(floats(few))
    np.testing.assert_allclose(found.sum(axis=1) + forest.base, predicted, rtol=0, atol=1e-12)
    theirs = booster.predict(floats(few), pred_contrib=True)
    if settings.get("boosting") == "rf":  # LightGBM adds up what it averages in predictions
        theirs = theirs / booster.num_trees()
    np.testing.assert_allclose(np.column_stack([found, np.full(len(few), forest.base)]), theirs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forest.shapley(levels, MISSING)[:300], found, rtol=0, atol=1e-12)


def test_values_and_interactions_are_those_of_the_definition() -> None:
    levels = rows(400, 5)
    booster = grown(levels, 2, num_leaves=12)
    forest, few = Forest.of_lightgbm(booster.model_to_string()), levels[:20]
    worth = {held: worth_of(forest, few, held) for size in range(6) for held in combinations(range(5), size)}

    def gain(held: tuple[int, ...], *more: int) -> npt.NDArray[np.float64]:
        return worth[tuple(sorted((*held, *more)))]

    values = forest.shapley(few, MISSING)
    pairs = forest.interactions(few, MISSING, range(5))
    for one in range(5):
        others = [x for x in range(5) if x != one]
        expected = sum(
            factorial(size) * factorial(4 - size) / factorial(5) * (gain(held, one) - gain(held))
            for size in range(5)
            for held in combinations(others, size)
        )
        np.testing.assert_allclose(values[:, one], expected, rtol=0, atol=1e-12)
    for one, two in combinations(range(5), 2):
        others = [x for x in range(5) if x not in (one, two)]
        expected = sum(
            factorial(size) * factorial(3 - size) / (2 * factorial(4))
            * (gain(held, one, two) - gain(held, one) - gain(held, two) + gain(held))
            for size in range(4)
            for held in combinations(others, size)
        )  # fmt: skip
        np.testing.assert_allclose(pairs[:, one, two], expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(pairs[:, two, one], pairs[:, one, two], rtol=0, atol=0)


def worth_of(forest: Forest, levels: Levels, held: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """What trees predict where only these features are known: both ways of others, by their shares."""
    total = np.full(len(levels), 0.0)
    for leaf in range(len(forest.value)):
        factor = np.full(len(levels), forest.value[leaf])
        for at in range(forest.begins[leaf], forest.begins[leaf + 1]):
            feature = int(forest.feature[at])
            goes = (forest.allowed[at] >> np.where(levels[:, feature] == MISSING, 0, levels[:, feature] + 1)) & 1
            factor = factor * (goes if feature in held else forest.ratio[at])
        total += factor
    return total


def test_only_chosen_pairs_are_looked_at() -> None:
    levels = rows(2000, 6)
    forest = Forest.of_lightgbm(grown(levels, 10).model_to_string())
    every = forest.interactions(levels[:50], MISSING, range(6))
    some = forest.interactions(levels[:50], MISSING, [4, 1, 2])
    np.testing.assert_allclose(some, every[:, [4, 1, 2]][:, :, [4, 1, 2]], rtol=0, atol=1e-15)
    size = np.abs(every).mean(axis=0)
    assert tuple(np.unravel_index(size.argmax(), size.shape)) in {(1, 2), (2, 1)}


def test_a_tree_without_a_split_is_its_base() -> None:
    levels = rows(50, 2)
    booster = lightgbm.train(
        {"verbosity": -1, "min_data_in_leaf": 40}, lightgbm.Dataset(floats(levels), np.arange(50.0)), 2
    )
    forest = Forest.of_lightgbm(booster.model_to_string())
    assert forest.base == pytest.approx(24.5)
    assert not forest.shapley(levels, MISSING).any()
