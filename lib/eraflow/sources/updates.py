"""What is new in the raw prices since the `prices` table was written: from which day on it must be made again.

`fault_rows.SEEN` says what the files held when they were last read, by ticker and year. Only what has changed since is
held against the table row by row, from the year before the ticker's first change on. A vendor restates much without
changing what it says:

- adjusted closes, by one factor for all earlier days at each dividend, rounded anew. What counts is a ticker's return
  from one day to the next: it is another one where it moved further than the rounding of its two prices explains.
- closes, by one factor at a split, and volumes by the inverse. Dollar volumes and returns stay, and the table keeps the
  unit in which it has the ticker (`prices.bars`).
- sectors. They are written, and only what reads sectors is made again (`tables.Part`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.packages import Source, collected
from eraflow.sources import restatements
from eraflow.sources.bars import Anchor
from eraflow.sources.fault_rows import REPEAT, REPEATED
from eraflow.ticker_rows import TickerRows

EXAMPLES = 3
_COMPARED = ("ticker", "date", *restatements.NUMBERS, *restatements.NAMES)
_BAR = ("ticker", "date", "bar", "total_return", "correction", "close", "volume")
_BARS = pa.schema([
    ("ticker", pa.string()), ("date", pa.date32()), ("bar", pa.int32()), *((name, pa.float64()) for name in _BAR[3:]),
])  # fmt: skip


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


def changed(seen: pd.DataFrame, before: pd.DataFrame) -> dict[str, int]:
    """By ticker whose rows are others than before the year since which they are; both frames are of SEEN.

    That is the year before the first with a change in which the ticker has rows, or where there is none that one. Rows
    without a date are in no table.
    """
    blocks = ["ticker", "year", "check", "rows", "hash"]
    both = pd.concat([frame.loc[~frame["check"].isin((REPEAT, REPEATED)), blocks] for frame in (seen, before)])
    both = both.dropna(subset="year").astype({"year": int})
    # A block that both have the same cancels out.
    differ = both.drop_duplicates(keep=False).groupby("ticker")["year"].min()
    others = both[both["year"] < both["ticker"].map(differ)].groupby("ticker")["year"].max()
    since = others.reindex(differ.index).fillna(differ)
    return {str(ticker): int(year) for ticker, year in since.items()}


@dataclass(frozen=True)
class Since:
    """Leaves of a ticker's rows those from a year on; none of a ticker without a year."""

    years: Mapping[str, int]

    def __call__(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
        year = self.years.get(rows.column("ticker")[0].as_py())
        if year is None:
            return (rows.slice(0, 0),)
        return (rows.filter(pc.greater_equal(rows.column("date"), pa.scalar(date(year, 1, 1)))),)


def compare(raw: TickerRows, stored: DataFrame, years: Mapping[str, int]) -> Update:
    """Holds sound raw prices against the rows of the table, of the tickers and from the years of `changed`."""
    if not years:
        return Update.of(restatements.SCHEMA.empty_table().to_pandas())
    # Joined by Spark, so that of the others no row goes to Python.
    since = F.broadcast(stored.sparkSession.createDataFrame([*years.items()], "ticker string, since int"))
    its = stored.where(F.col("year") >= min(years.values())).join(since, on="ticker", how="inner")
    level = (F.col("total_return") / F.col("correction")).alias("adjusted")
    then = its.where("year >= since").select(*(level if name == "adjusted" else name for name in _COMPARED))
    sides = raw.then(Since(years)).source(_side_of_raw), Source(then, _side_of_table)
    both = TickerRows.of(raw.partitions, *sides)
    # One row a ticker.
    return Update.of(both.collected(restatements.by_ticker, restatements.SCHEMA).to_pandas())


def _side_of_raw(tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in tickers:
        given = ["adjusted_close" if name == "adjusted" else name for name in _COMPARED]
        yield _side(rows.select(given).rename_columns([*_COMPARED]), is_stored=False)


def _side_of_table(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in batches:
        yield _side(rows, is_stored=True)


def _side(rows: pa.RecordBatch, is_stored: bool) -> pa.RecordBatch:
    return rows.append_column("is_stored", pa.array(np.full(rows.num_rows, is_stored)))


def relabelled(stored: DataFrame, raw: TickerRows, first: date, until: date | None) -> DataFrame:
    """The rows of the table from `first` to the day before `until`, with the sectors that the raw prices have now."""
    days = (F.col("date") >= F.lit(first)) & (F.col("date") < F.lit(until or date.max))
    now = raw.rows(_sectors, "ticker string, date date, now string")
    rows = stored.where(days).join(now, on=["ticker", "date"], how="left")
    columns = [F.coalesce("now", "sector").alias("sector") if name == "sector" else name for name in stored.columns]
    return rows.select(*columns)


def _sectors(tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in tickers:
        yield rows.select(["ticker", "date", "sector"]).rename_columns(["ticker", "date", "now"])


def anchors(
    stored: DataFrame, first: date, seen: pd.DataFrame, aside: Mapping[str, date] | None = None
) -> dict[str, Anchor]:
    """By ticker that has rows from `first` on its last bar before.

    `seen` (SEEN) tells which years a ticker has, `aside` from which day on one is left out.
    """
    gone = [ticker for ticker, day in (aside or {}).items() if day <= first]
    its = seen[seen["ticker"].isin(seen.loc[seen["year"] >= first.year, "ticker"]) & ~seen["ticker"].isin(gone)]
    bars = stored.where((F.col("date") < F.lit(first)) & F.col("bar").isNotNull())
    # Most have it in the year before: no older file of the table is opened for them.
    found = _last_bars(bars.where(F.col("year") >= first.year - 1), set(its["ticker"]))
    older = set(its.loc[its["year"] < first.year - 1, "ticker"]) - found.keys()
    return found | (_last_bars(bars.where(F.col("year") < first.year - 1), older) if older else {})


def _last_bars(bars: DataFrame, tickers: Collection[str]) -> dict[str, Anchor]:
    # One row a task and ticker.
    rows = collected(Source(bars.select(*_BAR), _last_by_ticker), _BARS).to_pandas()
    rows = rows[rows["ticker"].isin(tickers)].sort_values("date").drop_duplicates("ticker", keep="last")
    return {str(ticker): Anchor(*bar) for ticker, *bar in rows.fillna({"volume": 0.0}).itertuples(index=False)}


def _last_by_ticker(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        rows = pa.Table.from_batches([*held, batch]).combine_chunks()
        rows = rows.take(pc.sort_indices(rows, [("date", "descending")]))
        first = np.unique(rows["ticker"].combine_chunks().dictionary_encode().indices.to_numpy(), return_index=True)[1]
        held = rows.take(pa.array(first)).combine_chunks().to_batches()
    yield from held
