"""How Window functions get each statistic: long windows from short ones, recursions from exponentially weighted means.

A sliding frame costs its length at every row, a lag next to nothing, and differences of running sums lose their digits
after a jump. So a long window is put together from parts: each part's moments by a short frame, the parts by lags.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Literal

from eraflow.features.series import (
    BAR,
    FLAT,
    NEGLIGIBLE,
    ROUNDING,
    Apply,
    Constant,
    Lag,
    RunningSum,
    Series,
    absolute,
    filled,
    observed,
    series,
    sqrt,
    where,
    within,
)

Aggregate = Literal["min", "max", "mean", "variance", "covariance", "values"]


@dataclass(frozen=True, eq=False)
class Frame(Series):
    """An aggregate of the last `bars` bars; null unless all of them are known. It costs `bars` steps a row.

    `values` are the values themselves, as an array; variances and covariances (with `other`) have the divisor `bars`.
    """

    source: Series
    bars: int
    aggregate: Aggregate
    other: Series | None = None


@dataclass(frozen=True, eq=False)
class DecayedMean(Series):
    """The mean of all known values so far, weighted by decay^(bars ago); null before the first, held where x is null.

    `weight` is the sum of these weights, which a run that goes on from a stored mean needs.
    """

    source: Series
    decay: float
    weight: Series


Recursive = RunningSum | DecayedMean  # what remembers the whole history
WindowSeries = Lag | Frame | Recursive


def total(terms: Sequence[Series]) -> Series:
    """Their sum, from the first on."""
    return reduce(add, terms)


def earlier(node: Series, bars: int) -> Series:
    """The value so many bars earlier, by lags of what the value is made of: it shares these with other windows."""
    match node:
        case Constant():
            return node
        case Apply(arguments=arguments):
            return replace(node, arguments=tuple(earlier(argument, bars) for argument in arguments))
        case Lag(source=source, bars=before):
            return source.lag(before + bars)
    return node.lag(bars)


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
    return DecayedMean(x, decay, weight) * weight


def exponential_moment(x: Series, decay: float, weights: Weights, statistic: Literal["mean", "variance"]) -> Series:
    """As `Exponential`: the variance is a difference of the mean square and the squared mean."""
    mean = DecayedMean(x, decay, weights.total)
    is_observed = observed(x) >= 1.0
    if statistic == "mean":
        return where(is_observed, mean)
    second = DecayedMean(x * x, decay, weights.total)
    spread = second - mean * mean
    biased = weights.squares / (weights.total * weights.total)
    variance = where(biased < 1.0 - 1e-12, where(spread < 1e-13 * second, 0.0, spread) / (1.0 - biased))
    return where(is_observed, variance)


def recursive_mean(x: Series, alpha: float, first: int, bars: int) -> Series:
    """As `Smoothed`. The start needs no second pass: the weights of the seed's values make their sum the mean."""
    decay, last = 1.0 - alpha, first + bars - 1
    seed_weight = _power(decay, BAR - last) / bars
    impulse = where(first > BAR, 0.0, x * where(last + 1 > BAR, seed_weight, alpha))
    return where(last <= BAR, decayed_sum(impulse, decay))


def fading_sum(x: Series, bars: int) -> Series:
    """As `FadingSum`."""
    decay, last = 1.0 - 1.0 / bars, bars - 1
    impulse = where(BAR < 1, 0.0, x * where(last > BAR, _power(decay, BAR - last), 1.0))
    return where(bars <= BAR, decayed_sum(impulse, decay))


def _power(base: float, exponent: Series) -> Series:
    """base to the power of a series, right to the last bit or two (e^(x log base) is not, for large exponents)."""
    return Apply("power", (Constant(base), exponent))


def moments_of_parts(x: Series, bars: int) -> tuple[Series, Series]:
    """Mean, and sum of squared distances from it, of the last `bars` values, from equal parts."""
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
    return means[0] + centre, squares


def joined(within: list[Series], between: list[Series], scaled: Callable[[Series], Series]) -> Series:
    """The second moment of a window of equal parts, by the parallel formula of Chan, Golub and LeVeque (1979).

    `within`: each part's own moment; `between`: the products of its means' distances from the window's, empty of one
    part. It only ever adds, so that no digits are lost. `scaled` makes the moment out of a sum over the parts.
    """
    sum_within = scaled(total(within))
    return sum_within + scaled(total(between)) if between else sum_within


def joined_pair(newer: Series, older: Series, share: float, between: Series) -> Series:
    """The same of two parts, the newer of which holds a `share` of the window.

    `between`: the product of the distances of the newer part's means from the older part's.
    """
    return newer * share + older * (1.0 - share) + between * (share * (1.0 - share))


def _part_moments(x: Series, bars: int) -> tuple[Series, Series]:
    """Mean and variance (divisor bars) of a short window: for some bars arithmetic on lags is cheaper than a frame."""
    if bars > 12:
        return Frame(x, bars, "mean"), Frame(x, bars, "variance")
    distances = [x.lag(k) - x for k in range(1, bars)]
    centre = total(distances) / bars
    squares = total([(distance - centre) * (distance - centre) for distance in distances]) + centre * centre
    return x + centre, squares / bars


def _part(bars: int) -> int:
    """The divisor of `bars` that makes the cheapest two-level window: short frame plus number of lags."""
    if bars <= 12:
        return bars
    return min((part for part in range(2, bars + 1) if bars % part == 0), key=lambda part: part + bars // part)


def moments_by_sums(x: Series, bars: int, counted: Series) -> tuple[Series, Series]:
    """Mean and sample variance by differences of running sums: of constant cost, for a series without a scale.

    `counted` is 1 where x is known, else 0. The sums lose the digits by which the history outweighs the window. A ratio
    that stays within some units of its deviation loses three or four of sixteen; a price could lose all. Where less is
    left than NEGLIGIBLE of the mean square, the variance is 0.
    """
    mean, second = within(x, bars) / bars, within(x * x, bars) / bars
    spread = second - mean * mean
    spread = where(spread < NEGLIGIBLE * second, 0.0, spread)
    full = filled(counted, bars) >= 1.0
    return where(full, mean), where(full, spread * (bars / (bars - 1)))


def highest(x: Series, bars: int, part: int | None = None) -> Series:
    """The largest value of a window of a series that is known at every bar, from frames that other windows share."""
    part = part or max(length for length in range(1, 22) if bars % length == 0)
    of_part = Frame(x, part, "max")
    found: Series = of_part
    for back in range(part, bars, part):
        found = Apply("greatest", (found, of_part.lag(back)))
    return where(bars - 1 <= BAR, found)


MONTH = 21


def of_months(statistic: Literal["mean", "variance", "covariance"], x: Series, bars: int, other: Series) -> Series:
    """A moment of a window of whole months, divisor `bars`; null unless both series are known throughout."""
    months = bars // MONTH

    def parts(moment: Series) -> list[Series]:
        return [moment.lag(MONTH * back) for back in range(months)]

    def mean(sum_of_parts: Series) -> Series:
        return sum_of_parts / months

    means, means_of_other = parts(Frame(x, MONTH, "mean")), parts(Frame(other, MONTH, "mean"))
    centre, centre_of_other = mean(total(means)), mean(total(means_of_other))
    if statistic == "mean":
        return centre
    apart, apart_of_other = [m - centre for m in means], [m - centre_of_other for m in means_of_other]
    between = [a * b for a, b in zip(apart, apart_of_other, strict=True)]
    of_part = Frame(x, MONTH, "variance") if statistic == "variance" else Frame(x, MONTH, "covariance", other)
    return joined(parts(of_part), between, mean)


def skewness(x: Series, bars: int) -> Series:
    """As `Rolling` says of `skewness`; `bars` has a divisor from 2 to 9."""
    part = max(length for length in range(2, 10) if bars % length == 0)
    parts = bars // part
    distances = [x.lag(back) - x for back in range(1, part)]
    centre = total(distances) / part
    around = [distance - centre for distance in distances]
    of_part = (
        x + centre,
        (total([d * d for d in around]) + centre * centre) / part,
        (total([d * d * d for d in around]) - centre * centre * centre) / part,
    )
    means, seconds, thirds = ([moment.lag(part * back) for back in range(parts)] for moment in of_part)
    mean = total(means) / parts
    apart = [m - mean for m in means]
    second = joined(seconds, [d * d for d in apart], lambda sum_of_parts: sum_of_parts / parts)
    third = total([t + d * (3.0 * v + d * d) for t, v, d in zip(thirds, seconds, apart, strict=True)]) / parts
    adjusted = (bars * (bars - 1)) ** 0.5 / (bars - 2)
    return where(second >= FLAT * FLAT, adjusted * third / (second * sqrt(second)))


def mean_distance(x: Series, bars: int) -> Series:
    """The mean absolute distance from the window's mean."""
    mean = total([x.lag(k) for k in range(bars)]) / bars
    return total([absolute(x.lag(back) - mean) for back in range(bars)]) / float(bars)


# Windows of these lengths share their parts: one of 60 bars is put together from two of 30, and so on down to 5 bars.
SHARED = (5, 10, 20, 30, 60)
NEWER_PART: Mapping[int, int] = {10: 5, 20: 10, 30: 10, 60: 30}  # of a window, the bars of its newer part


def shared_parts(statistic: Callable[[int], Series], bars: int) -> tuple[Series, Series]:
    """The statistic of a window's newer part, and of the older part before it."""
    newer = NEWER_PART[bars]
    return statistic(newer), statistic(bars - newer).lag(newer)


def shared_mean(x: Series, bars: int) -> Series:
    """The mean of a window; of a constant exactly the constant."""
    if bars == SHARED[0]:
        return Frame(x, bars, "mean")
    newer, older = shared_parts(lambda part: shared_mean(x, part), bars)
    return newer + (older - newer) * ((bars - NEWER_PART[bars]) / bars)


def shared_covariance(x: Series, y: Series, bars: int) -> Series:
    """The covariance of a window, divisor `bars`, from its two parts."""
    if bars == SHARED[0]:
        return Frame(x, bars, "variance") if x == y else Frame(x, bars, "covariance", y)
    newer, older = shared_parts(lambda part: shared_covariance(x, y, part), bars)
    share = NEWER_PART[bars] / bars
    return joined_pair(newer, older, share, _distance(x, bars) * _distance(y, bars))


def _distance(x: Series, bars: int) -> Series:
    """The mean of a window's newer part less that of its older part."""
    if x == BAR:
        return series(bars / 2)
    newer, older = shared_parts(lambda part: shared_mean(x, part), bars)
    return newer - older


def place_of_max(x: Series, bars: int) -> Series:
    """Where a window has its maximum: 1 at the oldest bar, `bars` at the newest; the oldest of equals.

    Prices that scaling to total return has parted in their last bits are equal.
    """
    if bars == SHARED[0]:
        top = _less_rounding(highest(x, bars, SHARED[0]))
        place = where(x >= top, float(bars))
        for lag in range(1, bars):
            place = where(x.lag(lag) >= top, float(bars - lag), place)
        return place
    newer, older = shared_parts(lambda part: highest(x, part, SHARED[0]), bars)
    in_newer, in_older = shared_parts(lambda part: place_of_max(x, part), bars)
    limit = _less_rounding(newer)
    return where(older >= limit, in_older, where(older < limit, in_newer + float(bars - NEWER_PART[bars])))


def _less_rounding(x: Series) -> Series:
    """What still counts as x from below."""
    return x - ROUNDING * absolute(x)


def quantile(x: Series, bars: int, share: float) -> Series:
    """The quantile of a window, linear between neighbours."""
    place = share * (bars - 1)
    ordered = _in_order(x, bars)
    below, above = (Apply("element", (ordered, series(int(place) + step))) for step in (0, 1))
    return below + (above - below) * (place - int(place))


def rank(x: Series, bars: int) -> Series:
    """The rank of the newest value in a window over `bars`, in (0, 1]; equals share the mean of their ranks."""
    ordered = _in_order(x, bars)
    first = Apply("position", (ordered, x))
    last = bars + 1.0 - Apply("position", (Apply("reversed", (ordered,)), x))
    return (first + last) / (2.0 * bars)


def _in_order(x: Series, bars: int) -> Series:
    """The last `bars` values in ascending order, as an array; null unless all of them are known."""
    return Apply("sorted", (Frame(x, bars, "values"),))
