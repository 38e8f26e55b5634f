"""Names of tickers that are used again: after a long gap a name stands for another ticker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

LIFE = "@"  # ABC@2015-03-02 is what ABC stands for from that day on, on which it was used again
_SECOND = rf"{LIFE}\d{{4}}-\d\d-\d\d"


@dataclass(frozen=True)
class Renamed:
    """Gives a ticker's rows names of their own where its name is used again after more than `reused_after` days.

    From then on ABC is ABC@YYYY-MM-DD (the first day of its new life), as if another ticker had begun: its features and
    its total return start anew. A row without a price is no use of the name.
    """

    reused_after: int

    def __call__(self, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        days = rows.column("date").to_numpy(zero_copy_only=False)
        close = rows.column("close").to_numpy(zero_copy_only=False)
        priced = np.flatnonzero(~np.isnan(close) & ~np.isnat(days))
        used = days[priced]
        again = used[1:][np.diff(used) > np.timedelta64(self.reused_after, "D")]
        begins = [0, *np.searchsorted(days, again).tolist()]  # a life begins with all rows of its first day
        dated = len(days) - int(np.isnat(days).sum())
        name, place = rows.column("ticker")[0].as_py(), rows.schema.get_field_index("ticker")
        for low, high in itertools.pairwise([*begins, dated, len(days)]):
            life = rows.slice(low, high - low)
            if 0 < low < dated:
                names = pa.array([f"{name}{LIFE}{days[low]}"] * life.num_rows, pa.string())
                life = life.set_column(place, "ticker", names)
            yield life


def name_of(ticker: Column) -> Column:
    """The name in the files of prices, of a ticker that may be the name's second life."""
    return F.regexp_replace(ticker, f"{_SECOND}$", "")


def named(ids: pd.Series[str]) -> pd.Series[str]:
    """Ids (TICKER_DATE) by the names in the files of prices."""
    return ids.str.replace(rf"{_SECOND}(_[^_]*)$", r"\1", regex=True)


def names(prices: DataFrame) -> list[str]:
    """The names in the files, of the tickers of the `prices` table: some thousand, sorted."""
    found = prices.select(name_of(F.col("ticker")).alias("name")).distinct()
    return sorted(row["name"] for row in found.collect())
