"""An invented universe with something true to find: sectors, a market, volumes, splits, dividends, planted effects.

Each ticker carries a hidden momentum: the exponentially weighted mean (span 63) of its own shocks, in units of its
deviation. With strength s > 0 a momentum of z adds a drift of s z daily deviations the next day; a second strength does
the same with the mean momentum of two hidden neighbours of the sector. With both at 0 returns are unpredictable noise.
With a linkage the neighbours have that share of their shocks' variance in common, so that prices show who they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.sql import SparkSession

from eraflow.config import Synthetic
from eraflow.packages import Source
from eraflow.session import slots
from eraflow.sources.raw_prices import COLUMNS, RawPrices

Panel = npt.NDArray[np.float64]  # days x tickers of one sector

MOMENTUM_SPAN = 63
MARKET_DAILY = (0.0003, 0.009)  # mean and deviation of the market's daily log return
SECTOR_DAILY = 0.005
CLIP = 3.0  # hidden momentum is held within this, so that a planted drift cannot feed on itself


def prices(spark: SparkSession, config: Synthetic) -> RawPrices:
    """Daily prices; sectors are made side by side, each from its own seed."""
    settings = config.model_dump()

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for sector in batch.column(0).to_pylist():
                rows = sector_prices(sector, **settings)
                yield pa.RecordBatch.from_pandas(rows, pa.schema([*COLUMNS.items()]), preserve_index=False)

    return RawPrices(Source(spark.range(0, config.sectors, 1, config.sectors), make), slots(spark))


def sector_prices(
    sector: int,
    *,
    sectors: int,
    tickers_per_sector: int,
    days: int,
    start: Any,
    momentum: float,
    network: float,
    seed: int,
    ring: int | None = None,
    linkage: float = 0.0,
) -> pd.DataFrame:
    """All days of all tickers of one sector; every number follows from the seed and the sector's number."""
    market = np.random.default_rng([seed, sectors]).normal(*MARKET_DAILY, days)
    random = np.random.default_rng([seed, sectors + 1 + sector])
    n = tickers_per_sector
    deviation = random.uniform(0.01, 0.025, n)
    beta = random.normal(1.0, 0.25, n)
    common = beta * (market + random.normal(0.0, SECTOR_DAILY, days))[:, None]
    followed = neighbours(n, ring)
    shocks = random.normal(size=(days, n))
    if linkage:
        news = random.normal(size=(days, n))
        shared = (news + news[:, followed].sum(axis=2)) / np.sqrt(3.0)
        shocks = np.sqrt(1.0 - linkage) * shocks + np.sqrt(linkage) * shared
    returns = common + deviation * _specific_moves(shocks, followed, momentum, network)
    close = random.uniform(15.0, 150.0, n) * np.exp(np.cumsum(returns, axis=0))
    dates = pd.bdate_range(start, periods=days)
    return _traded(random, close, deviation, dates, sector)


def neighbours(tickers: int, ring: int | None = None) -> npt.NDArray[np.intp]:
    """The hidden network, tickers x 2: rings of so many tickers, None = of all, in which each follows the next two."""
    size = ring or tickers
    place = np.arange(tickers)
    following: npt.NDArray[np.intp] = (place % size)[:, None] + np.array([1, 2])
    return (place - place % size)[:, None] + following % size


def _specific_moves(shocks: Panel, followed: npt.NDArray[np.intp], momentum: float, network: float) -> Panel:
    """A ticker's own daily move in its deviations: a shock, and the drift of yesterday's hidden momentum."""
    alpha = 2.0 / (MOMENTUM_SPAN + 1)
    unit = np.sqrt(alpha / (2.0 - alpha))  # the deviation of an exponentially weighted mean of unit shocks
    hidden = np.zeros(shocks.shape[1])
    moves = np.empty_like(shocks)
    for day, shock in enumerate(shocks):
        z = np.clip(hidden / unit, -CLIP, CLIP)
        moves[day] = shock + momentum * z + network * z[followed].mean(axis=1)
        hidden = (1.0 - alpha) * hidden + alpha * shock
    return moves


def _traded(
    random: np.random.Generator, close: Panel, deviation: Panel, dates: pd.DatetimeIndex, sector: int
) -> pd.DataFrame:
    """Bars as a vendor would deliver them: raw prices that split and pay dividends, adjusted closes, volumes."""
    days, n = close.shape
    names = [f"S{sector:02d}T{ticker:03d}" for ticker in range(n)]
    # A quarterly dividend lowers the raw price, not the adjusted one; a rare split halves the raw price.
    paid = np.zeros((days, n))
    paid[62::63] = np.where(random.random(n) < 0.6, 0.004, 0.0)
    split = np.where(random.random((days, n)) < 0.0003, 2.0, 1.0)
    raw = close * np.cumprod(1.0 - paid, axis=0) / np.cumprod(split, axis=0)
    opening = raw * np.exp(0.3 * deviation * random.normal(size=(days, n)))
    high = np.maximum(raw, opening) * np.exp(np.abs(0.4 * deviation * random.normal(size=(days, n))))
    low = np.minimum(raw, opening) * np.exp(-np.abs(0.4 * deviation * random.normal(size=(days, n))))
    volume = np.round(np.exp(random.normal(13.0, 1.0, n) + random.normal(0.0, 0.4, (days, n))))
    volume[random.random((days, n)) < 0.0002] = 0.0
    columns = {"open": opening, "high": high, "low": low, "close": raw, "adjusted_close": close, "volume": volume}
    frame = pd.DataFrame({name: values.ravel(order="F") for name, values in columns.items()})
    frame.insert(0, "ticker", np.repeat(names, days))
    frame.insert(1, "date", np.tile(dates.date, n))
    frame = frame.assign(sector=f"sector {sector:02d}", country="", currency="", file=None, unreadable=None)
    return frame[list(COLUMNS)]
