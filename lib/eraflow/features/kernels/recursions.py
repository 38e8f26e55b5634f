"""What remembers the whole history: running sums, Wilder's and exponential averages, exponentially weighted moments.

All take `x`, `bounds` and `bars` as `sums` does, and fill `out`. A ticker is begun at its first bar (`begins` -1) or at
the row `begins`, where its state is `given`; what comes before that is NaN. `rows` names, for rows whose state is kept,
their row in `kept`, and -1 for all others; the state stands in columns from `slot` on.
"""

from __future__ import annotations

import numpy as np

from eraflow.features.kernels.compiled import Places, Values, kernel


@kernel
def running_sum(
    x: Values, bounds: Places, begins: Places, given: Values, rows: Places, kept: Values, slot: int, out: Values
) -> None:
    """The sum from the first bar to now; nulls count as 0. Its state is the sum."""
    for ticker in range(len(begins)):
        low, begin, total = bounds[ticker], begins[ticker], 0.0
        for row in range(low, bounds[ticker + 1]):
            if row < begin:
                out[row] = np.nan
                continue
            if row == begin:
                total = given[ticker, 0]
            elif x[row] == x[row]:
                total += x[row]
            out[row] = total
            if rows[row] >= 0:
                kept[rows[row], slot] = total


@kernel
def smoothed(
    x: Values, bounds: Places, bars: Places, begins: Places, given: Values, rows: Places, kept: Values, slot: int,
    alpha: float, first: int, seed: int, out: Values,
) -> None:  # fmt: skip
    """y += alpha (x - y) after the mean of `seed` values from bar `first` on. The state is y, or the seed's sum."""
    last = first + seed - 1
    for ticker in range(len(bars)):
        low, begin, y = bounds[ticker], begins[ticker], 0.0
        for row in range(low, bounds[ticker + 1]):
            bar = bars[ticker] + row - low
            if row < begin:
                out[row] = np.nan
                continue
            if row == begin:
                y = given[ticker, 0]
            elif bar > last:
                y += alpha * (x[row] - y)
            elif bar == last:
                y = (y + x[row]) / seed
            elif bar >= first:
                y += x[row]
            out[row] = y if bar >= last else np.nan
            if rows[row] >= 0:
                kept[rows[row], slot] = y


@kernel
def fading_sum(
    x: Values, bounds: Places, bars: Places, begins: Places, given: Values, rows: Places, kept: Values, slot: int,
    window: int, out: Values,
) -> None:  # fmt: skip
    """Wilder's sum: bars 1 to `window` - 1 plainly, then s = s (1 - 1/window) + x. The state is s."""
    decay = 1.0 - 1.0 / window
    for ticker in range(len(bars)):
        low, begin, total = bounds[ticker], begins[ticker], 0.0
        for row in range(low, bounds[ticker + 1]):
            bar = bars[ticker] + row - low
            if row < begin:
                out[row] = np.nan
                continue
            if row == begin:
                total = given[ticker, 0]
            elif bar >= window:
                total = total * decay + x[row]
            elif bar >= 1:
                total += x[row]
            out[row] = total if bar >= window else np.nan
            if rows[row] >= 0:
                kept[rows[row], slot] = total


@kernel
def exponential_mean(
    x: Values, bounds: Places, begins: Places, given: Values, rows: Places, kept: Values, slot: int, alpha: float,
    out: Values,
) -> None:  # fmt: skip
    """pandas' `ewm(alpha).mean()`, NaN where x is. The state is the weighted sum of values and that of the weights."""
    decay = 1.0 - alpha
    for ticker in range(len(begins)):
        begin, total, weight = begins[ticker], 0.0, 0.0
        for row in range(bounds[ticker], bounds[ticker + 1]):
            out[row] = np.nan
            if row < begin:
                continue
            if row == begin:
                total, weight = given[ticker, 0], given[ticker, 1]
            else:
                total *= decay
                weight *= decay
                if x[row] == x[row]:
                    total += x[row]
                    weight += 1.0
            if x[row] == x[row]:
                out[row] = total / weight
            if rows[row] >= 0:
                kept[rows[row], slot], kept[rows[row], slot + 1] = total, weight


@kernel
def exponential_moments(
    x: Values, bounds: Places, begins: Places, given: Values, rows: Places, kept: Values, slot: int, alpha: float,
    mean_out: Values, out: Values,
) -> None:  # fmt: skip
    """pandas' `ewm(alpha).mean()` and `.var()`, NaN where x is; 0 for a variance that is rounding of the mean square.

    The state is the weighted sums of values and of squares, and the sums of weights and of squared weights.
    """
    decay = 1.0 - alpha
    for ticker in range(len(begins)):
        begin, total, squares, weight, weights_squared = begins[ticker], 0.0, 0.0, 0.0, 0.0
        for row in range(bounds[ticker], bounds[ticker + 1]):
            mean_out[row] = out[row] = np.nan
            if row < begin:
                continue
            value = x[row]
            if row == begin:
                total, squares = given[ticker, 0], given[ticker, 1]
                weight, weights_squared = given[ticker, 2], given[ticker, 3]
            else:
                total, squares, weight = total * decay, squares * decay, weight * decay
                weights_squared *= decay * decay
                if value == value:
                    total, squares, weight = total + value, squares + value * value, weight + 1.0
                    weights_squared += 1.0
            if value == value:
                mean, second, biased = total / weight, squares / weight, weights_squared / (weight * weight)
                mean_out[row] = mean
                if biased < 1.0 - 1e-12:
                    spread = second - mean * mean
                    out[row] = 0.0 if spread < 1e-13 * second else spread / (1.0 - biased)
            if rows[row] >= 0:
                kept[rows[row], slot], kept[rows[row], slot + 1] = total, squares
                kept[rows[row], slot + 2], kept[rows[row], slot + 3] = weight, weights_squared
