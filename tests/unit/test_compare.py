"""Comparison of models: written-out differences, and what is known of the best of many worthless trials."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from eraflow.scoring import mean_interval
from eraflow.scoring.compare import (
    deflated_sharpe,
    differences,
    expected_best_sharpe,
    leaderboard,
    overfitting_probability,
)


def frame(values: dict[str, list[float] | np.ndarray], metric: str = "numerai_corr") -> pd.DataFrame:
    parts = [
        pd.DataFrame({"model": model, "era": range(1, len(column) + 1), "metric": metric, "value": column})
        for model, column in values.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_differences_are_paired_by_era_and_begin_with_the_best() -> None:
    draw = np.random.default_rng(0)
    market = draw.normal(0.0, 0.1, 60)  # moves both, so that only pairing shows the difference
    a, b = market + 0.01 + draw.normal(0, 0.005, 60), market + draw.normal(0, 0.005, 60)
    scores = pd.concat([frame({"b": b, "a": np.append(a, 5.0)}), frame({"a": -a, "b": b}, "mmc")])

    found = differences(scores, "numerai_corr", 4)

    low, high = mean_interval(a - b, 4) or (0.0, 0.0)
    expected = pd.DataFrame(
        [("a", "b", 60, (a - b).mean(), low, high, (a > b).mean())],
        columns=["model", "other", "eras", "mean", "low", "high", "better_share"],
    )
    pd.testing.assert_frame_equal(found, expected)
    assert low > 0


def test_models_without_common_eras_have_no_difference() -> None:
    scores = pd.concat([frame({"a": [0.1, 0.2]}), frame({"b": [0.1]}).assign(era=9)])

    found = differences(scores, "numerai_corr", 1)

    assert found["eras"].tolist() == [0]
    assert found["mean"].isna().all()


def test_the_leaderboard_counts_trials_that_are_not_shown() -> None:
    draw = np.random.default_rng(1)
    scores = frame({name: draw.normal(0.01, 0.05, 120) for name in "abcd"} | {"best": draw.normal(0.02, 0.05, 120)})

    few, many = leaderboard(scores, "numerai_corr", 1, trials=5), leaderboard(scores, "numerai_corr", 1, trials=500)

    assert few["mean"].is_monotonic_decreasing
    assert (few["deflated"] > many["deflated"]).all()
    pd.testing.assert_frame_equal(few.drop(columns="deflated"), many.drop(columns="deflated"))


@pytest.mark.parametrize("trials", [5, 50])
def test_the_best_of_worthless_trials_shows_the_sharpe_that_is_expected(trials: int) -> None:
    draw = np.random.default_rng(trials)
    sharpes = draw.normal(0.0, 0.1, (4000, trials))

    assert sharpes.max(axis=1).mean() == pytest.approx(expected_best_sharpe(list(sharpes[:, 0]), trials, 100), rel=0.08)
    assert expected_best_sharpe([0.3], 1, 100) == 0.0


def test_one_model_that_was_chosen_among_many_is_deflated_too() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, 100)
    assert deflated_sharpe(values, [0.2], 200, 1) < 0.7
    assert deflated_sharpe(values, [0.2], 1, 1) > 0.95


def test_the_best_of_worthless_trials_is_deflated_to_chance() -> None:
    draw = np.random.default_rng(2)
    naive, deflated = [], []
    for _ in range(300):
        values = draw.normal(0.0, 1.0, (40, 100))
        sharpes = list(values.mean(axis=1) / values.std(axis=1))
        best = values[int(np.argmax(sharpes))]
        naive.append(deflated_sharpe(best, sharpes, 1, 1))
        deflated.append(deflated_sharpe(best, sharpes, 40, 1))

    assert np.mean(np.array(naive) > 0.95) > 0.5
    assert np.mean(np.array(deflated) > 0.95) < 0.05


def test_the_best_of_worthless_trials_beside_its_twin_is_deflated_to_chance() -> None:
    """The others are not shown, so that the spread of those that are says nothing."""
    draw, passed = np.random.default_rng(4), 0
    for _ in range(300):
        values = draw.normal(0.0, 1.0, (20, 100))
        best = values[int(np.argmax(values.mean(axis=1) / values.std(axis=1)))]
        twin = best + 0.01 * draw.normal(size=100)
        sharpes = [float(each.mean() / each.std()) for each in (best, twin)]
        passed += deflated_sharpe(best, sharpes, 20, 1) > 0.95

    assert passed / 300 < 0.06


def test_one_trial_of_normal_eras_is_the_usual_test_of_a_mean() -> None:
    values = np.random.default_rng(3).normal(0.05, 1.0, 400)
    t = values.mean() / values.std() * np.sqrt(399)

    assert deflated_sharpe(values, [0.1], 1, 1) == pytest.approx(stats.norm.cdf(t), abs=0.01)
    # Labels that overlap are worth fewer eras.
    assert deflated_sharpe(values, [0.1], 1, 4) == pytest.approx(stats.norm.cdf(t / 2), abs=0.01)
    assert np.isnan(deflated_sharpe(np.full(50, 0.1), [0.1], 1, 1))
    assert np.isnan(deflated_sharpe(values[:8], [0.1], 1, 4))


def test_choosing_among_noise_overfits_and_choosing_a_true_model_does_not() -> None:
    draw = np.random.default_rng(4)
    noise = [
        overfitting_probability(frame({f"m{n}": draw.normal(0, 1, 200) for n in range(20)}), "numerai_corr", 1)
        for _ in range(8)
    ]
    true = frame({f"m{n}": draw.normal(0, 1, 200) for n in range(20)} | {"true": draw.normal(0.6, 1, 200)})

    # Halves of one sample mirror each other: what is above the mean in one is below it in the other.
    assert 0.35 < np.mean([share for share in noise if share is not None]) < 0.95
    assert overfitting_probability(true, "numerai_corr", 1) == pytest.approx(0.0, abs=0.01)


def test_the_probability_of_overfitting_equals_its_definition() -> None:
    values = np.random.default_rng(5).normal(0, 1, (12, 3))
    scores = frame({name: values[:, place] for place, name in enumerate("abc")})
    blocks = np.array_split(np.arange(12), 4)
    below = []
    for a in range(4):
        for b in range(a + 1, 4):
            inside = np.concatenate([blocks[a], blocks[b]])
            outside = np.setdiff1d(np.arange(12), inside)
            best = np.argmax(values[inside].mean(axis=0) / values[inside].std(axis=0))
            ranks = stats.rankdata(values[outside].mean(axis=0) / values[outside].std(axis=0))
            share = ranks[best] / 4
            below.append(np.log(share / (1 - share)) <= 0)

    assert overfitting_probability(scores, "numerai_corr", 3) == np.mean(below)
    assert overfitting_probability(scores, "numerai_corr", 4) is None
    assert overfitting_probability(scores[scores["model"] == "a"], "numerai_corr", 1) is None
