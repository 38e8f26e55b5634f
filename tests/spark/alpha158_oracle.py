"""The alpha158 family of one ticker by numpy: every number from its own window, straight from qlib's definitions.

A value is missing before its window is full, where a divisor is 0 and where a deviation is at most 2e-5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]

WINDOWS = (5, 10, 20, 30, 60)


def windows(x: Array, bars: int) -> Array:
    """One row a bar: the last `bars` values, oldest first; NaN in all of a row that reaches before the first bar."""
    padded = np.concatenate([np.full(bars - 1, np.nan), x])
    rows = np.lib.stride_tricks.sliding_window_view(padded, bars).copy()
    rows[np.isnan(rows).any(axis=1)] = np.nan
    return rows


def over(x: Array, divisor: Array) -> Array:
    return x / np.where(divisor == 0, np.nan, divisor)


def over_prices(x: Array, divisor: Array, close: Array) -> Array:
    """A quotient that is missing where the divisor, a difference of prices, is rounding noise."""
    return over(x, np.where(divisor < 1e-9 * close, 0.0, divisor))


def where_full(value: Array, rows: Array) -> Array:
    return np.where(np.isnan(rows).any(axis=1), np.nan, value)


def standard(rows: Array) -> Array:
    return rows.std(axis=1, ddof=1)


def correlation(x: Array, y: Array, bars: int, unit: Array) -> Array:
    left, right = windows(x, bars), windows(y, bars)
    flat = ~(standard(left) > 2e-5 * unit) | ~(standard(right) > 2e-5)
    left, right = left - left.mean(axis=1, keepdims=True), right - right.mean(axis=1, keepdims=True)
    both = (left**2).sum(axis=1) * (right**2).sum(axis=1)
    return np.where(flat, np.nan, over((left * right).sum(axis=1), np.sqrt(both)))


def line(rows: Array) -> tuple[Array, Array, Array]:
    """Slope a bar, r squared and the last residual of each window's straight line."""
    bars = rows.shape[1]
    steps = np.arange(1.0, bars + 1) - (bars + 1) / 2
    from_mean = rows - rows.mean(axis=1, keepdims=True)
    slope = (from_mean * steps).sum(axis=1) / (steps**2).sum()
    rest = from_mean - slope[:, None] * steps
    explained = (slope[:, None] * steps) ** 2
    return slope, over(explained.sum(axis=1), (from_mean**2).sum(axis=1)), rest[:, -1]


def position(rows: Array, extreme: Array) -> Array:
    """The first place of a window's extreme, counted from 1, over its length; equal are prices up to their scaling."""
    found = np.abs(rows - extreme[:, None]) <= 1e-9 * np.abs(extreme[:, None])
    return where_full((found.argmax(axis=1) + 1) / rows.shape[1], rows)


def bar_shapes(prices: pd.DataFrame) -> dict[str, Array]:
    opened, high, low, close = (prices[name].to_numpy(float) for name in ("open", "high", "low", "close"))
    above, below = high - np.maximum(opened, close), np.minimum(opened, close) - low
    middle, spread = 2 * close - high - low, high - low
    found = {"kmid": (close - opened) / opened, "klen": spread / opened}
    found["kmid2"] = over_prices(close - opened, spread, close)
    found |= {"kup": above / opened, "kup2": over_prices(above, spread, close)}
    found |= {"klow": below / opened, "klow2": over_prices(below, spread, close)}
    found |= {"ksft": middle / opened, "ksft2": over_prices(middle, spread, close)}
    return found | {"open0": opened / close, "high0": high / close, "low0": low / close}


def rolling(prices: pd.DataFrame, bars: int) -> dict[str, Array]:
    high, low, close, volume = (prices[name].to_numpy(float) for name in ("high", "low", "close", "volume"))
    before = np.concatenate([[np.nan], close[:-1]])
    volume_before = np.concatenate([[np.nan], volume[:-1]])
    closes, volumes = windows(close, bars), windows(volume, bars)
    changes, volume_changes = windows(close - before, bars), windows(volume - volume_before, bars)
    slope, explained, rest = line(closes)
    top, bottom = windows(high, bars).max(axis=1), windows(low, bars).min(axis=1)
    highest, lowest = position(windows(high, bars), top), position(windows(low, bars), bottom)
    quantiles = np.quantile(closes, [0.8, 0.2], axis=1)
    smaller, equal = (closes < close[:, None]).sum(axis=1), (closes == close[:, None]).sum(axis=1)
    up, down = where_full((changes > 0).mean(axis=1), changes), where_full((changes < 0).mean(axis=1), changes)
    gain, loss = np.maximum(changes, 0).sum(axis=1), np.maximum(-changes, 0).sum(axis=1)
    more, less = np.maximum(volume_changes, 0).sum(axis=1), np.maximum(-volume_changes, 0).sum(axis=1)
    moved = windows(np.abs(close / before - 1) * volume, bars)
    moved_mean = np.where(moved.mean(axis=1) < 1e-9 * volumes.mean(axis=1), 0.0, moved.mean(axis=1))
    return {
        "roc": pd.Series(close).shift(bars).to_numpy() / close,
        "ma": closes.mean(axis=1) / close,
        "std": standard(closes) / close,
        "beta": slope / close,
        "rsqr": np.where(standard(closes) > 2e-5 * close, explained, np.nan),
        "resi": rest / close,
        "max": top / close,
        "min": bottom / close,
        "qtlu": quantiles[0] / close,
        "qtld": quantiles[1] / close,
        "rank": where_full((smaller + (equal + 1) / 2) / bars, closes),
        "rsv": over_prices(close - bottom, top - bottom, close),
        "imax": highest,
        "imin": lowest,
        "imxd": highest - lowest,
        "corr": correlation(close, np.log(volume + 1), bars, close),
        "cord": correlation(close / before, np.log(over(volume, volume_before) + 1), bars, np.ones(len(close))),
        "cntp": up,
        "cntn": down,
        "cntd": up - down,
        "sump": over_prices(gain, gain + loss, close * bars),
        "sumn": over_prices(loss, gain + loss, close * bars),
        "sumd": over_prices(gain - loss, gain + loss, close * bars),
        "vma": over(volumes.mean(axis=1), volume),
        "vstd": over(standard(volumes), volume),
        "wvma": over(standard(moved), moved_mean),
        "vsump": over(more, more + less),
        "vsumn": over(less, more + less),
        "vsumd": over(more - less, more + less),
    }


def alpha158(prices: pd.DataFrame) -> pd.DataFrame:
    """All 157 columns of one ticker's bars, in the order of the feature set."""
    by_window = {bars: rolling(prices, bars) for bars in WINDOWS}
    found = bar_shapes(prices)
    found |= {f"{name}_{bars}": by_window[bars][name] for name in by_window[5] for bars in WINDOWS}
    return pd.DataFrame(found, index=prices.index)
