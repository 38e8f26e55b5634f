"""What the feature tests share: bringing price frames through the features, and independent answers to compare with.

The answers are TA-Lib's and plain pandas'. Rolling deviations are taken directly from each window, because pandas'
running ones are themselves off by up to 5e-9.
"""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import talib
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.batches import joined
from eraflow.config import Prices, load
from eraflow.features import sets
from eraflow.features.daily import Engine, daily_features
from eraflow.features.feature import Feature
from eraflow.features.training import LABELLED, forward_returns
from eraflow.packages import Source
from eraflow.sources import price_files, prices, reference, sessions
from eraflow.sources.calendar import Calendars
from eraflow.sources.fault_rows import marked
from eraflow.sources.raw_prices import COLUMNS as RAW_COLUMNS
from eraflow.ticker_rows import TickerRows

Array = npt.NDArray[np.float64]

FEATURES = sets.SETS["main"]
COLUMNS = list(sets.columns([*FEATURES, *sets.EXPOSURES]))
RANKED = list(sets.columns(FEATURES))
RAW = "ticker string, date date, open double, high double, low double, close double, adjusted_close double, \
volume double, sector string, country string, member boolean, rate double"
POLICIES, RULES = load([], []).quality.policies, load([], []).dates


def calendars_of(raw: pd.DataFrame) -> Calendars:
    country = raw["country"] if "country" in raw else pd.Series("", index=raw.index)
    return Calendars.of({name: set(days) for name, days in raw["date"].groupby(country)})


def calendars_in(raw: DataFrame) -> Calendars:
    """The sessions of raw prices in Spark."""
    counted = sessions.counted(held(raw), POLICIES)
    return sessions.decided(counted.days, RULES, "the prices").calendars


def bars_of(spark: SparkSession, raw: pd.DataFrame) -> DataFrame:
    """The `prices` table of a pandas frame with the columns of RAW."""
    raw = pd.DataFrame({"country": "", "member": True, "rate": 1.0}, index=raw.index).combine_first(raw)
    names = [part.split()[0] for part in RAW.split(", ")]
    return prices.bars(held(spark.createDataFrame(raw[names], RAW)), calendars_of(raw), POLICIES)


def labelled(bars: DataFrame, horizons: Sequence[int], lag: int, days: int) -> pd.DataFrame:
    """What `forward_returns` makes of bars of one country that has had so many trading days."""
    kinds = [f"{name} {bars.schema[name].dataType.simpleString()}" for name in LABELLED]
    schema = ", ".join([*kinds, *(f"forward_{horizon} double" for horizon in horizons)])
    return forward_returns(bars, horizons, lag, {"": days}).rows(joined, schema).toPandas()


def held(raw: DataFrame) -> TickerRows:
    """Rows with the columns of RAW as those of tickers, each with its fault."""
    return TickerRows.of(2, Source(raw)).then(_whole, marked)


def _whole(rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
    for name in ("currency", "file", "unreadable"):
        if name not in rows.schema.names:
            nothing = pa.nulls(rows.num_rows, RAW_COLUMNS[name])
            rows = rows.append_column(name, pa.array([""] * rows.num_rows) if name == "currency" else nothing)
    return (rows,)


def rows_of(spark: SparkSession, config: Prices) -> DataFrame:
    """The raw prices that files hold, with who is a member and what currencies are worth."""
    raw = price_files.read(spark, config)
    kinds = {pa.date32(): "date", pa.float64(): "double", pa.string(): "string"}
    kinds[RAW_COLUMNS["unreadable"]] = "struct<column: string, value: string>"
    names = [*RAW_COLUMNS, "member", "rate"]
    schema = ", ".join(f"{name} {kinds[kind]}" for name, kind in RAW_COLUMNS.items()) + ", member boolean, rate double"
    tickers = raw.by_ticker(*reference.steps(spark, config))
    return tickers.rows(lambda found: (rows.select(names) for rows in found), schema)


def read_file(spark: SparkSession, path: Path) -> DataFrame:
    """The raw prices that a file holds."""
    return rows_of(spark, load([], [f"prices.path={path}"]).prices)


def folder_for_now() -> str:
    """A folder that goes when the tests end."""
    folder = mkdtemp(prefix="eraflow-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def stored_daily(bars: DataFrame, features: Sequence[Feature] = FEATURES, engine: Engine = "windows") -> DataFrame:
    """The daily features of a set, computed once: written to a folder for the time of the tests."""
    folder = folder_for_now()
    daily_features(bars, features, engine).write.mode("overwrite").parquet(folder)
    return bars.sparkSession.read.parquet(folder)


def values(daily: DataFrame, features: Sequence[Feature] = FEATURES) -> pd.DataFrame:
    """Daily features as one column an output, sorted by ticker and date, missing values as NaN."""
    families = sets.families([*features, *sets.EXPOSURES])
    outputs = [
        F.col(family)[place].alias(name) for family, names in families.items() for place, name in enumerate(names)
    ]
    frame = daily.select("ticker", "date", *outputs).toPandas()
    return frame.sort_values(["ticker", "date"], ignore_index=True)


def same_bits(left: Array, right: Array) -> bool:
    """Equal to the last bit, missing values at the same places."""
    return bool(np.array_equal(np.asarray(left), np.asarray(right), equal_nan=True))


def clipped_return(raw: pd.DataFrame) -> pd.Series:
    """Daily return of each row held within +-50 %; `raw` is sorted by ticker and date."""
    return raw.groupby("ticker")["adjusted_close"].pct_change(fill_method=None).clip(-0.5, 0.5)


def market_return(raw: pd.DataFrame) -> pd.Series:
    """Mean over tickers of the daily return held within +-50 %, by date."""
    ordered = raw.sort_values(["ticker", "date"])
    return clipped_return(ordered).groupby(ordered["date"]).mean()


def on_total_return(ticker: pd.DataFrame) -> pd.DataFrame:
    """Prices of one ticker scaled to the total-return index that starts at its first close."""
    index = ticker["adjusted_close"] * (ticker["close"].iloc[0] / ticker["adjusted_close"].iloc[0])
    scale = index / ticker["close"]
    return pd.DataFrame({name: ticker[name] * scale for name in ("open", "high", "low", "close")})


def ta_lib(ticker: pd.DataFrame) -> pd.DataFrame:
    """The technical family of one ticker, by TA-Lib."""
    bars = on_total_return(ticker)
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    slow_k, slow_d = talib.STOCH(high, low, close, 5, 3, 0, 3, 0)
    found = [talib.RSI(close, 14), line, signal, histogram, slow_k, slow_d]
    return pd.DataFrame(dict(zip(sets.families(FEATURES)["technical"], found, strict=True)), index=ticker.index)


def ta_lib_errors(prices: pd.DataFrame, computed: pd.DataFrame) -> dict[str, float]:
    """Of one ticker's technical family: column -> the largest error of value or price, of a percentage of 100."""
    close = on_total_return(prices)["close"].to_numpy()
    wanted = ta_lib(prices)
    scales = {name: close if name.startswith("macd") else np.full(len(close), 100.0) for name in wanted}
    return errors(computed, wanted, scales)


def by_pandas(ticker: pd.DataFrame, market: pd.Series) -> pd.DataFrame:
    """The momentum family and the exposures of one ticker, by pandas."""
    close = on_total_return(ticker)["close"]
    returns = close.pct_change(fill_method=None)
    sigma = exponential_deviation(returns, span=60)
    found = {}
    for bars in (1, 21, 63, 126, 252):
        over = close.pct_change(bars, fill_method=None)
        found[f"ret_vol_{bars}"] = winsorised(over / (divisor(sigma) * np.sqrt(bars)))
    for short, long in ((8, 24), (16, 48), (32, 96)):
        difference = close.ewm(alpha=1 / short).mean() - close.ewm(alpha=1 / long).mean()
        quotient = difference / rolling_deviation(close, 63)
        found[f"macd_norm_{short}_{long}"] = winsorised(quotient / rolling_deviation(quotient, 252))
    its_market = ticker["date"].map(market).where(returns.notna())
    slope = returns.ewm(span=252).cov(its_market) / divisor(its_market.ewm(span=252).var())
    found["beta"] = slope.where(np.arange(len(slope)) >= 126)
    found["size"] = np.log1p((ticker["close"] * ticker["volume"]).rolling(21).mean())
    found["volatility"] = sigma
    found["momentum"] = close.pct_change(252, fill_method=None)
    return pd.DataFrame(found, index=ticker.index)


def divisor(values: pd.Series) -> pd.Series:
    return values.where(values != 0)


def exponential_deviation(x: pd.Series, **decay: float) -> pd.Series:
    """`ewm().std()` at known values, 0 where the variance is below the rounding of a mean of squares."""
    deviation = x.ewm(**decay).std().where(x.notna())
    negligible = deviation**2 < 1e-13 * (x**2).ewm(**decay).mean()
    return deviation.where(~negligible, 0.0)


def winsorised(x: pd.Series) -> pd.Series:
    mean, deviation = x.ewm(halflife=252).mean(), exponential_deviation(x, halflife=252)
    return x.clip(mean - 5 * deviation, mean + 5 * deviation)


def rolling_deviation(x: pd.Series, bars: int) -> pd.Series:
    """Each window's own deviation; NaN where it is flat up to rounding."""
    out = np.full(len(x), np.nan)
    if len(x) >= bars:
        windows = np.lib.stride_tricks.sliding_window_view(x.to_numpy(), bars)
        deviation = windows.std(axis=1, ddof=1)
        flat = deviation < np.maximum(1e-12 * np.abs(windows.mean(axis=1)), 1e-300)
        out[bars - 1 :] = np.where(flat, np.nan, deviation)
    return pd.Series(out, index=x.index)


def errors(computed: pd.DataFrame, wanted: pd.DataFrame, scales: dict[str, Array]) -> dict[str, float]:
    """Column -> the largest |a - b| / max(|b|, scale), the scale being 1 unless told; infinite where only one of both
    is missing."""
    worst = {}
    for name in wanted:
        a, b = computed[name].to_numpy(), wanted[name].to_numpy()
        apart = np.abs(a - b) / np.maximum(np.abs(b), scales.get(name, 1.0))
        apart = np.where(np.isnan(a) & np.isnan(b), 0.0, np.nan_to_num(apart, nan=np.inf))
        worst[name] = float(apart.max(initial=0.0))
    return worst


def dates(first: str, count: int) -> Sequence[date]:
    """Weekdays from `first` on."""
    return list(pd.bdate_range(first, periods=count).date)
