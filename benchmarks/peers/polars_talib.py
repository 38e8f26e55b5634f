"""The 14 features of `main` by polars and TA-Lib: python polars_talib.py IN.parquet OUT.parquet

One lazy query over the whole file, on polars' streaming engine and all cores. An expression `over` tickers wants the
whole column, so memory grows with the file.
"""

from __future__ import annotations

import sys
from math import sqrt

import polars as pl
import talib

RETURNS = (1, 21, 63, 126, 252)
MACDS = ((8, 24), (16, 48), (32, 96))
TECHNICAL = ["rsi_14", "macd_12_26_9", "macd_signal_12_26_9", "macd_hist_12_26_9", "stoch_k_5_3_3", "stoch_d_5_3_3"]
SCALED = [f"ret_vol_{bars}" for bars in RETURNS]
NORMALISED = [f"macd_norm_{short}_{long}" for short, long in MACDS]


def main(source: str, target: str) -> None:
    features(total_return(pl.scan_parquet(source))).sink_parquet(target, compression="zstd", engine="streaming")


def total_return(bars: pl.LazyFrame) -> pl.LazyFrame:
    """`ticker, date` and high, low, close scaled to the total-return index that starts at the first close."""
    start = (pl.col("close").first() / pl.col("adjusted_close").first()).over("ticker")
    index = pl.col("adjusted_close") * start
    scale = index / pl.col("close")
    return bars.select("ticker", "date", pl.col("high") * scale, pl.col("low") * scale, close=index)


def features(bars: pl.LazyFrame) -> pl.LazyFrame:
    """`ticker, date` and the features; a line a stage, since polars does not nest one `over` in another."""
    close = pl.col("close")
    by_talib = pl.struct("high", "low", "close").map_batches(technical, pl.Struct(dict.fromkeys(TECHNICAL, pl.Float64)))
    averages = [close.ewm_mean(alpha=1 / short) - close.ewm_mean(alpha=1 / long) for short, long in MACDS]
    return (
        bars.with_columns(
            by_talib.over("ticker").alias("technical"),
            close.pct_change().ewm_std(span=60).over("ticker").alias("sigma"),
            close.rolling_std(63).over("ticker").alias("deviation"),
            *(close.pct_change(n).over("ticker").alias(name) for n, name in zip(RETURNS, SCALED, strict=True)),
            *(mean.over("ticker").alias(name) for mean, name in zip(averages, NORMALISED, strict=True)),
        )
        .with_columns(
            *(pl.col(name) / (pl.col("sigma") * sqrt(n)) for n, name in zip(RETURNS, SCALED, strict=True)),
            *(pl.col(name) / pl.col("deviation") for name in NORMALISED),
        )
        .with_columns(pl.col(name) / pl.col(name).rolling_std(252).over("ticker") for name in NORMALISED)
        .with_columns(winsorised(pl.col(name)).over("ticker") for name in [*SCALED, *NORMALISED])
        .select("ticker", "date", pl.col("technical").struct.unnest(), *SCALED, *NORMALISED)
    )


def technical(prices: pl.Series) -> pl.Series:
    """What TA-Lib makes of one ticker's prices, one field a feature."""
    high, low, close = (prices.struct.field(name).to_numpy() for name in ("high", "low", "close"))
    found = (talib.RSI(close, 14), *talib.MACD(close, 12, 26, 9), *talib.STOCH(high, low, close, 5, 3, 0, 3, 0))
    return pl.DataFrame(dict(zip(TECHNICAL, found, strict=True))).to_struct()


def winsorised(x: pl.Expr) -> pl.Expr:
    """x held within 5 deviations of its mean, both exponentially weighted."""
    mean, reach = x.ewm_mean(half_life=252), 5.0 * x.ewm_std(half_life=252)
    return x.clip(mean - reach, mean + reach)


if __name__ == "__main__":
    main(*sys.argv[1:])
