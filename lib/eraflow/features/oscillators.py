"""More of the technical family: TA-Lib's oscillators, missing values included, save where a docstring says so.

Prices count as equal up to what scaling to total return leaves of equal ones, so that no rounding is taken for a move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.feature import ADJUSTED_VOLUME, CLOSE, HIGH, LOW, Feature, Output, over_price, unscaled
from eraflow.features.series import (
    BAR,
    ROUNDING,
    FadingSum,
    Rolling,
    RunningSum,
    Series,
    absolute,
    ema,
    maximum,
    minimum,
    moved,
    or_zero,
    rolling_moments,
    sqrt,
    where,
    wilder,
)
from eraflow.features.technical import NO_MOVE

TYPICAL = (HIGH + LOW + CLOSE) / 3.0
BEFORE = CLOSE.lag(1)
TRUE_RANGE = maximum(HIGH, BEFORE) - minimum(LOW, BEFORE)


@dataclass(frozen=True)
class Atr(Feature):
    """Average true range, Wilder's smoothing."""

    bars: int = 14
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Average true range over {self.bars} bars; ranked over the price"

    def outputs(self) -> dict[str, Output]:
        return over_price(**{f"atr_{self.bars}": wilder(TRUE_RANGE, self.bars, first=1)})


@dataclass(frozen=True)
class Adx(Feature):
    """Wilder's directional movement: average index, and plus and minus direction.

    The index of a stretch without movement is that of the fading sums, which TA-Lib replaces by the average before it;
    both are the same to 1e-9. Of a rise of the high and an equal fall of the low neither counts.
    """

    bars: int = 14
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Average directional index, plus and minus direction over {self.bars} bars, 0 to 100"

    def outputs(self) -> dict[str, Output]:
        rise, fall = HIGH - HIGH.lag(1), LOW.lag(1) - LOW
        plus, minus = (FadingSum(larger(*both), self.bars) for both in ((rise, fall), (fall, rise)))
        spread = FadingSum(TRUE_RANGE, self.bars)
        plus_di, minus_di = (where(spread < NO_MOVE * CLOSE, 0.0, 100.0 * x / spread) for x in (plus, minus))
        index = or_zero(100.0 * absolute(plus - minus) / (plus + minus))
        return unscaled(
            **{
                f"adx_{self.bars}": wilder(index, self.bars, first=self.bars),
                f"plus_di_{self.bars}": plus_di,
                f"minus_di_{self.bars}": minus_di,
            }
        )


def larger(move: Series, other: Series) -> Series:
    """The move where it is upwards and larger than the other one, else 0."""
    limit = other + ROUNDING * HIGH
    return where(move < 0.0, 0.0, where(limit < move, move, where(limit >= move, 0.0)))


@dataclass(frozen=True)
class Bollinger(Feature):
    """Bollinger bands with the population's deviation; the position is null where the bands are one line."""

    bars: int = 20
    width: float = 2.0
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Bollinger bands ({self.bars}, {self.width:g}): position of the close from 0 to 1, width over the mean"

    def outputs(self) -> dict[str, Output]:
        moments = rolling_moments(CLOSE, self.bars)
        deviation = sqrt(moments.variance * ((self.bars - 1) / self.bars))
        deviation = where(deviation < ROUNDING * moments.mean, 0.0, deviation)
        return unscaled(
            **{
                f"bollinger_position_{self.bars}": (CLOSE - moments.mean) / (2.0 * self.width * deviation) + 0.5,
                f"bollinger_width_{self.bars}": 2.0 * self.width * deviation / moments.mean,
            }
        )


@dataclass(frozen=True)
class Obv(Feature):
    """On-balance volume, in units of the total-return price; ranked by its change over a month, over that volume."""

    bars: int = 21
    family: ClassVar[str] = "technical"
    of_traded_money: ClassVar[bool] = True

    @property
    def meaning(self) -> str:
        return (
            "On-balance volume in units of the total-return price; "
            f"ranked by its change over {self.bars} bars, over their volume"
        )

    def outputs(self) -> dict[str, Output]:
        balance = RunningSum(where(BAR < 1, ADJUSTED_VOLUME, ADJUSTED_VOLUME * moved(CLOSE, BEFORE)))
        share = (balance - balance.lag(self.bars)) / (Rolling(ADJUSTED_VOLUME, self.bars, "mean") * float(self.bars))
        return {"obv": Output(balance, share)}


@dataclass(frozen=True)
class Mfi(Feature):
    """Money flow index: of typical price times volume, the share of days on which that price rose."""

    bars: int = 14
    family: ClassVar[str] = "technical"
    of_traded_money: ClassVar[bool] = True

    @property
    def meaning(self) -> str:
        return f"Money flow index over {self.bars} bars, 0 to 100"

    def outputs(self) -> dict[str, Output]:
        flow, direction = TYPICAL * ADJUSTED_VOLUME, moved(TYPICAL, TYPICAL.lag(1))
        rising = Rolling(flow * maximum(direction, 0.0), self.bars, "mean")
        both = Rolling(flow * absolute(direction), self.bars, "mean")
        # TA-Lib takes a flow of less than 1 for none, which in a small unit of money is every flow.
        return unscaled(**{f"mfi_{self.bars}": where(both < 1e-300, 0.0, 100.0 * rising / both)})


@dataclass(frozen=True)
class Cci(Feature):
    """Commodity channel index; 0 where nothing moved, up to rounding."""

    bars: int = 14
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Commodity channel index over {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        mean = Rolling(TYPICAL, self.bars, "mean", form="lags")
        deviation = Rolling(TYPICAL, self.bars, "mean_distance")
        index = (TYPICAL - mean) / (0.015 * deviation)
        return unscaled(**{f"cci_{self.bars}": where(deviation < ROUNDING * mean, 0.0, index)})


@dataclass(frozen=True)
class WilliamsR(Feature):
    """Williams' %R, -100 to 0; 0 where the window has no range."""

    bars: int = 14
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Williams %R over {self.bars} bars, -100 to 0"

    def outputs(self) -> dict[str, Output]:
        highest, lowest = Rolling(HIGH, self.bars, "max"), Rolling(LOW, self.bars, "min")
        spread = highest - lowest
        value = -100.0 * (highest - CLOSE) / spread
        return unscaled(**{f"williams_r_{self.bars}": where(absolute(spread) < ROUNDING * CLOSE, 0.0, value)})


@dataclass(frozen=True)
class Trix(Feature):
    """The daily change in percent of an exponential average of an exponential average of another."""

    bars: int = 15
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Daily change in percent of a threefold exponential average of {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        average: Series = CLOSE
        for depth in range(3):
            average = ema(average, self.bars, first=depth * (self.bars - 1))
        return unscaled(**{f"trix_{self.bars}": 100.0 * (average / average.lag(1) - 1.0)})


@dataclass(frozen=True)
class Ppo(Feature):
    """Percentage price oscillator of exponential averages, each seeded from the first bar."""

    fast: int = 12
    slow: int = 26
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Percentage price oscillator ({self.fast}, {self.slow}) of exponential averages"

    def outputs(self) -> dict[str, Output]:
        slow = ema(CLOSE, self.slow)
        return unscaled(**{f"ppo_{self.fast}_{self.slow}": 100.0 * (ema(CLOSE, self.fast) - slow) / slow})


OSCILLATORS: tuple[Feature, ...] = (
    Atr(), Adx(), Bollinger(), Obv(), Mfi(), Cci(), WilliamsR(), Trix(), Ppo()
)  # fmt: skip
