"""An algebra of series over the bars of one ticker: what a feature is written in.

A `Series` says what a column is, never how Spark gets it. Series compare by what they compute, so that two features
which need the same moving average share it; `eraflow.features.plan` turns any number of them into few Window operators.

Every series is known at its bar: it can look back, there is no operator that looks ahead. A series is null where it is
not defined (too short a history, division by zero), and null runs through arithmetic.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Literal

Number = int | float
Aggregate = Literal[
    "min", "max", "mean", "variance", "covariance", "skewness", "correlation", "slope", "r2",
    "quantile_20", "quantile_80", "values",
]  # fmt: skip


class Series:
    """A value for each bar of each ticker; combine with + - * / and comparisons, look back with `lag`."""

    token: str

    def __post_init__(self) -> None:
        parts = [type(self).__name__]
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            items = value if isinstance(value, tuple) else (value,)
            parts += [item.token if isinstance(item, Series) else repr(item) for item in items]
        object.__setattr__(self, "token", hashlib.sha1("\0".join(parts).encode()).hexdigest()[:16])

    def __hash__(self) -> int:
        return hash(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Series) and self.token == other.token

    def __add__(self, other: Series | Number) -> Series:
        return Apply("add", (self, series(other)))

    def __radd__(self, other: Number) -> Series:
        return Apply("add", (series(other), self))

    def __sub__(self, other: Series | Number) -> Series:
        return Apply("subtract", (self, series(other)))

    def __rsub__(self, other: Number) -> Series:
        return Apply("subtract", (series(other), self))

    def __mul__(self, other: Series | Number) -> Series:
        return Apply("multiply", (self, series(other)))

    def __rmul__(self, other: Number) -> Series:
        return Apply("multiply", (series(other), self))

    def __truediv__(self, other: Series | Number) -> Series:
        """The quotient; null where the divisor is 0."""
        return Apply("divide", (self, series(other)))

    def __rtruediv__(self, other: Number) -> Series:
        return Apply("divide", (series(other), self))

    def __neg__(self) -> Series:
        return Apply("subtract", (series(0.0), self))

    def __lt__(self, other: Series | Number) -> Series:
        return Apply("less", (self, series(other)))

    def __ge__(self, other: Series | Number) -> Series:
        return Apply("at_least", (self, series(other)))

    def __mod__(self, other: int) -> Series:
        return Apply("modulo", (self, series(other)))

    def lag(self, bars: int) -> Series:
        """The value `bars` bars earlier; null before that many bars exist."""
        return self if bars == 0 else Lag(self, bars)


@dataclass(frozen=True, eq=False)
class Input(Series):
    """A column of the bars that the plan starts from."""

    name: str


@dataclass(frozen=True, eq=False)
class Constant(Series):
    """The same number at every bar."""

    value: Number


@dataclass(frozen=True, eq=False)
class Apply(Series):
    """A function of series at the same bar; the names are those of `plan.FUNCTIONS`."""

    function: str
    arguments: tuple[Series, ...]


@dataclass(frozen=True, eq=False)
class Lag(Series):
    """The value some bars earlier; null before that many exist."""

    source: Series
    bars: int


@dataclass(frozen=True, eq=False)
class Rolling(Series):
    """An aggregate of the last `bars` bars; null unless all of them are known. It costs `bars` steps a row.

    `slope`, `r2` and `correlation` relate the series to `other`.
    """

    source: Series
    bars: int
    aggregate: Aggregate
    other: Series | None = None


@dataclass(frozen=True, eq=False)
class RunningSum(Series):
    """The sum from the ticker's first bar to now; nulls count as 0."""

    source: Series


@dataclass(frozen=True, eq=False)
class ExponentialMean(Series):
    """The mean of all known values so far, weighted by decay^(bars ago); null before the first, held where x is null.

    `weight` is the sum of these weights, which a run that goes on from a stored mean needs.
    """

    source: Series
    decay: float
    weight: Series


Recursive = RunningSum | ExponentialMean  # what remembers the whole history
WindowSeries = Lag | Rolling | Recursive

BAR = Input("bar")  # 0, 1, 2, ... from a ticker's first bar, without holes


def series(value: Series | Number) -> Series:
    """A number as a series; a series as it is."""
    return value if isinstance(value, Series) else Constant(value)


def where(condition: Series, value: Series | Number, otherwise: Series | Number | None = None) -> Series:
    """`value` where the condition holds; else `otherwise`, or null if there is none."""
    if otherwise is None:
        return Apply("where", (condition, series(value)))
    return Apply("where_else", (condition, series(value), series(otherwise)))


def maximum(left: Series, right: Series | Number) -> Series:
    """The larger of two; null if either is (Spark's `greatest` would skip the null)."""
    right = series(right)
    return where(left < right, right, where(left >= right, left))


def minimum(left: Series, right: Series | Number) -> Series:
    """The smaller of two; null if either is."""
    right = series(right)
    return where(left < right, left, where(left >= right, right))


def absolute(x: Series) -> Series:
    """The size of x without its sign."""
    return Apply("absolute", (x,))


def log(x: Series) -> Series:
    """The natural logarithm; null for x <= 0."""
    return Apply("log", (x,))


def sqrt(x: Series) -> Series:
    """The square root of x >= 0."""
    return Apply("sqrt", (x,))


def mean_of_lags(x: Series, bars: int) -> Series:
    """The mean of the last few values; null unless all of them are known."""
    return total([x.lag(k) for k in range(bars)]) / bars


def known(x: Series) -> Series:
    """1.0 where x is known, 0.0 where it is null."""
    return Apply("known", (x,))


def in_order(x: Series, bars: int) -> Series:
    """The last `bars` values in ascending order, as an array; null unless all of them are known."""
    return Apply("sorted", (Rolling(x, bars, "values"),))


def element(values: Series, place: int) -> Series:
    """The element of an array at a place, the first being 0."""
    return Apply("element", (values, series(place)))


def power(base: float, exponent: Series) -> Series:
    """base to the power of a series, right to the last bit or two (e^(x log base) is not, for large exponents)."""
    return Apply("power", (Constant(base), exponent))


@dataclass(frozen=True)
class Weights:
    """Of an exponentially weighted mean: the sum of decay^(bars ago) over the values so far, and the sum of squares."""

    total: Series
    squares: Series


def weights_since(decay: float, values: Series) -> Weights:
    """The weights of an unbroken row of so many values up to now; null where there are none."""
    faded = where(values >= 1, Apply("exp", (math.log(decay) * values,)))
    return Weights((1.0 - faded) / (1.0 - decay), (1.0 - faded * faded) / (1.0 - decay * decay))


def weights_where(counted: Series, decay: float) -> Weights:
    """The weights of the bars at which `counted` is 1 and not 0."""
    return Weights(decayed_sum(counted, decay), decayed_sum(counted, decay * decay))


def decayed_sum(x: Series, decay: float) -> Series:
    """sum over j <= t of decay^(t-j) x_j, for a series that is known at every bar: exact, nothing is truncated."""
    if not 0.0 < decay < 1.0:
        raise ValueError(f"decay must lie between 0 and 1, got {decay}")
    weight = weights_since(decay, BAR + 1).total
    return ExponentialMean(x, decay, weight) * weight


def recursive_mean(x: Series, alpha: float, first: int, bars: int) -> Series:
    """y += alpha (x - y), started with the mean of the `bars` values of x from bar `first` on; null before its end.

    The start needs no second pass: the values of the seed enter with the weight that makes their sum the mean.
    """
    decay, last = 1.0 - alpha, first + bars - 1
    seed_weight = power(decay, BAR - last) / bars
    impulse = where(first > BAR, 0.0, x * where(last + 1 > BAR, seed_weight, alpha))
    return where(last <= BAR, decayed_sum(impulse, decay))


def ema(x: Series, span: int, first: int = 0) -> Series:
    """Exponential moving average with alpha = 2/(span+1), seeded by the simple mean of its first `span` values."""
    return recursive_mean(x, 2.0 / (span + 1), first, span)


def wilder(x: Series, bars: int, first: int) -> Series:
    """Wilder's smoothing: the mean of `bars` values from bar `first` on, then p = (p (bars-1) + x) / bars."""
    return recursive_mean(x, 1.0 / bars, first, bars)


@dataclass(frozen=True)
class Moments:
    """Mean and variance of a series over the same window."""

    mean: Series
    variance: Series  # with the divisor that the function below names

    @property
    def deviation(self) -> Series:
        return sqrt(self.variance)


def exponential_moments(x: Series, alpha: float, weights: Weights | None = None) -> Moments:
    """Exponentially weighted mean and unbiased variance, as pandas' `ewm(alpha=...)` (adjust=True) defines them.

    Nulls have no weight but time goes on over them. `weights` saves two sums where the sums of the weights are known in
    closed form, or are shared by several series. The variance is null for fewer than two known values, and 0 where what
    is left of it is below the rounding of the squares that it is a difference of.
    """
    decay = 1.0 - alpha
    weights = weights or weights_where(known(x), decay)
    mean = ExponentialMean(x, decay, weights.total)
    second = ExponentialMean(x * x, decay, weights.total)
    spread = second - mean * mean
    biased = weights.squares / (weights.total * weights.total)
    variance = where(biased < 1.0 - 1e-12, where(spread < 1e-13 * second, 0.0, spread) / (1.0 - biased))
    is_known = known(x) >= 1.0
    return Moments(where(is_known, mean), where(is_known, variance))


def exponential_mean(x: Series, alpha: float) -> Series:
    """Exponentially weighted mean with pandas' adjust=True, of a series that is known from the first bar on."""
    return ExponentialMean(x, 1.0 - alpha, weights_since(1.0 - alpha, BAR + 1).total)


def rolling_moments(x: Series, bars: int) -> Moments:
    """Mean and sample variance (divisor bars - 1) of the last `bars` values; null unless all of them are known.

    A sliding frame costs its length at every row, and differences of running sums lose their digits after a jump. So a
    long window is put together from equal parts: each part's moments by a short frame, the parts by lags.
    """
    part = _part(bars)
    count = bars // part
    mean, variance = _part_moments(x, part)
    means = [mean.lag(part * k) for k in range(count)]
    variances = [variance.lag(part * k) for k in range(count)]
    # Means are joined as distances from the newest, so that a constant series has a variance of exactly 0.
    distances = [other - means[0] for other in means[1:]]
    centre = total(distances) / count if distances else series(0.0)
    around = [centre * centre] + [(distance - centre) * (distance - centre) for distance in distances]
    squares = joined(variances, around if distances else [], lambda sum_of_parts: sum_of_parts * part)
    return Moments(means[0] + centre, squares / (bars - 1))


def joined(within: list[Series], between: list[Series], scaled: Callable[[Series], Series]) -> Series:
    """The second moment of a window of equal parts, by the parallel formula of Chan, Golub and LeVeque (1979).

    `within`: each part's own moment; `between`: the products of its means' distances from the window's, empty of one
    part. It only ever adds, so that no digits are lost. `scaled` makes the moment out of a sum over the parts.
    """
    own = scaled(total(within))
    return own + scaled(total(between)) if between else own


def joined_pair(newer: Series, older: Series, share: float, between: Series) -> Series:
    """The same of two parts, the newer of which holds a `share` of the window.

    `between`: the product of the distances of the newer part's means from the older part's.
    """
    return newer * share + older * (1.0 - share) + between * (share * (1.0 - share))


def _part_moments(x: Series, bars: int) -> tuple[Series, Series]:
    """Mean and variance (divisor bars) of a short window: for some bars arithmetic on lags is cheaper than a frame."""
    if bars > 12:
        return Rolling(x, bars, "mean"), Rolling(x, bars, "variance")
    distances = [x.lag(k) - x for k in range(1, bars)]
    centre = total(distances) / bars
    squares = total([(distance - centre) * (distance - centre) for distance in distances]) + centre * centre
    return x + centre, squares / bars


def filled(counted: Series, bars: int) -> Series:
    """1.0 where `counted` was 1 at each of the last `bars` bars, else 0.0."""
    return where(_within(counted, bars) >= bars, 1.0, 0.0)


def rolling_moments_of_bounded(x: Series, bars: int, counted: Series) -> Moments:
    """As `rolling_moments`, by differences of running sums: of constant cost, for a series without a scale.

    `counted` is 1 where x is known, else 0. The sums lose the digits by which the history outweighs the window. A ratio
    that stays within some units of its deviation loses three or four of sixteen; a price could lose all. Where less is
    left than rounding, the variance is 0.
    """
    mean, second = _within(x, bars) / bars, _within(x * x, bars) / bars
    spread = second - mean * mean
    spread = where(spread < 1e-11 * second, 0.0, spread)
    full = filled(counted, bars) >= 1.0
    return Moments(where(full, mean), where(full, spread * (bars / (bars - 1))))


def _within(x: Series, bars: int) -> Series:
    """The sum of the last `bars` values; nulls count as 0."""
    running = RunningSum(x)
    return where(bars <= BAR, running - running.lag(bars), running)


def _part(bars: int) -> int:
    """The divisor of `bars` that makes the cheapest two-level window: short frame plus number of lags."""
    if bars <= 12:
        return bars
    return min((part for part in range(2, bars + 1) if bars % part == 0), key=lambda part: part + bars // part)


def total(terms: Sequence[Series]) -> Series:
    """Their sum, from the first on."""
    return reduce(add, terms)
