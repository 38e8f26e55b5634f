"""Sampled Shapley values: what is known exactly lies within the errors that are told, and sums are exact."""

from collections.abc import Callable
from itertools import combinations
from math import factorial

import numpy as np
import pytest
from scipy import stats

from eraflow.shapley.walks import Matrix, Rows, Walks

WEIGHTS = np.array([0.5, -1.0, 0.25, 0.0, 2.0, -0.3])
WIDTH, PAIRS = len(WEIGHTS), 16


def linear(rows: Rows) -> Matrix:
    return np.asarray(rows @ WEIGHTS + 0.7)


def interacting(rows: Rows) -> Matrix:
    x = rows - 2.0
    return np.asarray(linear(rows) + 0.6 * x[:, 0] * x[:, 1] - 0.4 * x[:, 2] * np.abs(x[:, 4]) * (x[:, 0] > 0))


def exact(function: Callable[[Rows], Matrix], rows: Rows, background: Rows) -> Matrix:
    """By the definition: every coalition, over every row of the background."""
    worth = {}
    for size in range(WIDTH + 1):
        for held in combinations(range(WIDTH), size):
            mixed = np.repeat(background[None], len(rows), axis=0)
            mixed[:, :, list(held)] = rows[:, None, list(held)]
            worth[held] = function(mixed.reshape(-1, WIDTH)).reshape(len(rows), -1).mean(axis=1)
    out = np.zeros((len(rows), WIDTH))
    for held, value in worth.items():
        for player in set(range(WIDTH)) - set(held):
            share = factorial(len(held)) * factorial(WIDTH - len(held) - 1) / factorial(WIDTH)
            out[:, player] += share * (worth[tuple(sorted((*held, player)))] - value)
    return out


def drawn(seed: int, rows: int) -> Rows:
    return np.random.default_rng(seed).integers(0, 5, (rows, WIDTH)).astype(np.int8)


def walks(function: Callable[[Rows], Matrix], background: Rows) -> Walks:
    return Walks(background, float(function(background).mean()), np.arange(WIDTH), PAIRS)


@pytest.mark.parametrize("function", [linear, interacting])
def test_the_stated_errors_cover_the_exact_values_in_95_of_100_cases(function: Callable[[Rows], Matrix]) -> None:
    rows, background = drawn(1, 400), drawn(2, 100)
    truth = exact(function, rows, background)
    found, errors = walks(function, background).values(function, rows)

    widest = stats.t.ppf(0.975, PAIRS - 1)
    read = [0, 1, 2, 4, 5]
    covered = np.abs(found - truth)[:, read] <= widest * errors[:, read]
    assert 0.93 < covered.mean() < 0.975
    assert errors[:, read].min() > 0  # so that nothing is covered by chance of a rounding
    # Not too wide either: errors are as large as they are said to be.
    assert np.sqrt(((found - truth) ** 2)[:, read].mean() / (errors**2)[:, read].mean()) == pytest.approx(1, abs=0.1)


def test_more_walks_come_closer_and_by_the_root_of_their_number() -> None:
    rows, background = drawn(1, 200), drawn(2, 100)
    few, many = (
        Walks(background, float(interacting(background).mean()), np.arange(WIDTH), pairs).values(interacting, rows)[1]
        for pairs in (8, 128)
    )
    assert few.mean() / many.mean() == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("together", [False, True])
def test_values_and_base_are_the_function_and_the_same_again(together: bool) -> None:
    rows, background = drawn(3, 50), drawn(4, 30)
    made = Walks(background, float(interacting(background).mean()), np.arange(WIDTH), 4, together)
    found, errors = made.values(interacting, rows)
    np.testing.assert_allclose(found.sum(axis=1) + made.base, interacting(rows), rtol=0, atol=1e-9)
    again = made.values(interacting, rows)
    np.testing.assert_array_equal(found, again[0])
    np.testing.assert_array_equal(errors, again[1])
    assert not np.array_equal(made.values(interacting, rows[::-1])[0][::-1], found)  # other rows draw anew


def test_what_is_not_read_is_worth_nothing_without_an_error() -> None:
    rows, background = drawn(5, 50), drawn(6, 30)
    found, errors = walks(interacting, background).values(interacting, rows)
    assert np.abs(found[:, 3]).max() == 0
    assert np.abs(errors[:, 3]).max() == 0


def test_columns_of_one_player_change_together() -> None:
    """Of two columns whose product counts, as a feature's weeks do, one player has what both would share."""
    rows, background = drawn(7, 60), drawn(8, 50)
    apart = exact(interacting, rows, background)
    player = np.array([0, 0, 1, 2, 3, 4])
    found, errors = Walks(background, float(interacting(background).mean()), player, 64).values(interacting, rows)
    assert found.shape == (60, 5)
    assert np.abs(found[:, 0] - apart[:, :2].sum(axis=1)).max() > 0.05  # of three features together it is not the sum
    assert np.mean(np.abs(found[:, 4] - apart[:, 5]) <= 3 * errors[:, 4]) > 0.95


def test_rows_that_a_function_sees_together_are_changed_together() -> None:
    """A function of a row's place above the others': what is in common to all rows is worth nothing."""

    def above(rows: Rows) -> Matrix:
        return np.asarray(linear(rows) - linear(rows).mean())

    rows, background = drawn(9, 40), drawn(10, 200)
    found, errors = Walks(background, 0.0, np.arange(WIDTH), 64, together=True).values(above, rows)
    expected = (rows - rows.mean(axis=0)) * WEIGHTS  # a background row's level above the mean is 0 on average
    assert np.mean(np.abs(found - expected) <= 2 * errors + 1e-12) > 0.9
    np.testing.assert_allclose(found.sum(axis=1), above(rows), rtol=0, atol=1e-9)
