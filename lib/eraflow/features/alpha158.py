"""The alpha158 family: the features of qlib's Alpha158 (microsoft/qlib, MIT; Yang et al. 2020, arXiv 2009.11189).

Nine shapes of a bar's candle, three prices over the close, and 29 operators over 5, 10, 20, 30 and 60 bars. Where this
differs from qlib's own numbers:

- 157 columns: VWAP0 is left out, since daily prices have no volume-weighted average.
- A value is null until its window is full, where qlib computes from one bar on. What reads changes needs one bar more,
  and a volume ratio is unknown after a bar without volume.
- qlib adds 1e-12 to divisors. Here a quotient is null where its divisor is 0, up to what scaling leaves of equal
  prices.
- Correlations and `rsqr` are null where a deviation is at most 2e-5, as in qlib, but a close's is taken over the last
  close.

Prices are total-return prices. Volume is as traded and not adjusted: it jumps at a split, by which `vma`, `vstd`,
`wvma`, `vsum*`, `corr` and `cord` are off until the split leaves the window. No column changes with the unit of the
price or of the volume, save that `corr` reads log(volume + 1), in which small volumes are no longer free of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from eraflow.features.feature import CLOSE, HIGH, LOW, OPEN, VOLUME, Feature, Output, unscaled
from eraflow.features.series import (
    BAR,
    ROUNDING,
    Rolling,
    Series,
    absolute,
    log,
    maximum,
    minimum,
    series,
    sqrt,
    where,
)

WINDOWS = (5, 10, 20, 30, 60)

QLIB_ZERO = 2e-5  # a deviation that qlib takes for none

BEFORE = CLOSE.lag(1)
RATIO = CLOSE / BEFORE
ROSE = where(BEFORE < CLOSE, 1.0, where(BEFORE >= CLOSE, 0.0))
FELL = where(CLOSE < BEFORE, 1.0, where(CLOSE >= BEFORE, 0.0))
GAIN, LOSS = maximum(CLOSE - BEFORE, 0.0), maximum(BEFORE - CLOSE, 0.0)
LOG_VOLUME = log(VOLUME + 1.0)
LOG_VOLUME_RATIO = log(VOLUME / VOLUME.lag(1) + 1.0)
VOLUME_GAIN, VOLUME_LOSS = maximum(VOLUME - VOLUME.lag(1), 0.0), maximum(VOLUME.lag(1) - VOLUME, 0.0)
MOVED_VOLUME = absolute(RATIO - 1.0) * VOLUME


def quotient(x: Series, divisor: Series, unit: Series) -> Series:
    """x over a divisor that is not negative; null where the divisor is 0 up to rounding of its unit."""
    return where(divisor >= ROUNDING * unit, x / divisor)


def mean(x: Series, bars: int) -> Series:
    """The mean of a window."""
    return Rolling(x, bars, "mean", form="shared")


def covariance(x: Series, y: Series, bars: int) -> Series:
    """The covariance of a window, divisor `bars`."""
    return Rolling(x, bars, "covariance", y, form="shared")


def variance(x: Series, bars: int) -> Series:
    """The variance of a window, divisor `bars`."""
    return Rolling(x, bars, "variance", form="shared")


def deviation(x: Series, bars: int) -> Series:
    """The standard deviation of a window, divisor `bars` - 1."""
    return sqrt(variance(x, bars) * (bars / (bars - 1)))


def unless_flat(value: Series, x: Series, bars: int, unit: Series | float = 1.0) -> Series:
    """The value; null where the deviation of x is at most QLIB_ZERO of its unit."""
    limit = series(unit) * (QLIB_ZERO * sqrt_of_share(bars))
    return where(limit * limit < variance(x, bars), value)


def sqrt_of_share(bars: int) -> float:
    """The deviation with divisor `bars` over the one with divisor `bars` - 1."""
    return float(((bars - 1) / bars) ** 0.5)


def correlation(x: Series, y: Series, bars: int, unit: Series | float = 1.0) -> Series:
    """The correlation of a window; null where x or y is flat. `unit` is the one of x."""
    both = sqrt(variance(x, bars) * variance(y, bars))
    return unless_flat(unless_flat(covariance(x, y, bars) / both, x, bars, unit), y, bars)


def slope(x: Series, bars: int) -> Series:
    """What x gains a bar, by least squares over a window."""
    return covariance(x, BAR, bars) / variance_of_time(bars)


def variance_of_time(bars: int) -> float:
    """The variance of `bars` numbers in a row, divisor `bars`."""
    return (bars * bars - 1) / 12


def r_squared(x: Series, bars: int) -> Series:
    """The share of the variance of x that its straight line over a window explains."""
    with_time = covariance(x, BAR, bars)
    return with_time * with_time / (variance(x, bars) * variance_of_time(bars))


def residual(x: Series, bars: int) -> Series:
    """x less its straight line over a window, at the newest bar."""
    return x - mean(x, bars) - slope(x, bars) * ((bars - 1) / 2)


def top_of(x: Series, bars: int) -> Series:
    """The maximum of a window."""
    return Rolling(x, bars, "max", form="shared")


def bottom_of(x: Series, bars: int) -> Series:
    """The minimum of a window."""
    return Rolling(x, bars, "min", form="shared")


def place_of_highest(x: Series, bars: int) -> Series:
    """Where a window has its maximum: 1 at the oldest bar, `bars` at the newest."""
    return Rolling(x, bars, "place_of_max")


def quantile(x: Series, bars: int, share: float) -> Series:
    """The quantile of a window."""
    return Rolling(x, bars, "quantile", share=share)


def rank(x: Series, bars: int) -> Series:
    """The rank of the newest value in a window over `bars`."""
    return Rolling(x, bars, "rank")


def from_lowest(bars: int) -> Series:
    """The close between the window's lowest low, 0, and its highest high, 1."""
    bottom = bottom_of(LOW, bars)
    return quotient(CLOSE - bottom, top_of(HIGH, bars) - bottom, CLOSE)


def share_of_change(part: Series, bars: int) -> Series:
    """A mean of gains, losses or both over the mean absolute change of the close."""
    return quotient(part, mean(GAIN, bars) + mean(LOSS, bars), CLOSE)


def share_of_volume_change(part: Series, bars: int) -> Series:
    """A mean of gains, losses or both over the mean absolute change of the volume."""
    return part / (mean(VOLUME_GAIN, bars) + mean(VOLUME_LOSS, bars))


BAR_SHAPES: Mapping[str, tuple[Series, str]] = {
    "kmid": ((CLOSE - OPEN) / OPEN, "Close less open over the open"),
    "klen": ((HIGH - LOW) / OPEN, "Range of the bar over the open"),
    "kmid2": (quotient(CLOSE - OPEN, HIGH - LOW, CLOSE), "Close less open over the bar's range"),
    "kup": ((HIGH - maximum(OPEN, CLOSE)) / OPEN, "Upper shadow over the open"),
    "kup2": (quotient(HIGH - maximum(OPEN, CLOSE), HIGH - LOW, CLOSE), "Upper shadow over the bar's range"),
    "klow": ((minimum(OPEN, CLOSE) - LOW) / OPEN, "Lower shadow over the open"),
    "klow2": (quotient(minimum(OPEN, CLOSE) - LOW, HIGH - LOW, CLOSE), "Lower shadow over the bar's range"),
    "ksft": ((2.0 * CLOSE - HIGH - LOW) / OPEN, "Twice the close less high and low, over the open"),
    "ksft2": (quotient(2.0 * CLOSE - HIGH - LOW, HIGH - LOW, CLOSE), "Twice the close less high and low, over range"),
    "open0": (OPEN / CLOSE, "Open over close"),
    "high0": (HIGH / CLOSE, "High over close"),
    "low0": (LOW / CLOSE, "Low over close"),
}


class Operator(NamedTuple):
    """What an operator computes of a window of so many bars, and its line in the documentation."""

    of: Callable[[int], Series]
    meaning: str


OPERATORS: Mapping[str, Operator] = {
    "roc": Operator(lambda n: CLOSE.lag(n) / CLOSE, "Close {bars} bars ago over the close"),
    "ma": Operator(lambda n: mean(CLOSE, n) / CLOSE, "Mean close over {bars} bars, over the close"),
    "std": Operator(lambda n: deviation(CLOSE, n) / CLOSE, "Deviation of the close over {bars} bars, over the close"),
    "beta": Operator(lambda n: slope(CLOSE, n) / CLOSE, "Slope of the close a bar over {bars} bars, over the close"),
    "rsqr": Operator(
        lambda n: unless_flat(r_squared(CLOSE, n), CLOSE, n, CLOSE), "R squared of the close's line over {bars} bars"
    ),
    "resi": Operator(lambda n: residual(CLOSE, n) / CLOSE, "Close less its line over {bars} bars, over the close"),
    "max": Operator(lambda n: top_of(HIGH, n) / CLOSE, "Highest high of {bars} bars over the close"),
    "min": Operator(lambda n: bottom_of(LOW, n) / CLOSE, "Lowest low of {bars} bars over the close"),
    "qtlu": Operator(lambda n: quantile(CLOSE, n, 0.8) / CLOSE, "80 % quantile of {bars} closes over the close"),
    "qtld": Operator(lambda n: quantile(CLOSE, n, 0.2) / CLOSE, "20 % quantile of {bars} closes over the close"),
    "rank": Operator(lambda n: rank(CLOSE, n), "Rank of the close among {bars}, as a share"),
    "rsv": Operator(from_lowest, "Close between lowest low, 0, and highest high, 1, of {bars} bars"),
    "imax": Operator(lambda n: place_of_highest(HIGH, n) / n, "Place of the highest high in {bars} bars, newest 1"),
    "imin": Operator(lambda n: place_of_highest(-LOW, n) / n, "Place of the lowest low in {bars} bars, newest 1"),
    "imxd": Operator(
        lambda n: (place_of_highest(HIGH, n) - place_of_highest(-LOW, n)) / n,
        "Place of the highest high less that of the lowest low in {bars} bars",
    ),
    "corr": Operator(
        lambda n: correlation(CLOSE, LOG_VOLUME, n, CLOSE), "Correlation of close and log(volume + 1), {bars} bars"
    ),
    "cord": Operator(
        lambda n: correlation(RATIO, LOG_VOLUME_RATIO, n),
        "Correlation of the close's ratio and log(1 + volume's ratio) to the bar before, {bars} bars",
    ),
    "cntp": Operator(lambda n: mean(ROSE, n), "Share of {bars} bars with a higher close than before"),
    "cntn": Operator(lambda n: mean(FELL, n), "Share of {bars} bars with a lower close than before"),
    "cntd": Operator(lambda n: mean(ROSE, n) - mean(FELL, n), "Share of bars up less share of bars down, {bars} bars"),
    "sump": Operator(lambda n: share_of_change(mean(GAIN, n), n), "Gains over absolute changes of {bars} closes"),
    "sumn": Operator(lambda n: share_of_change(mean(LOSS, n), n), "Losses over absolute changes of {bars} closes"),
    "sumd": Operator(
        lambda n: share_of_change(mean(GAIN, n) - mean(LOSS, n), n),
        "Gains less losses over absolute changes of {bars} closes",
    ),
    "vma": Operator(lambda n: mean(VOLUME, n) / VOLUME, "Mean volume over {bars} bars, over the volume"),
    "vstd": Operator(lambda n: deviation(VOLUME, n) / VOLUME, "Deviation of {bars} volumes over the volume"),
    "wvma": Operator(
        lambda n: quotient(deviation(MOVED_VOLUME, n), mean(MOVED_VOLUME, n), mean(VOLUME, n)),
        "Deviation over mean of absolute return times volume, {bars} bars",
    ),
    "vsump": Operator(
        lambda n: share_of_volume_change(mean(VOLUME_GAIN, n), n), "Gains over absolute changes of {bars} volumes"
    ),
    "vsumn": Operator(
        lambda n: share_of_volume_change(mean(VOLUME_LOSS, n), n), "Losses over absolute changes of {bars} volumes"
    ),
    "vsumd": Operator(
        lambda n: share_of_volume_change(mean(VOLUME_GAIN, n) - mean(VOLUME_LOSS, n), n),
        "Gains less losses over absolute changes of {bars} volumes",
    ),
}


@dataclass(frozen=True)
class BarShape(Feature):
    """A feature of one bar: a shape of its candle, or a price over its close."""

    name: str
    family: ClassVar[str] = "alpha158"

    @property
    def meaning(self) -> str:
        return BAR_SHAPES[self.name][1]

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{self.name: BAR_SHAPES[self.name][0]})


@dataclass(frozen=True)
class RollingOperator(Feature):
    """An operator of OPERATORS over one of WINDOWS."""

    name: str
    bars: int
    family: ClassVar[str] = "alpha158"

    @property
    def meaning(self) -> str:
        return OPERATORS[self.name].meaning.format(bars=self.bars)

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"{self.name}_{self.bars}": OPERATORS[self.name].of(self.bars)})


ALPHA158: tuple[Feature, ...] = (
    *(BarShape(name) for name in BAR_SHAPES),
    *(RollingOperator(name, bars) for name in OPERATORS for bars in WINDOWS),
)
