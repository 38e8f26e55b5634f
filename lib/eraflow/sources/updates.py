"""What is new in the raw prices since the `prices` table was written: from which day on it must be made again.

`faults.SEEN` says what the files held when they were last read, by ticker and year. Only what has changed since is held
against the table row by row, from the year before the ticker's first change on. A vendor restates much without
changing what it says:

- adjusted closes, by one factor for all earlier days at each dividend, rounded anew. What counts is a ticker's return
  from one day to the next: it is another one where it moved further than the rounding of its two prices explains.
- closes, by one factor at a split, and volumes by the inverse. Dollar volumes and returns stay, and the table keeps the
  unit in which it has the ticker (`prices.bars`).
- sectors. They are written, and only what reads sectors is made again (`tables.Part`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from eraflow.sources import restatements

EXAMPLES = 3


@dataclass(frozen=True)
class Update:
    """What differs between the raw prices and the table."""

    first: date | None  # the first day on which anything but a sector differs; None if nothing does
    first_sector: date | None  # the first day of an earlier row that is of another sector
    new_rows: int
    restated: int  # tickers with another history than they had
    examples: tuple[str, ...]  # some of them, each with its first changed day

    @classmethod
    def of(cls, tickers: pd.DataFrame) -> Update:
        """From rows of `restatements.SCHEMA`."""
        restated = tickers[tickers["restated"].notna()].sort_values(["restated", "ticker"])
        first = pd.concat([tickers["first_new"], tickers["restated"]]).dropna().min()
        examples = [f"{ticker} from {day}" for ticker, day in restated[["ticker", "restated"]].head(EXAMPLES).values]
        first, first_sector = (None if pd.isna(day) else day for day in (first, tickers["first_sector"].dropna().min()))
        return cls(first, first_sector, int(tickers["new_rows"].sum()), len(restated), tuple(examples))

    @property
    def since(self) -> date | None:
        """The first day on which anything differs."""
        return min(filter(None, (self.first, self.first_sector)), default=None)

    def __str__(self) -> str:
        restated = f", {self.restated} tickers with a restated history ({', '.join(self.examples)})"
        sectors = f", other sectors from {self.first_sector} on" if self.first_sector else ""
        changed = f"; changed from {self.since}" if self.since else ""
        return f"{self.new_rows} new rows" + (restated if self.restated else "") + sectors + changed


def changed(seen: DataFrame, before: DataFrame) -> DataFrame:
    """`ticker, since`: tickers whose rows are others than before. Both frames are of the shape `faults.SEEN`.

    `since` is the year before the first with a change in which the ticker has rows, or where there is none that one.
    """
    blocks = ["ticker", "year", "check", "rows", "hash"]
    now, then = (frame.where(~_is_repeat()).select(blocks).withColumn("side", F.lit(side))
                 for side, frame in ((1, seen), (-1, before)))  # fmt: skip
    # A block that both have the same cancels out.
    sides = now.unionByName(then).groupBy(blocks).agg(F.sum("side").alias("side"))
    years = sides.groupBy("ticker", "year").agg(F.max(F.col("side") != 0).alias("differs"))
    year_before = F.lag("year").over(Window.partitionBy("ticker").orderBy("year"))
    since = F.min_by(F.coalesce("year_before", "year"), "year").alias("since")
    with_before = years.withColumn("year_before", year_before).where("differs")
    return with_before.groupBy("ticker").agg(since)


def within(rows: DataFrame, changes: DataFrame) -> DataFrame:
    """The rows of the tickers of `changes` (one row a ticker) from the year `since` on."""
    year = F.col("year") if "year" in rows.columns else F.year("date")
    return rows.join(F.broadcast(changes), on="ticker", how="inner").where(year >= F.col("since")).drop("since")


def repeats_outside(before: DataFrame, changes: DataFrame) -> DataFrame:
    """Of what was seen before the repeated days that are not `within` the changes."""
    rows = before.where(_is_repeat()).join(F.broadcast(changes), on="ticker", how="left")
    return rows.where(F.col("since").isNull() | (F.col("year") < F.col("since"))).drop("since")


def compare(raw: DataFrame, stored: DataFrame) -> Update:
    """Holds sound raw prices against the rows of the table of the same tickers and years."""
    columns = ["ticker", "date", "is_stored", *restatements.NUMBERS, *restatements.NAMES]
    level = F.col("total_return") / F.col("correction")
    now = raw.withColumns({"is_stored": F.lit(False), "adjusted": F.col("adjusted_close")}).select(columns)
    then = stored.withColumns({"is_stored": F.lit(True), "adjusted": level}).select(columns)
    together = now.unionByName(then).repartition("ticker").sortWithinPartitions("ticker")
    # One row a ticker.
    found = together.mapInArrow(restatements.by_ticker, restatements.SCHEMA).toPandas()
    return Update.of(found)


def relabelled(stored: DataFrame, raw: DataFrame, first: date, until: date | None) -> DataFrame:
    """The rows of the table from `first` to the day before `until`, with the sectors that the raw prices have now."""
    days = (F.col("date") >= F.lit(first)) & (F.col("date") < F.lit(until or date.max))
    now = raw.select("ticker", "date", F.col("sector").alias("now"))
    rows = stored.where(days).join(now, on=["ticker", "date"], how="left")
    columns = [F.coalesce("now", "sector").alias("sector") if name == "sector" else name for name in stored.columns]
    return rows.select(*columns)


def _is_repeat() -> Column:
    return F.coalesce(F.col("check").isin("repeat", "repeated"), F.lit(False))


def anchors(stored: DataFrame, first: date) -> DataFrame:
    """`ticker, anchor_{date, bar, level, correction, close, volume}`: each ticker's last bar before `first`."""
    last = F.max(F.struct("date", "bar", "total_return", "correction", "close", "volume")).alias("last")
    return (
        stored.where((F.col("date") < F.lit(first)) & F.col("bar").isNotNull())
        .groupBy("ticker")
        .agg(last)
        .select(
            "ticker",
            F.col("last.date").alias("anchor_date"),
            F.col("last.bar").alias("anchor_bar"),
            F.col("last.total_return").alias("anchor_level"),
            F.col("last.correction").alias("anchor_correction"),
            F.col("last.close").alias("anchor_close"),
            F.col("last.volume").alias("anchor_volume"),
        )
    )
