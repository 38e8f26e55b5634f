"""The algebra of series: what is equal, what is refused, how far back a series reads."""

import math
import sys

import numpy as np
import pytest

from eraflow.features import sets
from eraflow.features.indicators import CLOSE, HIGH, LOW, total_return
from eraflow.features.plan import look_back
from eraflow.features.series import (
    BLOCKS,
    DECAY_BORDER,
    Apply,
    BlockSum,
    Lag,
    Rolling,
    Series,
    decayed_sum,
    ema,
    rolling_moments,
    series,
)


def blocks_in(node: Series) -> set[int]:
    """The block lengths that a series sums over."""
    if isinstance(node, Apply):
        return set().union(*(blocks_in(argument) for argument in node.arguments))
    below = blocks_in(node.source) if hasattr(node, "source") else set()
    return below | ({node.block} if isinstance(node, BlockSum) else set())


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


def test_a_filter_too_fast_for_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="use a rolling mean"):
        decayed_sum(CLOSE, 0.5)


@pytest.mark.parametrize("decay", [math.exp(-700.0 / BLOCKS[0]) * 1.0001, math.exp(-DECAY_BORDER) * 0.9999])
def test_fast_filters_use_the_short_block_and_keep_all_that_counts(decay: float) -> None:
    assert blocks_in(decayed_sum(CLOSE, decay)) == {BLOCKS[0]}
    assert decay ** -(BLOCKS[0] - 1) < sys.float_info.max / 1e4
    # What is older than the block before has at least one whole block of decay behind it.
    assert decay ** BLOCKS[0] < np.finfo(float).eps


def test_slow_filters_use_the_long_block_without_overflow() -> None:
    decay = math.exp(-DECAY_BORDER * 0.9999)

    assert blocks_in(decayed_sum(CLOSE, decay)) == {BLOCKS[1]}
    assert decay ** -(BLOCKS[1] - 1) < sys.float_info.max / 1e4


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
    ],
)
def test_look_back_is_the_farthest_bar_read(node: Series, bars: int) -> None:
    assert look_back(node) == bars


def test_every_output_of_every_set_has_its_own_name() -> None:
    names = [name for feature in (*sets.SETS["main"], *sets.EXPOSURES) for name in feature.outputs()]

    assert len(names) == len(set(names)) == 18
