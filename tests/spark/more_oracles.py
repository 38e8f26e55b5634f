"""Independent answers for the families beyond the main set: TA-Lib, and numpy over each window by itself.

All take one ticker's bars (`open, high, low, close, raw_close, volume, adjusted_volume, market_return,
sector_return`), as features do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import talib
from tests.spark import oracles
from tests.spark.oracles import Array

IN_PERCENT = ("adx", "plus_di", "minus_di", "mfi", "cci", "williams_r", "trix", "ppo")


def errors(computed: pd.DataFrame, bars: pd.DataFrame) -> dict[str, float]:
    """Column -> its largest error: of a percentage of 100, of the true range of the price, of flows of the volume."""
    with np.errstate(all="ignore"):
        wanted = pd.DataFrame(oscillators(bars) | others(bars))
    scales = {name: np.full(len(bars), 100.0) for name in wanted if name.startswith(IN_PERCENT)}
    scales |= {"atr_14": bars["close"].to_numpy(), "obv": np.full(len(bars), max(1.0, bars["adjusted_volume"].max()))}
    return oracles.errors(computed, wanted, scales)


def oscillators(bars: pd.DataFrame) -> dict[str, Array]:
    names = ("high", "low", "close", "adjusted_volume")
    high, low, close, volume = (bars[name].to_numpy(dtype=float) for name in names)
    mean = over(lambda window: window.mean(axis=1), close, 20)
    deviation = over(lambda window: window.std(axis=1), close, 20)
    deviation = np.where(deviation < 1e-9 * mean, 0.0, deviation)
    typical = (high + low + close) / 3
    still = over(lambda w: np.abs(w - w.mean(axis=1, keepdims=True)).mean(axis=1) < 1e-9 * w[:, -1], typical, 14) == 1
    return {
        "atr_14": talib.ATR(high, low, close, 14),
        **directional_movement(high, low, close, 14),
        "bollinger_position_20": ratio(close - (mean - 2 * deviation), 4 * deviation),
        "bollinger_width_20": 4 * deviation / mean,
        "obv": np.cumsum(np.where(np.arange(len(close)) < 1, 1, direction(close)) * volume),
        "mfi_14": money_flow_index(typical, volume, 14),
        "cci_14": np.where(still, 0.0, talib.CCI(high, low, close, 14)),
        "williams_r_14": talib.WILLR(high, low, close, 14),
        "trix_15": talib.TRIX(close, 15),
        "ppo_12_26": talib.PPO(close, 12, 26, matype=1),
    }


def direction(x: Array) -> Array:
    """Of each change 1, 0 or -1; prices that are equal but for the rounding of their scaling did not change."""
    change = np.diff(x, prepend=np.nan)
    return np.where(np.abs(change) > 1e-9 * x, np.sign(change), 0.0)


def directional_movement(high: Array, low: Array, close: Array, bars: int) -> dict[str, Array]:
    """TA-Lib's, but of a rise and a fall that scaling has parted in the last bits none is the larger one."""
    rise, fall = np.diff(high, prepend=np.nan), -np.diff(low, prepend=np.nan)
    tied = np.abs(rise - fall) <= 1e-9 * high
    plus = np.where((rise > fall) & (rise > 0) & ~tied, rise, 0.0)
    minus = np.where((fall > rise) & (fall > 0) & ~tied, fall, 0.0)
    before = np.concatenate([[np.nan], close[:-1]])
    spread = np.fmax(high, before) - np.fmin(low, before)
    sums = [wilder_sum(x, bars) for x in (plus, minus, spread)]
    plus_di, minus_di = (np.where(sums[2] < 1e-14, 0.0, 100 * ratio(x, sums[2])) for x in sums[:2])
    index = np.nan_to_num(100 * ratio(np.abs(sums[0] - sums[1]), sums[0] + sums[1]))
    average = np.full(len(high), np.nan)
    if len(high) >= 2 * bars:
        average[2 * bars - 1] = index[bars : 2 * bars].mean()
    for now in range(2 * bars, len(high)):
        average[now] = average[now - 1] + (index[now] - average[now - 1]) / bars
    return {"adx_14": average, "plus_di_14": plus_di, "minus_di_14": minus_di}


def wilder_sum(x: Array, bars: int) -> Array:
    """The sum of the first `bars` - 1 changes, then s = s - s / bars + x; known from the first fading on."""
    sums = np.full(len(x), np.nan)
    total = x[1:bars].sum()
    for now in range(bars, len(x)):
        total = total - total / bars + x[now]
        sums[now] = total
    return sums


def money_flow_index(typical: Array, volume: Array, bars: int) -> Array:
    """TA-Lib's, but equal prices that scaling has parted in the last bits are equal: TA-Lib takes that for moves."""
    change = direction(typical)
    flows = (np.where(chosen, typical * volume, 0.0)[1:] for chosen in (change > 0, change != 0))
    rising, both = (over(mean, flow, bars) * bars for flow in flows)
    index = np.where(both < 1.0, 0.0, 100 * ratio(rising, both))
    return np.concatenate([[np.nan], np.where(np.isnan(both), np.nan, index)])


def others(bars: pd.DataFrame) -> dict[str, Array]:
    opened, high, low, close = (bars[name].to_numpy(dtype=float) for name in ("open", "high", "low", "close"))
    money = (bars["raw_close"] * bars["volume"]).to_numpy(dtype=float)
    returns, logs = change(close), np.log1p(change(close))
    spread, body = np.log(high / low), np.log(close / opened)
    garman_klass = over(mean, 0.5 * spread**2 - (2 * np.log(2) - 1) * body**2, 21)
    impact = ratio(np.abs(returns), money) * 1e6
    found = {
        "realised_volatility_21": over(deviation, logs, 21) * np.sqrt(252),
        "realised_volatility_63": over(deviation, logs, 63) * np.sqrt(252),
        "garman_klass_21": np.sqrt(np.where(garman_klass >= 0, garman_klass, np.nan) * 252),
        "parkinson_21": np.sqrt(over(mean, spread**2, 21) / (4 * np.log(2)) * 252),
        "skewness_63": over(skewness, returns, 63),
        "amihud_21": np.where(np.arange(len(close)) >= 21, over(nanmean, impact, 21), np.nan),
        "dollar_volume_21": np.log1p(over(mean, money, 21)),
        "volume_ratio_5_63": ratio(over(mean, money, 5), over(mean, money, 63)),
        "drawdown_252": close / over(lambda window: window.max(axis=1), close, 252) - 1,
        **{f"distance_to_mean_{n}": close / over(mean, close, n) - 1 for n in (20, 50, 200)},
        "high_position_252": close / over(lambda window: window.max(axis=1), high, 252),
        "low_position_252": close / over(lambda window: window.min(axis=1), low, 252),
    }
    for group in ("market", "sector"):
        beta, momentum = residual(returns, bars[f"{group}_return"].to_numpy(dtype=float))
        found[f"{group}_beta_252"], found[f"residual_momentum_{group}_252"] = beta, momentum
    return found


def residual(returns: Array, group: Array) -> tuple[Array, Array]:
    """Of each 252 days the slope over the group's return, and the sum of what it leaves, the last 21 days not counted,
    over its deviation."""
    beta, momentum = np.full(len(returns), np.nan), np.full(len(returns), np.nan)
    if len(returns) > 252:
        x, y = (np.lib.stride_tricks.sliding_window_view(values[1:], 252) for values in (group, returns))
        from_mean = x - x.mean(axis=1, keepdims=True)
        slope = (from_mean * (y - y.mean(axis=1, keepdims=True))).sum(axis=1) / (from_mean**2).sum(axis=1)
        beta[252:] = np.where(x.std(axis=1) >= 1e-12, slope, np.nan)
        left, before = (y - beta[252:, None] * x)[:, :-21], y[:, :-21]
        moves = (left.std(axis=1) >= 1e-12) & (left.var(axis=1) >= 1e-12 * before.var(axis=1))
        momentum[252:] = np.where(moves, left.sum(axis=1) / left.std(axis=1), np.nan)
    return beta, momentum


def over(statistic: Callable[[Array], Array], x: Array, bars: int) -> Array:
    """The statistic of each full window, NaN before."""
    out = np.full(len(x), np.nan)
    if len(x) >= bars:
        out[bars - 1 :] = statistic(np.lib.stride_tricks.sliding_window_view(x, bars))
    return out


def mean(window: Array) -> Array:
    return window.mean(axis=1)


def deviation(window: Array) -> Array:
    return window.std(axis=1, ddof=1)


def nanmean(window: Array) -> Array:
    return ratio(np.nansum(window, axis=1), (~np.isnan(window)).sum(axis=1).astype(float))


def skewness(window: Array) -> Array:
    n = window.shape[1]
    apart = window - window.mean(axis=1, keepdims=True)
    second, third = (apart**2).mean(axis=1), (apart**3).mean(axis=1)
    second = np.where(second >= 1e-24, second, np.nan)
    return np.sqrt(n * (n - 1)) / (n - 2) * third / second**1.5


def change(x: Array) -> Array:
    return np.concatenate([[np.nan], x[1:] / x[:-1] - 1]) if len(x) else x


def ratio(x: Array, divisor: Array) -> Array:
    return np.where(divisor == 0, np.nan, x / np.where(divisor == 0, 1.0, divisor))
