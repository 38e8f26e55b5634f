"""Moments of the last bars: mean, variance, covariance, skewness; NaN unless all values of the window are known.

All take `x` (rows of tickers, one after another, by date), `bounds` (the row at which each ticker begins, and the end)
and `bars` (the number of each ticker's first bar), and fill `out`.

A ticker is cut into blocks of the window's length, at bars that are multiples of it, so that a run over a part of the
history cuts at the same bars and sums in the same order. A window is the end of one block and the beginning of the
next. Sums over each are of distances from the first value of the newer block, which lies in the window: nothing is ever
taken away from a sum, and no distance is larger than the window's range. So neither a jump nor a long history costs
digits, and what is constant has a variance of exactly 0.
"""

from __future__ import annotations

import numpy as np

from eraflow.features.kernels.compiled import Places, Values, kernel


@kernel
def rolling_mean(x: Values, bounds: Places, bars: Places, window: int, out: Values) -> None:
    """The mean of the last `window` values."""
    ends = np.zeros(window + 1)
    for ticker in range(len(bars)):
        low, high = bounds[ticker], bounds[ticker + 1]
        place = bars[ticker] % window
        centre = begun = 0.0
        for row in range(low, high):
            if place == 0 or row == low:
                centre, begun, ended = x[row], 0.0, 0.0
                for back in range(1, min(window, row - low + 1)):
                    ended += x[row - back] - centre
                    ends[back] = ended
            begun += x[row] - centre
            place += 1
            if row - low + 1 < window:
                out[row] = np.nan
            else:
                moved = begun + ends[window - place]
                # Of whole numbers the mean is their sum over their count, to the last bit.
                out[row] = centre if moved == 0.0 else (centre * window + moved) / window
            if place == window:
                place = 0


@kernel
def rolling_variance(
    x: Values, bounds: Places, bars: Places, window: int, ddof: int, floor: float, out: Values
) -> None:
    """The variance with the divisor `window` - `ddof`; 0 where it is less than a share `floor` of the mean square."""
    ends, square_ends = np.zeros(window + 1), np.zeros(window + 1)
    for ticker in range(len(bars)):
        low, high = bounds[ticker], bounds[ticker + 1]
        place = bars[ticker] % window
        centre = begun = squares = 0.0
        for row in range(low, high):
            if place == 0 or row == low:
                centre, begun, squares, ended, squares_ended = x[row], 0.0, 0.0, 0.0, 0.0
                for back in range(1, min(window, row - low + 1)):
                    distance = x[row - back] - centre
                    ended += distance
                    squares_ended += distance * distance
                    ends[back], square_ends[back] = ended, squares_ended
            distance = x[row] - centre
            begun += distance
            squares += distance * distance
            place += 1
            if row - low + 1 < window:
                out[row] = np.nan
            else:
                moved = (begun + ends[window - place]) / window
                spread = (squares + square_ends[window - place]) / window - moved * moved
                spread = 0.0 if spread < 0.0 else spread
                if spread < floor * (spread + (centre + moved) * (centre + moved)):
                    spread = 0.0
                out[row] = spread if ddof == 0 else spread * (window / (window - ddof))
            if place == window:
                place = 0


@kernel
def rolling_covariance(x: Values, other: Values, bounds: Places, bars: Places, window: int, out: Values) -> None:
    """The covariance with `other`, divisor `window`."""
    ends, other_ends, product_ends = np.zeros(window + 1), np.zeros(window + 1), np.zeros(window + 1)
    for ticker in range(len(bars)):
        low, high = bounds[ticker], bounds[ticker + 1]
        place = bars[ticker] % window
        centre = other_centre = begun = other_begun = products = 0.0
        for row in range(low, high):
            if place == 0 or row == low:
                centre, other_centre = x[row], other[row]
                begun = other_begun = products = ended = other_ended = products_ended = 0.0
                for back in range(1, min(window, row - low + 1)):
                    distance, other_distance = x[row - back] - centre, other[row - back] - other_centre
                    ended += distance
                    other_ended += other_distance
                    products_ended += distance * other_distance
                    ends[back], other_ends[back], product_ends[back] = ended, other_ended, products_ended
            distance, other_distance = x[row] - centre, other[row] - other_centre
            begun += distance
            other_begun += other_distance
            products += distance * other_distance
            place += 1
            if row - low + 1 < window:
                out[row] = np.nan
            else:
                left = window - place
                moved, other_moved = (begun + ends[left]) / window, (other_begun + other_ends[left]) / window
                out[row] = (products + product_ends[left]) / window - moved * other_moved
            if place == window:
                place = 0


@kernel
def rolling_skewness(x: Values, bounds: Places, bars: Places, window: int, flat: float, out: Values) -> None:
    """The sample's skewness (adjusted Fisher-Pearson); NaN where the deviation is less than `flat`."""
    adjusted = (window * (window - 1)) ** 0.5 / (window - 2)
    ends, square_ends, cube_ends = np.zeros(window + 1), np.zeros(window + 1), np.zeros(window + 1)
    for ticker in range(len(bars)):
        low, high = bounds[ticker], bounds[ticker + 1]
        place = bars[ticker] % window
        centre = begun = squares = cubes = 0.0
        for row in range(low, high):
            if place == 0 or row == low:
                centre = x[row]
                begun = squares = cubes = ended = squares_ended = cubes_ended = 0.0
                for back in range(1, min(window, row - low + 1)):
                    distance = x[row - back] - centre
                    ended += distance
                    squares_ended += distance * distance
                    cubes_ended += distance * distance * distance
                    ends[back], square_ends[back], cube_ends[back] = ended, squares_ended, cubes_ended
            distance = x[row] - centre
            begun += distance
            squares += distance * distance
            cubes += distance * distance * distance
            place += 1
            out[row] = np.nan
            if row - low + 1 >= window:
                left = window - place
                mean = (begun + ends[left]) / window
                second = (squares + square_ends[left]) / window
                third = (cubes + cube_ends[left]) / window - 3.0 * mean * second + 2.0 * mean * mean * mean
                second -= mean * mean
                if second >= flat * flat:
                    out[row] = adjusted * third / (second * np.sqrt(second))
            if place == window:
                place = 0
