"""Per-era metrics against their oracles, and summaries written out."""

import json
from collections.abc import Callable
from math import isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numerai_tools import scoring as numerai
from scipy import stats

from eraflow.errors import InputError
from eraflow.scoring import Payout, max_drawdown, mean_interval, numerai_corr, pearson, per_era, spearman, with_payout
from eraflow.scoring import summarise as summarise_eras
from eraflow.scoring.summary import annual_yield

IDS = [f"i{number:03}" for number in range(10)]
PREDICTIONS = pd.Series([0.1, 0.2, 0.2, 0.4, 0.5, 0.6, 0.6, 0.8, 0.9, 0.95], index=IDS)
TARGET = pd.Series([0, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75, 0.5, 0.75, 1], index=IDS)
BINS = [0, 0.25, 0.5, 0.75, 1]
PAIRS = (numerai_corr, spearman, pearson)
Pair = Callable[[pd.Series, pd.Series], float]


def an_era(seed: int, rows: int = 300) -> tuple[pd.Series, pd.Series]:
    """Predictions with ties and a target with unknown rows, ids shuffled."""
    draw = np.random.default_rng(seed)
    ids = pd.Index([f"n{number:04}" for number in draw.permutation(rows)])
    target = pd.Series(draw.choice(BINS, rows, p=[0.05, 0.2, 0.5, 0.2, 0.05]), index=ids)
    predictions = pd.Series(np.round(draw.normal(size=rows) + target.to_numpy(), 1), index=ids)
    return predictions, target.mask(draw.random(rows) < 0.1)


def test_numerai_corr_of_the_worked_example() -> None:
    assert numerai_corr(PREDICTIONS, TARGET) == pytest.approx(0.9623103497598069, abs=1e-15)


@pytest.mark.parametrize("seed", range(10))
def test_metrics_equal_their_oracles_on_the_rows_with_a_known_target(seed: int) -> None:
    predictions, target = an_era(seed)
    labelled = target.notna()
    p, t = predictions[labelled].sort_index(), target[labelled].sort_index()

    expected = numerai.numerai_corr(p.to_frame("p"), t.rename("t"))["p"]
    assert numerai_corr(predictions, target) == pytest.approx(expected, abs=1e-14)
    assert spearman(predictions, target) == pytest.approx(stats.spearmanr(p, t).statistic, abs=1e-14)
    assert pearson(predictions, target) == pytest.approx(stats.pearsonr(p, t).statistic, abs=1e-14)


@pytest.mark.parametrize("metric", PAIRS)
def test_the_order_of_rows_does_not_change_a_score_by_one_bit(metric: Pair) -> None:
    predictions, target = an_era(1)
    scores = {
        metric(predictions.sample(frac=1, random_state=seed), target.sample(frac=1, random_state=seed + 100))
        for seed in range(10)
    }

    assert len(scores) == 1


@pytest.mark.parametrize("metric", PAIRS)
def test_more_unknown_targets_than_numerai_tools_takes_are_left_out(metric: Pair) -> None:
    few = TARGET.mask(TARGET.index > "i005")

    assert metric(PREDICTIONS, few) == metric(PREDICTIONS[:6], TARGET[:6])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", PAIRS)
@pytest.mark.parametrize(
    ("predictions", "target"),
    [
        ([0.5, 0.5, 0.5, 0.5], [0, 0.25, 0.5, 1]),
        ([0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5]),
        ([0.1, 0.2, 0.3, 0.4], [0, 1, None, None]),
        ([0.1, 0.2, 0.3, 0.4], [None, None, None, None]),
        ([0.5, 0.5, 0.5, 0.1], [0, 0.25, 0.5, None]),
    ],
    ids=["constant predictions", "constant target", "two known", "none known", "constant where known"],
)
def test_what_cannot_be_scored_is_nan(metric: Pair, predictions: list[float], target: list[float | None]) -> None:
    assert isnan(metric(pd.Series(predictions, index=IDS[:4]), pd.Series(target, index=IDS[:4], dtype=float)))


@pytest.mark.parametrize("metric", PAIRS)
def test_a_scored_row_without_prediction_is_refused(metric: Pair) -> None:
    with pytest.raises(InputError, match="1 of 9 scored rows have no prediction"):
        metric(PREDICTIONS.mask(PREDICTIONS.index.isin(["i003", "i004"])), TARGET.mask(TARGET.index == "i003"))


def test_an_id_that_occurs_twice_is_refused() -> None:
    twice = pd.Index([*IDS[:9], "i000"])

    with pytest.raises(InputError, match="an id occurs twice"):
        numerai_corr(PREDICTIONS.set_axis(twice), TARGET.set_axis(twice))


def test_values_that_numerai_tools_refuses_are_told_as_such() -> None:
    ids = pd.Index([f"n{number:06}" for number in range(100_003)])
    wild = pd.Series(np.resize([1.0, -1.0], len(ids)), index=ids)
    wild.iloc[-1] = 100.0

    with pytest.raises(InputError, match="numerai-tools cannot score these values"):
        numerai_corr(pd.Series(np.arange(len(ids), dtype=float), index=ids), wild)


def test_per_era_is_the_mean_over_folds_sorted() -> None:
    scored = pd.DataFrame(
        [
            ("b", 2, 1, "pearson", 0.1),
            ("a", 10, 3, "pearson", 0.4),
            ("a", 9, 2, "pearson", 0.3),
            ("a", 9, 1, "pearson", 0.1),
            ("a", 9, 1, "numerai_corr", np.nan),
            ("a", 10, 2, "pearson", np.nan),
        ],
        columns=["model", "era", "fold", "metric", "value"],
    )

    expected = pd.DataFrame(
        [
            ("a", 9, "numerai_corr", np.nan),
            ("a", 9, "pearson", 0.2),
            ("a", 10, "pearson", 0.4),
            ("b", 2, "pearson", 0.1),
        ],
        columns=["model", "era", "metric", "value"],
    )
    pd.testing.assert_frame_equal(per_era(scored), expected)
    pd.testing.assert_frame_equal(per_era(scored.sample(frac=1, random_state=5)), expected)


def test_the_order_of_folds_does_not_change_the_mean_by_one_bit() -> None:
    values = np.random.default_rng(0).normal(size=40) * 10.0 ** np.arange(-20, 20)
    scored = pd.DataFrame({"model": "m", "era": 1, "fold": range(40), "metric": "pearson", "value": values})

    means = {per_era(scored.sample(frac=1, random_state=seed))["value"].item() for seed in range(20)}

    assert len(means) == 1


def frame(values: list[float], model: str = "m", metric: str = "pearson") -> pd.DataFrame:
    return pd.DataFrame({"model": model, "era": range(1, len(values) + 1), "metric": metric, "value": values})


def test_a_summary_written_out() -> None:
    summary = summarise_eras(frame([-0.02, 0.03, np.nan, -0.03, 0.06]).iloc[[0, 3, 1, 2, 4]], overlap=2)
    rho = np.corrcoef([-0.02, 0.03, -0.03], [0.03, -0.03, 0.06])[0, 1]

    assert json.loads(json.dumps(summary, allow_nan=False)) == {
        "m": {
            "pearson": {
                "eras": 4,
                "eras_without_value": 1,
                "effective_eras": 2.0,
                "mean": pytest.approx(0.01),
                "std": pytest.approx(sqrt(0.00135)),
                "sharpe": pytest.approx(0.01 / sqrt(0.00135)),
                "sortino": pytest.approx(0.01 / sqrt((0.02**2 + 0.03**2) / 4)),
                "calmar": pytest.approx(0.01 * 52 / 0.03),
                "smart_sharpe": pytest.approx(
                    0.01 / sqrt(0.00135 * (1 + 2 * (3 / 4 * abs(rho) + 2 / 4 * rho**2 + 1 / 4 * abs(rho) ** 3)))
                ),
                "autocorrelation": pytest.approx(rho),
                "max_drawdown": pytest.approx(0.03),
                "drawdown_eras": [2, 4],
                "positive_share": 0.5,
                "best_era": 5,
                "worst_era": 4,
                "apy": None,
                "interval": None,
                "confidence": 0.95,
            }
        }
    }


def test_the_last_eras_and_each_fold_are_summarised_like_eras_of_their_own() -> None:
    values = list(np.random.default_rng(0).normal(0.02, 0.1, 60))
    whole = frame(values)
    by_fold = pd.concat([whole.iloc[:25].assign(fold=1), whole.iloc[25:].assign(fold=2)])

    found = summarise_eras(whole, 2, by_fold)["m"]["pearson"]

    assert found["last_20"] == summarise_eras(whole.iloc[-20:], 2)["m"]["pearson"]
    assert found["last_20"]["interval"] is not None
    assert found["last_52"]["eras"] == 52
    assert "last_200" not in found
    folds = {name: {key: part[key] for key in part if key != "last_20"} for name, part in found["folds"].items()}
    of_fold = summarise_eras(whole.iloc[25:], 2)["m"]["pearson"]
    assert folds["2"] == {key: of_fold[key] for key in of_fold if key != "last_20"}
    assert folds["1"]["eras"] == 25


def test_smart_sharpe_is_the_sharpe_of_independent_eras_with_the_same_variance_of_the_mean() -> None:
    draw = np.random.default_rng(4)
    values = [0.0]
    for shock in draw.normal(size=4000):
        values.append(0.5 * values[-1] + shock)

    # The mean of a first-order autoregression has (1 + rho) / (1 - rho) = 3 times the variance of independent eras.
    found = summarise_eras(frame(list(np.array(values) + 0.3)), 1)["m"]["pearson"]
    assert found["sharpe"] / found["smart_sharpe"] == pytest.approx(sqrt(3), rel=0.05)


def test_payout_weighs_scores_and_is_cut_off() -> None:
    both = pd.concat([frame([0.02, -0.10, 0.01], "m", "numerai_corr"), frame([0.01, 0.0, np.nan], "m", "mmc")])
    scores = pd.concat([both, frame([0.5, 0.5, 0.5], "without", "numerai_corr")])

    found = with_payout(scores, Payout({"numerai_corr": 0.5, "mmc": 2.0, "fnc": 0.0}, factor=0.8, limit=0.03))
    paid = found[found["metric"] == "payout"]

    assert paid["model"].unique().tolist() == ["m"]
    assert paid["value"].tolist() == pytest.approx([0.8 * 0.03, -0.03, np.nan], nan_ok=True)
    assert len(found) == len(scores) + 3
    assert list(found.columns) == list(scores.columns)


def test_apy_stakes_again_once_the_label_is_known() -> None:
    paid = summarise_eras(frame([0.01] * 30 + [-0.01] * 10, metric="payout"), 4)["m"]["payout"]

    assert paid["apy"] == pytest.approx((1.01**0.75 * 0.99**0.25) ** 13 - 1)
    assert annual_yield(np.array([0.1, -1.0]), 4) is None


def test_a_summary_of_nothing_and_of_a_constant_has_no_made_up_numbers() -> None:
    nothing = summarise_eras(frame([np.nan, np.nan]), overlap=1)["m"]["pearson"]
    constant = summarise_eras(frame([0.1] * 30), overlap=1)["m"]["pearson"]

    assert (nothing["eras"], nothing["mean"], nothing["sharpe"], nothing["worst_era"]) == (0, None, None, None)
    assert (constant["eras"], constant["sharpe"], constant["interval"]) == (30, None, None)


def test_a_score_of_zero_is_not_positive() -> None:
    assert summarise_eras(frame([0.0, 0.1, -0.1, 0.0]), overlap=1)["m"]["pearson"]["positive_share"] == 0.25


def test_each_model_has_its_own_overlap() -> None:
    values = list(np.random.default_rng(0).normal(0.02, 0.1, 60))
    frames = pd.concat([frame(values, "twenty"), frame(values, "sixty"), frame(values, "twenty", "spearman")])

    summary = summarise_eras(frames, {"twenty": 4, "sixty": 12})

    assert list(summary) == ["sixty", "twenty"]
    assert list(summary["twenty"]) == ["pearson", "spearman"]
    assert summary["twenty"]["pearson"]["effective_eras"] == 15
    low, high = summary["twenty"]["pearson"]["interval"]
    assert low < summary["twenty"]["pearson"]["mean"] < high
    assert summary["sixty"]["pearson"]["interval"] is None


@pytest.mark.parametrize(
    ("values", "drawdown"),
    [
        ([1, 2, 3], 0),
        ([-2, 1, 1], 2),
        ([1, -2, 1, -3, 5], 4),
        ([3, -1, -1, 2, -1], 2),
        ([-1, -1], 2),
    ],
)
def test_drawdown_of_the_cumulative_sum_counts_a_first_fall(values: list[float], drawdown: float) -> None:
    assert max_drawdown(np.array(values, dtype=float)) == drawdown


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_drawdown_is_the_deepest_fall_between_any_two_moments(values: list[float]) -> None:
    level = np.concatenate([[0.0], np.cumsum(values)])

    brute = max(level[a] - level[b] for a in range(len(level)) for b in range(a, len(level)))

    assert max_drawdown(np.array(values)) == brute


def moving_average(draw: np.random.Generator, eras: int, overlap: int) -> np.ndarray:
    """Mean-zero noise whose values share `overlap - 1` of their `overlap` parts with the next, as labels do."""
    return np.convolve(draw.standard_normal(eras + overlap - 1), np.ones(overlap), mode="valid")


def naive_interval(values: np.ndarray) -> tuple[float, float]:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / sqrt(len(values))
    return values.mean() - half, values.mean() + half


@pytest.mark.parametrize(
    ("eras", "overlap", "naive_at_most"),
    [(52, 4, 0.80), (200, 4, 0.80), (600, 4, 0.80), (200, 12, 0.55), (600, 12, 0.55), (600, 60, 0.30)],
)
def test_the_interval_covers_where_the_naive_one_is_far_too_narrow(
    eras: int, overlap: int, naive_at_most: float
) -> None:
    draw = np.random.default_rng([eras, overlap])
    covered = naively_covered = 0
    for _ in range(400):
        values = moving_average(draw, eras, overlap)
        interval = mean_interval(values, overlap)
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
        low, high = naive_interval(values)
        naively_covered += low <= 0 <= high

    assert 0.91 <= covered / 400 <= 0.98
    assert naively_covered / 400 <= naive_at_most


def test_the_interval_equals_its_formula_step_by_step() -> None:
    values = np.random.default_rng(3).normal(0.01, 0.05, 60)
    cosines = 6  # 0.4 * 60^(2/3) = 6.13; 60 / (2 * 4) = 7.5

    transforms = [
        sqrt(2 / 60) * sum(y * np.cos(np.pi * j * (t - 0.5) / 60) for t, y in enumerate(values, 1))
        for j in range(1, cosines + 1)
    ]
    half = stats.t.ppf(0.95, cosines) * sqrt(sum(x**2 for x in transforms) / cosines / 60)

    assert mean_interval(values, 4, confidence=0.9) == pytest.approx((values.mean() - half, values.mean() + half))


def test_no_interval_below_ten_eras_without_overlap() -> None:
    values = np.random.default_rng(3).normal(size=40)

    assert mean_interval(values, 4) is not None
    assert mean_interval(values[:39], 4) is None
    with pytest.raises(InputError, match="overlap must be at least 1"):
        mean_interval(values, 0)
