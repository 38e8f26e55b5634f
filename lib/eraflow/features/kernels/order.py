"""Where values stand among the last bars: extremes and their places, ranks, quantiles; NaN unless all are known.

Arguments are those of `sums`. What these say of a window depends on no order in which it is gone through.
"""

from __future__ import annotations

import numpy as np

from eraflow.features.kernels.compiled import Places, Values, kernel


@kernel
def rolling_max(x: Values, bounds: Places, window: int, sign: float, out: Values) -> None:
    """The largest value (`sign` 1), or the smallest (`sign` -1): the end of one block and the beginning of the next."""
    ends = np.zeros(window + 1)
    for ticker in range(len(bounds) - 1):
        low, high = bounds[ticker], bounds[ticker + 1]
        place = 0
        begun = -np.inf
        for row in range(low, high):
            if place == 0:
                begun = top = -np.inf
                ends[0] = top
                for back in range(1, min(window, row - low + 1)):
                    value = sign * x[row - back]
                    if not (value <= top) and top == top:  # what is not known stays so
                        top = value
                    ends[back] = top
            value = sign * x[row]
            if not (value <= begun) and begun == begun:
                begun = value
            place += 1
            if row - low + 1 < window:
                out[row] = np.nan
            else:
                ended = ends[window - place]
                out[row] = sign * (ended if not (ended <= begun) and begun == begun else begun)
            if place == window:
                place = 0


@kernel
def place_of_max(x: Values, bounds: Places, window: int, rounding: float, top: Values, out: Values) -> None:
    """1 where the oldest value is the largest, `window` where the newest is; the oldest of equals up to `rounding`.

    `top` are the maxima of the windows.
    """
    for ticker in range(len(bounds) - 1):
        for row in range(bounds[ticker], bounds[ticker + 1]):
            out[row] = np.nan
            if top[row] == top[row]:
                limit = top[row] - rounding * abs(top[row])
                first = row - window + 1
                while x[first] < limit:
                    first += 1
                out[row] = first - row + window


@kernel
def rolling_rank(x: Values, bounds: Places, window: int, out: Values) -> None:
    """The rank of the newest value over `window`, in (0, 1]; equals share the mean of their ranks."""
    for ticker in range(len(bounds) - 1):
        low = bounds[ticker]
        streak = 0
        for row in range(low, bounds[ticker + 1]):
            value = x[row]
            streak = streak + 1 if value == value else 0
            out[row] = np.nan
            if streak >= window:
                less = equal = 0
                for other in range(row - window + 1, row + 1):
                    less += x[other] < value
                    equal += x[other] == value
                out[row] = (2 * less + equal + 1) / (2.0 * window)


@kernel
def rolling_quantile(x: Values, bounds: Places, window: int, share: float, out: Values) -> None:
    """The quantile at `share`, linear between neighbours."""
    place = share * (window - 1)
    below = int(place)
    ordered = np.zeros(window + 1)
    for ticker in range(len(bounds) - 1):
        low = bounds[ticker]
        held = streak = 0
        for row in range(low, bounds[ticker + 1]):
            value = x[row]
            streak = streak + 1 if value == value else 0
            at = held  # where there is room for the value
            if row - low >= window and x[row - window] == x[row - window]:
                at = np.searchsorted(ordered[:held], x[row - window])
                held -= 1
            while at < held and not (ordered[at + 1] >= value):  # all of them for a value that is not known
                ordered[at] = ordered[at + 1]
                at += 1
            if value == value:
                while at > 0 and ordered[at - 1] > value:
                    ordered[at] = ordered[at - 1]
                    at -= 1
                ordered[at] = value
                held += 1
            out[row] = np.nan
            if streak >= window:
                out[row] = ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


@kernel
def mean_distance(x: Values, bounds: Places, window: int, mean: Values, out: Values) -> None:
    """The mean absolute distance from the window's mean; `mean` are the means of the windows."""
    for ticker in range(len(bounds) - 1):
        for row in range(bounds[ticker], bounds[ticker + 1]):
            out[row] = np.nan
            if mean[row] == mean[row]:
                apart = 0.0
                for other in range(row - window + 1, row + 1):
                    apart += abs(x[other] - mean[row])
                out[row] = apart / window


@kernel
def lag(x: Values, bounds: Places, bars: int, out: Values) -> None:
    """The value `bars` bars earlier."""
    for ticker in range(len(bounds) - 1):
        low, high = bounds[ticker], bounds[ticker + 1]
        first = min(low + bars, high)
        out[low:first] = np.nan
        for row in range(first, high):
            out[row] = x[row - bars]
