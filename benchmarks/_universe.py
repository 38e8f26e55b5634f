"""An invented daily price universe of any size, in one parquet file: what the benchmarks of features read.

It has what costs time in real prices and nothing that tools treat differently: volatility that comes and goes, splits
(so that raw and adjusted closes part), but no gap, no missing value and no flat price.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.signal import lfilter

Panel = npt.NDArray[np.float64]  # tickers x bars

TICKERS_A_GROUP = 100  # one row group of the file, and what is in memory at a time
FIRST_DAY = "2000-01-03"
SECTORS = 11
MARKET_DAILY = (0.0003, 0.009)  # mean and deviation of the market's daily log return
VOLATILITY_MEMORY = 0.98  # of a day's log volatility, the share that the next day keeps
VOLATILITY_SHOCK = 0.08
SPLIT_CHANCE = 0.0004  # a day: one split in ten years
SCHEMA = pa.schema(
    [("ticker", pa.string()), ("date", pa.date32())]
    + [(name, pa.float64()) for name in ("open", "high", "low", "close", "adjusted_close", "volume")]
    + [("sector", pa.string())]
)


def write_universe(path: Path, rows: int, bars: int = 5000, seed: int = 20181231) -> Path:
    """`rows // bars` tickers of `bars` trading days, sorted by ticker and date; the path, for use in a call.

    A file that is there and was made from the same numbers is left as it is. Every group of tickers has its own seed,
    so that a smaller universe is the beginning of a larger one.
    """
    tickers = max(rows // bars, 1)
    made_from = f"{tickers} tickers, {bars} bars, seed {seed}".encode()
    if path.is_file() and (pq.read_schema(path).metadata or {}).get(b"universe") == made_from:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    days = np.busday_offset(FIRST_DAY, np.arange(bars), roll="forward")
    market = np.random.default_rng(seed).normal(*MARKET_DAILY, bars)
    schema = SCHEMA.with_metadata({"universe": made_from})
    # Prices hardly repeat: a dictionary of them would be built, found too large and thrown away.
    with pq.ParquetWriter(unfinished, schema, compression="zstd", use_dictionary=["ticker", "date", "sector"]) as file:
        for first in range(0, tickers, TICKERS_A_GROUP):
            numbers = np.arange(first, min(first + TICKERS_A_GROUP, tickers))
            random = np.random.default_rng([seed, first])
            file.write_table(_group(random, numbers, days, market, schema), row_group_size=len(numbers) * bars)
    unfinished.rename(path)
    return path


def _group(
    random: np.random.Generator, numbers: npt.NDArray[np.int_], days: npt.NDArray[np.datetime64], market: Panel,
    schema: pa.Schema,
) -> pa.Table:  # fmt: skip
    # The last group draws for all its tickers too, so that a longer universe goes on where a shorter one ends.
    columns = {name: pa.array(panel[: len(numbers)].ravel()) for name, panel in _prices(random, market).items()}
    repeats = np.repeat(np.arange(len(numbers), dtype=np.int32), len(days))
    columns["ticker"] = pa.array([f"T{number:06d}" for number in numbers]).take(pa.array(repeats))
    columns["sector"] = pa.array([f"sector {number % SECTORS:02d}" for number in numbers]).take(pa.array(repeats))
    columns["date"] = pa.array(np.tile(days, len(numbers)))
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _prices(random: np.random.Generator, market: Panel) -> dict[str, Panel]:
    """Prices and volumes of a full group of tickers."""
    shape = (TICKERS_A_GROUP, len(market))
    log_volatility = lfilter([VOLATILITY_SHOCK], [1.0, -VOLATILITY_MEMORY], random.standard_normal(shape))
    volatility = random.uniform(0.008, 0.025, (TICKERS_A_GROUP, 1)) * np.exp(log_volatility)
    beta = random.normal(1.0, 0.25, (TICKERS_A_GROUP, 1))
    returns = beta * market + volatility * random.standard_normal(shape)
    adjusted = random.uniform(15.0, 150.0, (TICKERS_A_GROUP, 1)) * np.exp(np.cumsum(returns, axis=1))
    # A vendor's adjusted close is the raw one at the end; before a split the raw one is as many times higher.
    splits = np.where(random.random(shape) < SPLIT_CHANCE, 2.0, 1.0)
    to_come = np.cumprod(splits[:, ::-1], axis=1)[:, ::-1] / splits
    close = adjusted * to_come
    opened = close * np.exp(0.5 * volatility * random.standard_normal(shape))
    reach = np.exp(volatility * random.random(shape))
    return {
        "open": opened,
        "high": np.maximum(opened, close) * reach,
        "low": np.minimum(opened, close) / reach,
        "close": close,
        "adjusted_close": adjusted,
        "volume": np.floor(np.exp(13.0 + 0.5 * random.standard_normal(shape))),
    }
