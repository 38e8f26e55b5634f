"""The features: each a small frozen object that says its names, what it is made of and how Numerai's levels rank it.

Prices are total-return prices (`close`, `high`, `low` scaled forward from a ticker's first day; see
`eraflow.sources.prices`), `raw_close` and `volume` are as traded. To add a feature, add a class here, name it in
`eraflow.features.sets` and hold it against an oracle in `tests/spark/test_indicators.py`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.series import (
    BAR,
    Input,
    Moments,
    Rolling,
    Series,
    absolute,
    ema,
    exponential_mean,
    exponential_moments,
    known,
    log,
    maximum,
    minimum,
    rolling_moments,
    where,
    wilder,
)

CLOSE, HIGH, LOW = Input("close"), Input("high"), Input("low")
RAW_CLOSE, VOLUME = Input("raw_close"), Input("volume")
MARKET = Input("market_return")  # the universe's mean daily return at the bar's date

TA_LIB_ZERO = 1e-14  # what TA-Lib takes for zero in a divisor


@dataclass(frozen=True)
class Output:
    """One column of a feature: its raw series, and the series without a scale that is ranked across tickers."""

    raw: Series
    ranked: Series


class Feature(ABC):
    """What a feature declares. `family` is the array of the feature table that its columns stand in."""

    family: ClassVar[str]

    @abstractmethod
    def outputs(self) -> dict[str, Output]:
        """Column name -> output, in the order in which they are stored."""

    @property
    @abstractmethod
    def meaning(self) -> str:
        """One line for the table in the documentation."""


def _unscaled(**columns: Series) -> dict[str, Output]:
    return {name: Output(column, column) for name, column in columns.items()}


def _over_price(**columns: Series) -> dict[str, Output]:
    return {name: Output(column, column / CLOSE) for name, column in columns.items()}


@dataclass(frozen=True)
class Rsi(Feature):
    """Wilder's relative strength index as TA-Lib computes it: 100 gain / (gain + loss), 0 where nothing ever moved."""

    bars: int = 14
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Relative strength index over {self.bars} bars, 0 to 100"

    def outputs(self) -> dict[str, Output]:
        change = CLOSE - CLOSE.lag(1)
        gain = wilder(maximum(change, 0.0), self.bars, first=1)
        loss = wilder(maximum(-change, 0.0), self.bars, first=1)
        return _unscaled(**{f"rsi_{self.bars}": where(gain + loss < TA_LIB_ZERO, 0.0, 100.0 * gain / (gain + loss))})


@dataclass(frozen=True)
class Macd(Feature):
    """MACD line, signal and histogram as TA-Lib computes them: both averages are seeded at the slow one's first bar."""

    fast: int = 12
    slow: int = 26
    signal: int = 9
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"MACD({self.fast}, {self.slow}, {self.signal}): line, signal, histogram; ranked over the price"

    def outputs(self) -> dict[str, Output]:
        full_line = ema(CLOSE, self.fast, first=self.slow - self.fast) - ema(CLOSE, self.slow)
        signal = ema(full_line, self.signal, first=self.slow - 1)
        line = where(known(signal) >= 1.0, full_line)
        suffix = f"{self.fast}_{self.slow}_{self.signal}"
        return _over_price(
            **{f"macd_{suffix}": line, f"macd_signal_{suffix}": signal, f"macd_hist_{suffix}": line - signal}
        )


@dataclass(frozen=True)
class Stochastic(Feature):
    """Slow stochastic oscillator as TA-Lib's STOCH with simple averages: %K smoothed, and %D, its average."""

    bars: int = 5
    slow_k: int = 3
    slow_d: int = 3
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Stochastic({self.bars}, {self.slow_k}, {self.slow_d}): slow %K and %D, 0 to 100"

    def outputs(self) -> dict[str, Output]:
        lowest, highest = Rolling(LOW, self.bars, "min"), Rolling(HIGH, self.bars, "max")
        unit = (highest - lowest) / 100.0
        fast = where(unit < 0.0, (CLOSE - lowest) / unit, where(unit >= TA_LIB_ZERO, (CLOSE - lowest) / unit, 0.0))
        fast = where(self.bars - 1 <= BAR, fast)
        slow = Rolling(fast, self.slow_k, "mean")
        slow_d = Rolling(slow, self.slow_d, "mean")
        suffix = f"{self.bars}_{self.slow_k}_{self.slow_d}"
        slow_k = where(known(slow_d) >= 1.0, slow)
        return _unscaled(**{f"stoch_k_{suffix}": slow_k, f"stoch_d_{suffix}": slow_d})


def total_return(bars: int) -> Series:
    """The return over the last `bars` bars, as a fraction."""
    return CLOSE / CLOSE.lag(bars) - 1.0


def daily_volatility(span: int = 60) -> Series:
    """Exponentially weighted standard deviation of daily returns (pandas' `ewm(span).std()`)."""
    return exponential_moments(total_return(1), 2.0 / (span + 1)).deviation


def winsorised(x: Series, half_life: int = 252, width: float = 5.0) -> Series:
    """x held within `width` exponentially weighted deviations of its exponentially weighted mean."""
    moments = exponential_moments(x, 1.0 - math.exp(-math.log(2.0) / half_life))
    low, high = moments.mean - width * moments.deviation, moments.mean + width * moments.deviation
    return where(known(low) >= 1.0, minimum(maximum(x, low), high), x)


@dataclass(frozen=True)
class VolScaledReturn(Feature):
    """The return over `bars` days in units of its expected deviation, winsorised (Network Momentum, 2308.11294)."""

    bars: int
    family: ClassVar[str] = "momentum"

    @property
    def meaning(self) -> str:
        return f"Return over {self.bars} bars over daily volatility (span 60) times sqrt({self.bars}), winsorised"

    def outputs(self) -> dict[str, Output]:
        scaled = total_return(self.bars) / (daily_volatility() * math.sqrt(self.bars))
        return _unscaled(**{f"ret_vol_{self.bars}": winsorised(scaled)})


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
        quotient = difference / varying(rolling_moments(CLOSE, 63))
        normalised = quotient / varying(rolling_moments(quotient, 252))
        return _unscaled(**{f"macd_norm_{self.short}_{self.long}": winsorised(normalised)})


@dataclass(frozen=True)
class Beta(Feature):
    """Exponentially weighted beta of daily returns to the universe's mean return; null before half a span of bars."""

    span: int = 252
    family: ClassVar[str] = "exposures"

    @property
    def meaning(self) -> str:
        return f"Beta of daily returns to the universe's mean return, exponentially weighted, span {self.span}"

    def outputs(self) -> dict[str, Output]:
        alpha = 2.0 / (self.span + 1)
        returns = total_return(1)
        # cov(r, m) = (var(r + m) - var(r - m)) / 4, in moments that are there already.
        both = exponential_moments(returns + MARKET, alpha).variance
        apart = exponential_moments(returns - MARKET, alpha).variance
        market = exponential_moments(where(known(returns) >= 1.0, MARKET), alpha).variance
        return _unscaled(beta=where(self.span // 2 <= BAR, (both - apart) / 4.0 / market))


@dataclass(frozen=True)
class Size(Feature):
    """Logarithm of the mean dollar volume, from raw price and raw volume, which no later split or dividend touches."""

    bars: int = 21
    family: ClassVar[str] = "exposures"

    @property
    def meaning(self) -> str:
        return f"Log of 1 + mean dollar volume over {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return _unscaled(size=log(1.0 + Rolling(RAW_CLOSE * VOLUME, self.bars, "mean")))


@dataclass(frozen=True)
class Volatility(Feature):
    """Daily volatility, exponentially weighted."""

    span: int = 60
    family: ClassVar[str] = "exposures"

    @property
    def meaning(self) -> str:
        return f"Standard deviation of daily returns, exponentially weighted, span {self.span}"

    def outputs(self) -> dict[str, Output]:
        return _unscaled(volatility=daily_volatility(self.span))


@dataclass(frozen=True)
class Momentum(Feature):
    """The plain return over a number of bars."""

    bars: int = 252
    family: ClassVar[str] = "exposures"

    @property
    def meaning(self) -> str:
        return f"Return over {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return _unscaled(momentum=total_return(self.bars))
