"""The volatility family: how much prices move, by closes and by the ranges of days; per year of 252 bars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.feature import CLOSE, HIGH, LOW, OPEN, Feature, Output, total_return, unscaled
from eraflow.features.series import log, rolling_moments, skewness, sqrt, where

YEAR = 252


@dataclass(frozen=True)
class RealisedVolatility(Feature):
    """The sample deviation of daily log returns, per year."""

    bars: int
    family: ClassVar[str] = "volatility"

    @property
    def meaning(self) -> str:
        return f"Standard deviation of log returns over {self.bars} bars, per year"

    def outputs(self) -> dict[str, Output]:
        deviation = rolling_moments(log(CLOSE / CLOSE.lag(1)), self.bars).deviation
        return unscaled(**{f"realised_volatility_{self.bars}": deviation * math.sqrt(YEAR)})


@dataclass(frozen=True)
class GarmanKlass(Feature):
    """Garman and Klass (1980): half the squared log range less (2 log 2 - 1) squared log open-to-close.

    Null where contradictory bars (a close outside its range) make the mean negative.
    """

    bars: int = 21
    family: ClassVar[str] = "volatility"

    @property
    def meaning(self) -> str:
        return f"Garman-Klass volatility over {self.bars} bars, per year"

    def outputs(self) -> dict[str, Output]:
        spread, body = log(HIGH / LOW), log(CLOSE / OPEN)
        variance = rolling_moments(0.5 * spread * spread - (2.0 * math.log(2.0) - 1.0) * body * body, self.bars).mean
        return unscaled(**{f"garman_klass_{self.bars}": sqrt(where(variance >= 0.0, variance) * YEAR)})


@dataclass(frozen=True)
class Parkinson(Feature):
    """Parkinson (1980): the mean squared log range over 4 log 2."""

    bars: int = 21
    family: ClassVar[str] = "volatility"

    @property
    def meaning(self) -> str:
        return f"Parkinson volatility over {self.bars} bars, per year"

    def outputs(self) -> dict[str, Output]:
        spread = log(HIGH / LOW)
        mean = rolling_moments(spread * spread, self.bars).mean
        return unscaled(**{f"parkinson_{self.bars}": sqrt(mean * (YEAR / (4.0 * math.log(2.0))))})


@dataclass(frozen=True)
class Skewness(Feature):
    """Sample skewness of daily returns, as pandas' `rolling.skew`; `bars` has a divisor from 2 to 9."""

    bars: int = 63
    family: ClassVar[str] = "volatility"

    @property
    def meaning(self) -> str:
        return f"Sample skewness of daily returns over {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"skewness_{self.bars}": skewness(total_return(1), self.bars)})


VOLATILITY: tuple[Feature, ...] = (
    RealisedVolatility(21),
    RealisedVolatility(63),
    GarmanKlass(),
    Parkinson(),
    Skewness(),
)
