"""Small tables beside the prices: who belongs to the universe when, and what currencies are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow.config import Prices
from eraflow.errors import InputError

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]

SMALL = 1_000_000  # rows that fit the driver's memory, and far more than members or daily rates come to
STALE_RATE = 7  # days that a rate stands for where the file has none: weekends and holidays
_OPEN = (pd.Timestamp("1700-01-01"), pd.Timestamp("2200-12-31"))  # within what nanoseconds can count


@dataclass(frozen=True)
class Members:
    """Gives a ticker's rows `member boolean`: whether it belongs to the universe that day.

    `ranges` are first and last days by ticker, both included, ascending; where there are none all are members.
    """

    ranges: Mapping[str, tuple[Days, Days]] | None

    def __call__(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
        member = np.full(rows.num_rows, self.ranges is None)
        first_last = (self.ranges or {}).get(rows.column("ticker")[0].as_py())
        if first_last is not None:
            first, last = first_last
            days = rows.column("date").to_numpy(zero_copy_only=False)
            place = np.searchsorted(first, days, side="right") - 1
            member = (place >= 0) & (days <= last[place])
        return (rows.append_column("member", pa.array(member)),)


@dataclass(frozen=True)
class Rates:
    """Gives a ticker's rows `rate double`: what a unit of their currency is worth, null where that is not known.

    `quoted` are rates by currency: the first day, and a rate for each from it on; without any all are worth 1.
    """

    quoted: Mapping[str, tuple[np.datetime64, Floats]] | None

    def __call__(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
        rate = np.full(rows.num_rows, 1.0 if self.quoted is None else np.nan)
        if self.quoted is not None:
            coded = rows.column("currency").dictionary_encode()
            code = coded.indices.fill_null(-1).to_numpy()
            days = rows.column("date").to_numpy(zero_copy_only=False)
            for place, currency in enumerate(coded.dictionary.to_pylist()):
                first, values = self.quoted.get(currency, (np.datetime64(0, "D"), np.zeros(0)))
                at = np.where(np.isnat(days), -1, (days - first).astype(np.int64))
                is_quoted = (code == place) & (at >= 0) & (at < len(values))
                rate[is_quoted] = values[at[is_quoted]]
        return (rows.append_column("rate", pa.array(rate, from_pandas=True)),)


def steps(spark: SparkSession, config: Prices) -> tuple[Members, Rates]:
    """What gives raw prices their columns `member` and `rate`. InputError as `members` and `rates` say."""
    ranges = quoted = None
    if config.universe:
        found = members(spark, config.universe)
        ranges = {
            str(ticker): (its["first"].to_numpy("datetime64[D]"), its["last"].to_numpy("datetime64[D]"))
            for ticker, its in found.groupby("ticker")
        }
    if config.rates:
        quoted = {}
        for currency, its in rates(spark, config.rates).groupby("currency"):
            days = its["date"].to_numpy("datetime64[D]")
            values = np.full(int((days[-1] - days[0]).astype(int)) + 1, np.nan)
            values[(days - days[0]).astype(int)] = its["rate"].to_numpy(float)
            quoted[str(currency)] = (days[0], values)
    return Members(ranges), Rates(quoted)


def members(spark: SparkSession, path: str) -> pd.DataFrame:
    """`ticker, first, last`: the ranges of days, both ends included, in which a ticker belongs to the universe.

    InputError: a file or column that is missing, what is no date, ranges of one ticker that overlap.
    """
    table = small_table(spark, path, "prices.universe", ("ticker", "from", "to"))
    first = dates(table, "from", path).fillna(_OPEN[0])
    last = dates(table, "to", path).fillna(_OPEN[1])
    found = pd.DataFrame({"ticker": table["ticker"], "first": first, "last": last}).sort_values(["ticker", "first"])
    late = (found["ticker"] == found["ticker"].shift()) & (found["first"] <= found["last"].shift())
    wrong = found[late | (found["first"] > found["last"])]
    if len(wrong):
        row = wrong.iloc[0]
        raise InputError(
            f"{path}: the range of {row['ticker']} from {row['first']:%Y-%m-%d} overlaps an earlier one or ends before "
            "it begins; give each ticker ranges that follow one another."
        )
    return found.assign(first=found["first"].dt.date, last=found["last"].dt.date)


def rates(spark: SparkSession, path: str) -> pd.DataFrame:
    """`currency, date, rate` for every calendar day, a rate standing until the next, at most STALE_RATE days.

    InputError: a file or column that is missing, what is no date or no number above 0, a currency twice on a date.
    """
    table = small_table(spark, path, "prices.rates", ("currency", "date", "rate"))
    table = table.assign(date=dates(table, "date", path), rate=pd.to_numeric(table["rate"], errors="coerce"))
    wrong = table[table["date"].isna() | ~(table["rate"] > 0) | table.duplicated(["currency", "date"], keep=False)]
    if len(wrong):
        row = wrong.iloc[0]
        raise InputError(
            f"{path}: the rate of {row['currency']} on {row['date']:%Y-%m-%d} is there twice or no number above 0; "
            "give one for each currency and date."
        )
    filled = []
    for currency, quotes in table.groupby("currency"):
        days = pd.date_range(quotes["date"].min(), quotes["date"].max() + pd.Timedelta(days=STALE_RATE))
        series = quotes.set_index("date")["rate"].reindex(days).ffill(limit=STALE_RATE).dropna()
        filled.append(series.rename("rate").rename_axis("date").reset_index().assign(currency=currency))
    whole = pd.concat(filled, ignore_index=True)
    return whole.assign(date=whole["date"].dt.date)[["currency", "date", "rate"]]


def small_table(
    spark: SparkSession, path: str, key: str, columns: Sequence[str] | None = None, may_be_empty: bool = False
) -> pd.DataFrame:
    """These columns of a small file (all, if none are named), as text: it is read on the driver.

    InputError: a file or column that is missing, a file that is not small, the first column empty unless it may be.
    """
    is_csv = path.lower().endswith((".csv", ".csv.gz", ".txt"))
    try:
        # As RFC 4180 and pandas write it: a quote within quotes is doubled, and lines may break within quotes.
        rows = spark.read.options(header=True, escape='"', multiLine=True)
        frame = rows.csv(path) if is_csv else spark.read.parquet(path)
        frame = frame.toDF(*(name.removeprefix("\ufeff") for name in frame.columns))
    except PySparkException as error:
        raise InputError(f"{key}: {path} cannot be read ({type(error).__name__}); check the path.") from None
    columns = frame.columns if columns is None else columns
    if missing := [name for name in columns if name not in frame.columns]:
        raise InputError(f"{key}: {path} has no column {missing[0]!r}, only {', '.join(frame.columns)}; add it.")
    texts = frame.select(*(F.trim(F.col(f"`{name}`").cast("string")).alias(name) for name in columns))
    table = texts.limit(SMALL + 1).toPandas()  # so many rows of short texts
    if len(table) > SMALL:
        raise InputError(f"{key}: {path} holds more than {SMALL:,} rows, which no such table does; check the path.")
    empty = table.index[table[columns[0]].isna()].tolist()
    if empty and not may_be_empty:
        raise InputError(f"{path}: column {columns[0]!r} is empty in row {empty[0] + 1}; fill it or remove the row.")
    return table


def holidays(spark: SparkSession, path: str | None) -> dict[str, set[date]]:
    """By country the days on which `dates.holidays` says that it is closed; of an empty country all are.

    InputError: a file or column that is missing, what is no date.
    """
    if path is None:
        return {}
    table = small_table(spark, path, "dates.holidays", ("date", "country"))
    named: dict[str, set[date]] = {}
    for day, country in zip(dates(table, "date", path).dt.date, table["country"].fillna(""), strict=True):
        named.setdefault(country, set()).add(day)
    return named


def dates(table: pd.DataFrame, column: str, path: str) -> pd.Series[pd.Timestamp]:
    """The dates of a column of `small_table`, null where it is empty. InputError: what is no date."""
    dates = pd.to_datetime(table[column], format="ISO8601", errors="coerce")
    wrong = table[column].notna() & (table[column] != "") & dates.isna()
    if wrong.any():
        raise InputError(
            f"{path}: column {column!r} holds {table.loc[wrong, column].iloc[0]!r}, which is no date (YYYY-MM-DD); "
            "mend or remove the row."
        )
    return dates
