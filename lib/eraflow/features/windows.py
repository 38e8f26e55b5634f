"""Long windows put together from short ones: a frame costs its length at every row, a lag next to nothing."""

from __future__ import annotations

from dataclasses import dataclass

from eraflow.features.series import BAR, Apply, Rolling, Series, absolute, joined, maximum, sqrt, total, where

# What scaling to total return can leave of equal prices, in units of the price: vendors round adjusted closes to ten
# decimals or so. A tick is a thousand times as much, and more.
ROUNDING = 1e-9
FLAT = 1e-12  # a deviation of daily returns that is nothing but rounding


def highest(x: Series, bars: int, part: int | None = None) -> Series:
    """The largest of the last `bars` values of a series that is known at every bar; null until there are so many.

    It is put together from frames of `part` bars, which windows of several lengths can share.
    """
    part = part or max(length for length in range(1, 22) if bars % length == 0)
    of_part = Rolling(x, part, "max")
    found: Series = of_part
    for back in range(part, bars, part):
        found = Apply("greatest", (found, of_part.lag(back)))
    return where(bars - 1 <= BAR, found)


def lowest(x: Series, bars: int, part: int | None = None) -> Series:
    """The smallest of the last `bars` values, as `highest`."""
    return -highest(-x, bars, part)


@dataclass(frozen=True)
class Joint:
    """Moments of two series over the same window, divisors the number of bars."""

    mean: Series
    mean_of_other: Series
    variance: Series
    variance_of_other: Series
    covariance: Series

    @property
    def slope(self) -> Series:
        """By least squares, of the first series on the other; null where the other is flat."""
        return where(self.variance_of_other >= FLAT * FLAT, self.covariance / self.variance_of_other)


def joint_moments(x: Series, other: Series, part: int, first: int, parts: int) -> Joint:
    """Of `parts` windows of `part` bars that lie behind one another, the newest of them `first` windows back.

    Null unless both series are known throughout.
    """

    def behind(moment: Series) -> list[Series]:
        return [moment.lag(part * back) for back in range(first, first + parts)]

    def mean(sum_of_parts: Series) -> Series:
        return sum_of_parts / parts

    means, means_of_other = behind(Rolling(x, part, "mean")), behind(Rolling(other, part, "mean"))
    centre, centre_of_other = mean(total(means)), mean(total(means_of_other))
    apart, apart_of_other = [m - centre for m in means], [m - centre_of_other for m in means_of_other]
    pairs = list(zip(apart, apart_of_other, strict=True))
    return Joint(
        centre,
        centre_of_other,
        joined(behind(Rolling(x, part, "variance")), [a * a for a in apart], mean),
        joined(behind(Rolling(other, part, "variance")), [b * b for b in apart_of_other], mean),
        joined(behind(Rolling(x, part, "covariance", other)), [a * b for a, b in pairs], mean),
    )


def skewness(x: Series, part: int, parts: int) -> Series:
    """Sample skewness (adjusted Fisher-Pearson, as pandas') of daily returns over `part` x `parts` bars.

    Null where a value is not known or the window is flat.
    """
    bars = part * parts
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


def mean_of_known(x: Series, bars: int) -> Series:
    """The mean of those of the last `bars` values that are known; null where none is, and before `bars` bars."""
    sums = Rolling(Apply("or_zero", (x,)), bars, "mean")
    return sums / Rolling(Apply("known", (x,)), bars, "mean")


def moved(now: Series, before: Series) -> Series:
    """1 where a price rose, -1 where it fell, 0 where it stayed, up to rounding."""
    limit = ROUNDING * maximum(absolute(now), absolute(before))
    change = now - before
    return where(limit < change, 1.0, where(change < -limit, -1.0, where(change >= -limit, 0.0)))
