"""The algebra of series: what is equal, what is refused, how far back a series reads."""

import pytest

from eraflow.features import sets
from eraflow.features.feature import CLOSE, HIGH, LOW, total_return
from eraflow.features.resume import history
from eraflow.features.series import SPACING, Lag, Rolling, RunningSum, Series, ema, rolling_moments, series
from eraflow.features.window_forms import decayed_sum
from eraflow.features.windows import lowered


def test_series_are_equal_when_they_compute_the_same() -> None:
    assert ema(CLOSE, 12) == ema(CLOSE, 12)
    assert len({CLOSE.lag(1), CLOSE.lag(1), Lag(CLOSE, 1)}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CLOSE - HIGH, HIGH - CLOSE),
        (CLOSE + 1.0, CLOSE + 2.0),
        (CLOSE.lag(1), CLOSE.lag(2)),
        (CLOSE.lag(1), HIGH.lag(1)),
        (Rolling(CLOSE, 5, "min"), Rolling(CLOSE, 5, "max")),
        (ema(CLOSE, 12), ema(CLOSE, 12, first=14)),
        (CLOSE < HIGH, CLOSE >= HIGH),
    ],
)
def test_series_that_compute_something_else_differ(one: Series, other: Series) -> None:
    assert one != other


def test_a_lag_of_no_bars_is_the_series_itself() -> None:
    assert CLOSE.lag(0) is CLOSE


def test_numbers_stand_on_either_side() -> None:
    assert series(1.0) - CLOSE == 1.0 - CLOSE
    assert series(2.0) / CLOSE == 2.0 / CLOSE
    assert -CLOSE == 0.0 - CLOSE


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, 1.1])
def test_a_decay_outside_0_and_1_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        decayed_sum(CLOSE, decay)


@pytest.mark.parametrize(
    ("node", "bars"),
    [
        (CLOSE, 0),
        (CLOSE.lag(3), 3),
        (CLOSE.lag(3).lag(4), 7),
        (CLOSE.lag(3) + HIGH.lag(5), 5),
        (Rolling(LOW, 5, "min"), 4),
        (Rolling(Rolling(LOW, 5, "min"), 3, "mean"), 6),
        (total_return(63), 63),
        (rolling_moments(CLOSE, 63).variance, 62),
        (rolling_moments(CLOSE, 252).variance, 251),
        (RunningSum(CLOSE), 0),
        (RunningSum(CLOSE.lag(3)), SPACING),
        (RunningSum(CLOSE.lag(SPACING)), SPACING),
        (ema(CLOSE.lag(SPACING + 1), 12).lag(2), 2 * SPACING + 2),
    ],
)
def test_history_is_the_farthest_bar_read_from_the_states_on(node: Series, bars: int) -> None:
    assert history(lowered({"": node}).values()) == bars


def test_every_output_of_every_set_has_its_own_name() -> None:
    names = [name for feature in (*sets.SETS["main"], *sets.EXPOSURES) for name in feature.outputs()]

    assert len(names) == len(set(names)) == 18
