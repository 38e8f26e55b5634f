"""Charts of scores whose labels overlap: their arithmetic, and how often they alarm with and without a change."""

import numpy as np
import pytest
from scipy import stats
from tests.rounds import base

from eraflow.errors import InputError
from eraflow.monitoring.calibration import alarm_rate, delay, limits, overlapping, simulated
from eraflow.monitoring.charts import Baseline, carried, cusum, drawdown, drawdown_band, rolling_z
from eraflow.monitoring.status import Status, together
from eraflow.monitoring.streams import Kind, Limits, Paths, judged, paths

DAILY, LONG, WEEKLY, SLOW = Kind(20, 5), Kind(60, 5), Kind(4, 1), Kind(12, 1)
KINDS = (DAILY, LONG, WEEKLY, SLOW)
STATED = 0.1
LABELS = 50
NORMAL = Baseline(np.array(0.0), np.array(1.0), 50.0)


def stated(kind: Kind) -> Limits:
    """The limits that base.yml names."""
    found = base().monitor.limits(kind.overlap, kind.weekly, LABELS)
    assert found is not None
    return Limits(found.rolling, found.cusum, found.drawdown)


def test_a_cusum_counts_what_is_below_the_mean_and_spreads_a_label_over_its_rounds() -> None:
    scores = np.array([-1.0, -1.0, 2.0, np.nan, -3.0])
    assert cusum(scores, NORMAL, 1).tolist() == [0.5, 1.0, 0.0, 0.0, 2.5]
    np.testing.assert_allclose(cusum(scores, NORMAL, 4), np.array([0.5, 1.0, 0.0, 0.0, 2.5]) / 4)
    assert np.flatnonzero(cusum(scores, NORMAL, 1) > 0.9)[0] == 1
    assert not (cusum(scores, NORMAL, 1) > 2.5).any()


def test_a_rolling_mean_has_the_deviation_that_overlap_gives_it() -> None:
    values = overlapping(np.random.default_rng(1), 4000, 60, 8)
    exact = Baseline(np.zeros(4000), np.ones(4000), np.inf)
    found = rolling_z(values, exact, 8, 40)
    assert np.isnan(found[:, :15]).all()  # before two labels
    assert found[:, [15, 30, 59]].std(axis=0) == pytest.approx(1.0, abs=0.05)
    naive = values[:, -40:].mean(axis=1) * np.sqrt(40)
    assert naive.std() > 2


def test_a_drawdown_is_the_fall_below_the_highest_level_of_the_window() -> None:
    scores = np.random.default_rng(2).normal(size=60)
    level = np.concatenate([[0.0], np.cumsum(scores)])
    brute = [level[max(0, t - 7) : t + 1].max() - level[t] for t in range(1, 61)]
    np.testing.assert_allclose(drawdown(scores, 7), brute)
    np.testing.assert_allclose(drawdown(scores, 500), np.maximum.accumulate(level)[1:] - level[1:])


def test_a_band_holds_the_stated_share_of_paths() -> None:
    generator = np.random.default_rng(3)
    eras = overlapping(generator, 1, 4000, 4)[0] + 0.3
    band = drawdown_band(eras, 4, 52, 0.95, 400, generator)
    assert (np.diff(band) >= 0).all()
    fresh = overlapping(generator, 2000, 52, 4) + 0.3
    deepest = np.maximum.accumulate(drawdown(fresh, 52), axis=1)[:, -1]
    assert 0.02 < (deepest > band[-1]).mean() < 0.1  # blocks of two labels lose some of the overlap


@pytest.mark.parametrize(
    ("eras", "sentence"),
    [
        (np.arange(39.0), "39 validation eras are 9.8 labels without overlap, and charts of scores need 10; validate "
         "on more eras."),
        (np.ones(80), "a score of the validation eras is missing, or the same in all of them; train anew."),
        (np.append(np.arange(80.0), np.nan), "a score of the validation eras is missing, or the same in all of them; "
         "train anew."),
    ],
)  # fmt: skip
def test_a_baseline_that_is_none_is_refused(eras: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        Baseline.of(eras, 4)
    assert str(raised.value) == sentence


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("streams", [200, pytest.param(500, marks=pytest.mark.soak)])
def test_streams_without_a_change_alarm_no_more_often_than_stated(kind: Kind, streams: int) -> None:
    some = simulated(np.random.default_rng([7, kind.overlap]), streams, 2 * kind.window, kind, LABELS)
    alarmed = alarm_rate(paths(some.scores, some.eras, kind, seed=3), stated(kind), kind)
    for year in (0, 1):
        every = int(alarmed["any"][:, year].sum())
        assert stats.binomtest(every, streams).proportion_ci(0.99).low <= STATED
        assert every >= streams * 0.02  # limits that never alarm find nothing
        for chart in ("rolling", "cusum", "drawdown"):
            assert alarmed[chart][:, year].sum() <= every


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_mean_that_falls_to_0_or_turns_is_found(kind: Kind) -> None:
    some = simulated(np.random.default_rng([8, kind.overlap]), 150, 5 * kind.window, kind, LABELS, sharpe=1.0)
    found = {}
    for change, apply in (("to 0", lambda x: x - 1.0), ("sign flip", np.negative)):
        scores = some.scores.copy()
        scores[:, kind.window :] = apply(scores[:, kind.window :])
        found[change] = np.median(delay(paths(scores, some.eras, kind, seed=4), stated(kind), kind.window)["any"])
    label = {20: 8, 4: 8, 60: 5, 12: 5}[kind.overlap]  # labels until half of the streams have alarmed
    assert found["to 0"] <= label * kind.overlap
    assert found["sign flip"] <= found["to 0"] / 1.5


@pytest.mark.parametrize("kind", [DAILY, LONG], ids=str)
def test_a_slot_that_plays_one_round_a_week_is_watched_as_one_that_plays_all(kind: Kind) -> None:
    some = simulated(np.random.default_rng([10, kind.overlap]), 150, 3 * kind.window, kind, LABELS, sharpe=1.0)
    turned = some.scores.copy()
    turned[:, kind.window :] *= -1
    found = []
    for scores in (some.scores, turned):
        weekly = np.where(np.arange(scores.shape[1]) % kind.weekly == 0, scores, np.nan)
        found.append(alarm_rate(paths(weekly, some.eras, kind, seed=5), stated(kind), kind))
    still, changed = found
    for year in range(3):
        assert stats.binomtest(int(still["any"][:, year].sum()), 150).proportion_ci(0.99).low <= STATED
    assert changed["cusum"][:, 1:].any(axis=1).mean() > 0.9
    assert changed["rolling"][:, 1:].any(axis=1).mean() > 0.9


def test_a_score_stands_for_the_rounds_of_its_label_that_have_none() -> None:
    scores = np.array([[np.nan, 1.0, np.nan, np.nan, np.nan, 2.0, np.nan], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]])
    expected = np.array([[np.nan, 1.0, 1.0, 1.0, np.nan, 2.0, 2.0], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]])
    np.testing.assert_array_equal(carried(scores, 3), expected)
    np.testing.assert_array_equal(carried(scores, 1), scores)


def test_a_chart_that_knows_nothing_of_overlap_alarms_for_nothing() -> None:
    some = simulated(np.random.default_rng(9), 100, DAILY.window, DAILY, LABELS)
    naive = cusum(some.scores, Baseline.of(some.eras, DAILY.weeks), 1)
    assert (naive.max(axis=1) > 5.0).mean() > 0.8


def test_limits_are_found_again_by_simulation_and_are_the_wider_the_fewer_labels() -> None:
    few, many = (limits(WEEKLY, labels, STATED, streams=600) for labels in (20, LABELS))
    named = stated(WEEKLY)
    assert many.cusum == pytest.approx(named.cusum, rel=0.2)
    assert many.rolling == pytest.approx(named.rolling, rel=0.1)
    assert few.cusum > many.cusum
    assert few.drawdown > many.drawdown


def test_base_yml_names_limits_of_the_nearest_fewer_labels() -> None:
    settings = base().monitor
    found = settings.limits(20, 5, 74.9)
    assert found is not None
    assert found.labels == 50
    assert settings.limits(20, 5, 9.9) is None
    assert settings.limits(33, 5, 100) is None


def test_a_status_says_which_chart_has_left_its_limits_and_since_when() -> None:
    calm, high = np.array([0.0, 1.0, 1.0]), np.array([1.0, 2.5, 3.0])
    limited = Limits(2.0, 4.0, 2.0)
    assert judged(Paths(calm, calm, calm), limited, "corr20") == Status("ok")
    assert judged(Paths(high, calm, calm), limited, "corr20") == Status(
        "warn",
        (
            "the mean of corr20 over the last year is 3.0 deviations below that of validation eras (limit 2.0) for 2 "
            "rounds",
        ),
    )
    found = judged(Paths(calm, 2 * high, high), limited, "corr20")
    assert found.level == "retrain"
    assert found.reasons == (
        "corr20 has fallen off its validation mean by a CUSUM of 6.0 (limit 4.0) for 2 rounds",
        "the drawdown of corr20 is 3.00 times what validation eras show (limit 2.00) for 2 rounds",
    )
    assert together([]) == Status("ok")
    assert together([Status("warn", ("a",)), Status("block", ("b",)), Status("ok")]) == Status("block", ("b", "a"))
