"""The momentum family of Network Momentum (arXiv 2308.11294): volatility-scaled returns and normalised MACDs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.feature import CLOSE, Feature, Output, total_return, unscaled
from eraflow.features.series import (
    BAR,
    Moments,
    RunningSum,
    Series,
    absolute,
    exponential_mean,
    exponential_moments,
    filled,
    maximum,
    observed,
    rolling_moments,
    rolling_moments_of_bounded,
    where,
)


def return_moments(x: Series, span: int) -> Moments:
    """Exponentially weighted moments of a series that is known from bar 1 on, as daily returns are."""
    return exponential_moments(x, 2.0 / (span + 1), count=BAR)


def daily_volatility(span: int = 60) -> Series:
    """Exponentially weighted standard deviation of daily returns (pandas' `ewm(span).std()`)."""
    return return_moments(total_return(1), span).deviation


WINSOR_DECAY, WINSOR_WIDTH = math.exp(-math.log(2.0) / 252), 5.0  # a half-life of 252 bars


def winsorised(x: Series, count: Series | None = None, indicator: Series | None = None) -> Series:
    """x held within 5 exponentially weighted deviations of its exponentially weighted mean (half-life 252 bars)."""
    moments = exponential_moments(x, 1.0 - WINSOR_DECAY, count, indicator)
    distance = x - moments.mean
    # The deviation is a root, which only the few values outside need.
    inside = WINSOR_WIDTH * WINSOR_WIDTH * moments.variance >= distance * distance
    bound = where(distance < 0.0, -WINSOR_WIDTH, WINSOR_WIDTH) * moments.deviation
    return where(observed(moments.variance) < 1.0, x, where(inside, x, moments.mean + bound))


@dataclass(frozen=True)
class VolScaledReturn(Feature):
    """The return over `bars` days in units of its expected deviation, winsorised (Network Momentum, 2308.11294)."""

    bars: int
    family: ClassVar[str] = "momentum"

    @property
    def meaning(self) -> str:
        return f"Return over {self.bars} bars over daily volatility (span 60) times sqrt({self.bars}), winsorised"

    def outputs(self) -> dict[str, Output]:
        volatility = daily_volatility()
        scaled = total_return(self.bars) / (volatility * math.sqrt(self.bars))
        # Once a price has moved its volatility stays above 0, so the values stand in an unbroken row from there.
        moved, reached = RunningSum(observed(where(volatility >= 1e-300, 1.0))), BAR - (self.bars - 1)
        values = where(moved < reached, moved, reached)
        return unscaled(**{f"ret_vol_{self.bars}": winsorised(scaled, count=values)})


def varying(moments: Moments) -> Series:
    """The deviation; null where the window is flat up to rounding, so that nothing is divided by noise."""
    return where(moments.deviation >= maximum(1e-12 * absolute(moments.mean), 1e-300), moments.deviation)


@dataclass(frozen=True)
class NormalisedMacd(Feature):
    """Baz et al. (2015): difference of two EWMAs with alpha = 1/J over the price's deviation, over its own, winsorised.

    The price's deviation is over 63 bars, the quotient's over 252; null where either window is flat.
    """

    short: int
    long: int
    family: ClassVar[str] = "momentum"

    @property
    def meaning(self) -> str:
        return (
            f"EWMA(1/{self.short}) less EWMA(1/{self.long}) of the price over std 63, over its own std 252, winsorised"
        )

    def outputs(self) -> dict[str, Output]:
        difference = exponential_mean(CLOSE, 1.0 / self.short) - exponential_mean(CLOSE, 1.0 / self.long)
        deviation = varying(rolling_moments(CLOSE, 63))
        quotient, counted = difference / deviation, observed(deviation)
        over_a_year = rolling_moments_of_bounded(quotient, 252, counted)
        normalised = quotient / varying(over_a_year)
        full = filled(counted, 252)
        return unscaled(**{f"macd_norm_{self.short}_{self.long}": winsorised(normalised, indicator=full)})
