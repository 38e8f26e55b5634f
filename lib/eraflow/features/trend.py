"""The trend family: where the price stands against its own last year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.feature import CLOSE, HIGH, LOW, Feature, Output, unscaled
from eraflow.features.series import highest, lowest, rolling_moments


@dataclass(frozen=True)
class Drawdown(Feature):
    """The close below the highest close of a window, as a fraction of that: 0 at a new high."""

    bars: int = 252
    family: ClassVar[str] = "trend"

    @property
    def meaning(self) -> str:
        return f"Close over the highest close of {self.bars} bars, less 1"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"drawdown_{self.bars}": CLOSE / highest(CLOSE, self.bars) - 1.0})


@dataclass(frozen=True)
class DistanceToAverage(Feature):
    """The close over its simple moving average."""

    bars: int
    family: ClassVar[str] = "trend"

    @property
    def meaning(self) -> str:
        return f"Close over its mean of {self.bars} bars, less 1"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"distance_to_mean_{self.bars}": CLOSE / rolling_moments(CLOSE, self.bars).mean - 1.0})


@dataclass(frozen=True)
class HighPosition(Feature):
    """Nearness to the highest high: of 252 bars the 52-week high of George and Hwang (2004)."""

    bars: int = 252
    family: ClassVar[str] = "trend"

    @property
    def meaning(self) -> str:
        return f"Close over the highest high of {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"high_position_{self.bars}": CLOSE / highest(HIGH, self.bars)})


@dataclass(frozen=True)
class LowPosition(Feature):
    """Distance from the lowest low."""

    bars: int = 252
    family: ClassVar[str] = "trend"

    @property
    def meaning(self) -> str:
        return f"Close over the lowest low of {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"low_position_{self.bars}": CLOSE / lowest(LOW, self.bars)})


TREND: tuple[Feature, ...] = (
    Drawdown(),
    *(DistanceToAverage(bars) for bars in (20, 50, 200)),
    HighPosition(),
    LowPosition(),
)
