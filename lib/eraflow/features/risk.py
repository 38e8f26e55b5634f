"""Exposures: what targets can be made neutral to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.feature import MARKET, RAW_CLOSE, VOLUME, Feature, Output, total_return, unscaled
from eraflow.features.momentum import daily_volatility, return_moments
from eraflow.features.series import BAR, Rolling, log, observed, where


@dataclass(frozen=True)
class Beta(Feature):
    """Exponentially weighted beta of daily returns to the universe's mean return; null before half a span of bars."""

    span: int = 252
    family: ClassVar[str] = "exposures"

    @property
    def meaning(self) -> str:
        return f"Beta of daily returns to the universe's mean return, exponentially weighted, span {self.span}"

    def outputs(self) -> dict[str, Output]:
        returns = total_return(1)
        # cov(r, m) = (var(r + m) - var(r - m)) / 4, in moments that are there already.
        both = return_moments(returns + MARKET, self.span).variance
        apart = return_moments(returns - MARKET, self.span).variance
        market = return_moments(where(observed(returns) >= 1.0, MARKET), self.span).variance
        return unscaled(beta=where(self.span // 2 <= BAR, (both - apart) / 4.0 / market))


@dataclass(frozen=True)
class Size(Feature):
    """Logarithm of the mean dollar volume, from raw price and raw volume, which no later split or dividend touches."""

    bars: int = 21
    family: ClassVar[str] = "exposures"
    of_traded_money: ClassVar[bool] = True

    @property
    def meaning(self) -> str:
        return f"Log of 1 + mean dollar volume over {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return unscaled(size=log(1.0 + Rolling(RAW_CLOSE * VOLUME, self.bars, "mean")))


@dataclass(frozen=True)
class Volatility(Feature):
    """Daily volatility, exponentially weighted."""

    span: int = 60
    family: ClassVar[str] = "exposures"

    @property
    def meaning(self) -> str:
        return f"Standard deviation of daily returns, exponentially weighted, span {self.span}"

    def outputs(self) -> dict[str, Output]:
        return unscaled(volatility=daily_volatility(self.span))


@dataclass(frozen=True)
class Momentum(Feature):
    """The plain return over a number of bars."""

    bars: int = 252
    family: ClassVar[str] = "exposures"

    @property
    def meaning(self) -> str:
        return f"Return over {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return unscaled(momentum=total_return(self.bars))
