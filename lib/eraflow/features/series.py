"""An algebra of series over the bars of one ticker: what a feature is written in.

A `Series` says what a column is, never how an engine gets it. Series compare by what they compute, so that two features
which need the same moving average share it. Two compilers turn any number of them into values: `windows` and `plan`
into few Window operators, `kernels` into native loops.

Every series is known at its bar: it can look back, there is no operator that looks ahead. A series is null where it is
not defined (too short a history, division by zero), and null runs through arithmetic.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Literal

Number = int | float
Statistic = Literal[
    "min", "max", "mean", "variance", "covariance", "skewness", "mean_distance", "quantile", "rank", "place_of_max",
]  # fmt: skip
Form = Literal["frame", "lags", "parts", "months", "shared", "sums"]

# What scaling to total return can leave of equal prices, in units of the price: vendors round adjusted closes to ten
# decimals or so. A tick is a thousand times as much, and more.
ROUNDING = 1e-9
NEGLIGIBLE = 1e-11  # of a mean square, a variance that is nothing but what running sums leave of rounding
FLAT = 1e-12  # a deviation of daily returns that is nothing but rounding


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
    """A statistic of the last `bars` values; null unless all of them are known.

    - `min`, `max`, `mean`; `variance`, with the divisor `bars` - `ddof`, and 0 where it is less than the share `floor`
      of the mean square; `covariance` with `other`, divisor `bars`;
    - `skewness`: the sample's (adjusted Fisher-Pearson, as pandas') of daily returns, null where the window is flat;
    - `mean_distance`: the mean absolute distance from the window's mean;
    - `quantile` at `share`, linear between neighbours; `rank` of the newest value over `bars`, in (0, 1], of which
      equals share the mean;
    - `place_of_max`: 1 at the oldest bar, `bars` at the newest; the oldest of those that are equal up to ROUNDING.

    `form` says how Window functions put a long window together, and `indicator`, 1 where the source is known and else
    0, what they count by: another engine looks at neither.
    """

    source: Series
    bars: int
    statistic: Statistic
    other: Series | None = None
    share: float = 0.0
    ddof: int = 0
    floor: float = 0.0
    form: Form = "frame"
    indicator: Series | None = None


@dataclass(frozen=True, eq=False)
class RunningSum(Series):
    """The sum from the ticker's first bar to now; nulls count as 0."""

    source: Series


@dataclass(frozen=True, eq=False)
class Smoothed(Series):
    """y += alpha (x - y), started with the mean of the `bars` values of x from bar `first` on; null before its end.

    x is known from bar `first` on.
    """

    source: Series
    alpha: float
    first: int
    bars: int


@dataclass(frozen=True, eq=False)
class FadingSum(Series):
    """Wilder's sum: of bars 1 to `bars` - 1 plainly, then s = s (1 - 1/bars) + x; null until it has begun to fade.

    x is known from bar 1 on.
    """

    source: Series
    bars: int


@dataclass(frozen=True, eq=False)
class Exponential(Series):
    """Exponentially weighted mean or unbiased variance, as pandas' `ewm(alpha=...)` (adjust=True) defines them.

    Nulls have no weight but time goes on over them; null where x is. The variance is null for fewer than two known
    values, and 0 where what is left of it is below the rounding of the squares that it is a difference of.

    What is said of x saves Window functions two sums: `count`, how many values x has had up to now, where they stand in
    an unbroken row; or `indicator`, 1 where x is known and else 0. Another engine looks at neither.
    """

    source: Series
    alpha: float
    statistic: Literal["mean", "variance"]
    count: Series | None = None
    indicator: Series | None = None


SPACING = 32  # every so many bars what remembers the whole history is stored: a state, to go on from
BAR = Input("bar")  # 0, 1, 2, ... from a ticker's first bar, without holes


def operands(node: Series) -> tuple[Series, ...]:
    """The series that a value of the series is computed from."""
    match node:
        case Apply(arguments=arguments):
            return arguments
        case Rolling(source=source, other=other) if other is not None:
            return (source, other)
        case Lag(source=source) | Rolling(source=source) | RunningSum(source=source):
            return (source,)
        case Smoothed(source=source) | FadingSum(source=source) | Exponential(source=source):
            return (source,)
    return ()


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


def observed(x: Series) -> Series:
    """1.0 where x is known, 0.0 where it is null."""
    return Apply("observed", (x,))


def or_zero(x: Series) -> Series:
    """x, and 0 where it is null."""
    return Apply("or_zero", (x,))


def ema(x: Series, span: int, first: int = 0) -> Series:
    """Exponential moving average with alpha = 2/(span+1), seeded by the simple mean of its first `span` values."""
    return Smoothed(x, 2.0 / (span + 1), first, span)


def wilder(x: Series, bars: int, first: int) -> Series:
    """Wilder's smoothing: the mean of `bars` values from bar `first` on, then p = (p (bars-1) + x) / bars."""
    return Smoothed(x, 1.0 / bars, first, bars)


@dataclass(frozen=True)
class Moments:
    """Mean and variance of a series over the same window."""

    mean: Series
    variance: Series  # with the divisor that the function below names

    @property
    def deviation(self) -> Series:
        return sqrt(self.variance)


def exponential_moments(
    x: Series, alpha: float, count: Series | None = None, indicator: Series | None = None
) -> Moments:
    """Mean and unbiased variance as `Exponential` defines them."""
    mean, variance = (Exponential(x, alpha, name, count, indicator) for name in ("mean", "variance"))
    return Moments(mean, variance)


def exponential_mean(x: Series, alpha: float) -> Series:
    """Exponentially weighted mean with pandas' adjust=True, of a series that is known from the first bar on."""
    return Exponential(x, alpha, "mean", BAR + 1)


def rolling_moments(x: Series, bars: int) -> Moments:
    """Mean and sample variance (divisor bars - 1) of the last `bars` values; null unless all of them are known."""
    return Moments(Rolling(x, bars, "mean", form="parts"), Rolling(x, bars, "variance", ddof=1, form="parts"))


def rolling_moments_of_bounded(x: Series, bars: int, indicator: Series) -> Moments:
    """As `rolling_moments`, of a series without a scale, such as a ratio that stays within some units of its deviation.

    `indicator` is 1 where x is known, else 0. A variance below 1e-11 of the mean square counts as none.
    """
    mean = Rolling(x, bars, "mean", form="sums", indicator=indicator)
    variance = Rolling(x, bars, "variance", ddof=1, floor=NEGLIGIBLE, form="sums", indicator=indicator)
    return Moments(mean, variance)


def within(x: Series, bars: int) -> Series:
    """The sum of the last `bars` values, as a difference of running sums; nulls count as 0."""
    running = RunningSum(x)
    return where(bars <= BAR, running - running.lag(bars), running)


def filled(counted: Series, bars: int) -> Series:
    """1.0 where `counted` was 1 at each of the last `bars` bars, else 0.0."""
    return where(within(counted, bars) >= bars, 1.0, 0.0)


def rolling_nanmean(x: Series, bars: int) -> Series:
    """The mean of those of the last `bars` values that are known; null where none is, and before `bars` bars."""
    return Rolling(or_zero(x), bars, "mean") / Rolling(observed(x), bars, "mean")


def skewness(x: Series, bars: int) -> Series:
    """Sample skewness of daily returns; null where a value is not known or the window is flat."""
    return Rolling(x, bars, "skewness")


def highest(x: Series, bars: int) -> Series:
    """The largest of the last `bars` values of a series that is known at every bar; null until there are so many."""
    return Rolling(x, bars, "max", form="parts")


def lowest(x: Series, bars: int) -> Series:
    """The smallest of the last `bars` values, as `highest`."""
    return Rolling(x, bars, "min", form="parts")


def moved(now: Series, before: Series) -> Series:
    """1 where a price rose, -1 where it fell, 0 where it stayed, up to rounding."""
    limit = ROUNDING * maximum(absolute(now), absolute(before))
    change = now - before
    return where(limit < change, 1.0, where(change < -limit, -1.0, where(change >= -limit, 0.0)))
