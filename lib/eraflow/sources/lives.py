"""Names of tickers that are used again: after a long gap a name stands for another ticker."""

from __future__ import annotations

import datetime

import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

LIFE = "@"  # ABC@2015-03-02 is what ABC stands for from that day on, on which it was used again
_SECOND = rf"{LIFE}\d{{4}}-\d\d-\d\d"


def renamed(raw: DataFrame, reused_after: int) -> DataFrame:
    """The rows with names of their own for tickers that are used again after more than so many days.

    From then on ABC is ABC@YYYY-MM-DD (the first day of its new life), as if another ticker had begun: its features and
    its total return start anew.
    """
    # Rows a ticker and month instead of a day: a gap that counts spans whole months.
    priced = raw.where(F.col("date").isNotNull() & F.col("close").isNotNull() & ~F.isnan("close"))
    months = priced.groupBy("ticker", F.trunc("date", "month").alias("month"))
    spans = months.agg(F.min("date").alias("first"), F.max("date").alias("last"))
    before = F.lag("last").over(Window.partitionBy("ticker").orderBy("month"))
    gaps = spans.withColumn("before", before).where(F.datediff("first", "before") > reused_after)
    # One row for each time a name was used again: a handful, and never more than tickers times years.
    again = gaps.select("ticker", "first").collect()
    if not again:
        return raw
    lives: dict[str, list[datetime.date]] = {}
    for row in again:
        lives.setdefault(row["ticker"], []).append(row["first"])
    ends = {name: [*sorted(days)[1:], None] for name, days in lives.items()}
    rows = [(name, *span) for name, days in lives.items() for span in zip(sorted(days), ends[name], strict=True)]
    frame = raw.sparkSession.createDataFrame(rows, "ticker string, life date, next_life date")
    its = (raw["ticker"] == frame["ticker"]) & (raw["date"] >= frame["life"])
    its &= frame["next_life"].isNull() | (raw["date"] < frame["next_life"])
    name = F.concat(raw["ticker"], F.lit(LIFE), frame["life"].cast("string"))
    others = [raw[column] for column in raw.columns if column != "ticker"]
    joined = raw.join(F.broadcast(frame), on=its, how="left")
    renamed = F.coalesce(name, raw["ticker"]).alias("ticker", metadata=raw.schema["ticker"].metadata)
    return joined.select(renamed, *others)


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
