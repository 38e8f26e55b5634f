"""Numerai Signals' own files (v2.1): features and targets by week, joined to prices by ticker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from eraflow.config import Signals
from eraflow.errors import InputError
from eraflow.hadoop import shown
from eraflow.sources import ticker_map
from eraflow.sources.columns import DATE_TYPES, as_date
from eraflow.sources.files import SourceFile, listed, opened
from eraflow.sources.lives import name_of
from eraflow.sources.ticker_map import FIGI, Fault, Line, Named, resolved

PARTS = ("train", "validation", "live")

MEANINGS = {
    "matched": "era rows of price tickers that have Numerai's row",
    "no row": "era rows of price tickers without Numerai's row that week",
    "no price": "Numerai's rows without an era row of a price ticker",
    "not mapped": "Numerai's rows of tickers that are none of the prices', or that the map gives no name",
    **ticker_map.MEANINGS,
}


def files(spark: SparkSession, config: Signals) -> list[SourceFile]:
    """The files of the folder `signals.path`, in the order of PARTS, and the mapping if there is one."""
    found = []
    with opened(f"signals.path: {config.path} cannot be opened", "check the path"):
        for part in PARTS:
            found += listed(spark, f"{str(config.path).rstrip('/')}/{part}.parquet")
    if not found:
        raise InputError(
            f"signals.path: {config.path} holds none of train.parquet, validation.parquet and live.parquet; download "
            "them, or check the path."
        )
    return found + (listed(spark, config.mapping) if config.mapping else [])


def live_date(spark: SparkSession, config: Signals) -> date | None:
    """The date of Numerai's live rows, which predictions are made for; None where there is no live.parquet."""
    if not config.path:
        return None
    for file in files(spark, config):
        if file.path.endswith("live.parquet"):
            newest: date | None = _part(spark, file.path, (), ()).agg(F.max("date")).collect()[0][0]  # one row
            return newest
    return None


def read(spark: SparkSession, config: Signals, targets: Sequence[str], tickers: Iterable[str]) -> DataFrame:
    """`ticker, numerai_ticker, composite_figi, date, signals array<double>, signals_targets array<double>`.

    One row a Numerai ticker and date, none later than the live ones. `ticker` is the price files' name, one of
    `tickers`, or null; `composite_figi` is null where Numerai gives none. Arrays follow `signals.features` and
    `targets`; what is empty or NaN is null, and so are targets
    of live.parquet. InputError: a file, column or type that is missing, an empty key, a ticker twice in a week.
    """
    parts = [
        _part(spark, file.path, config.features, targets)
        for file in files(spark, config)
        if file.path.endswith(tuple(f"{part}.parquet" for part in PARTS))
    ]
    whole = reduce(DataFrame.unionByName, parts)
    if live := live_date(spark, config):
        whole = whole.where(F.col("date").isNull() | (F.col("date") <= F.lit(live)))
    _refuse_empty_keys(whole)
    _refuse_twice(whole)
    lines, _ = resolved(tickers, _names(whole), ticker_map.read(spark, config))
    return with_tickers(whole.drop("file"), lines)


def dates(signals: DataFrame) -> list[date]:
    """The dates of Numerai's rows: one a week."""
    return [row["date"] for row in signals.select("date").distinct().collect()]


def map_faults(signals: DataFrame, config: Signals, tickers: Iterable[str]) -> list[Fault]:
    """The lines of the map that are left out; `signals` is what `read` gave."""
    return resolved(tickers, _names(signals), ticker_map.read(signals.sparkSession, config))[1]


def with_tickers(theirs: DataFrame, lines: Sequence[Line]) -> DataFrame:
    """Numerai's rows with `ticker` of the prices, null where no line is of their name and date.

    Where lines give one ticker two rows of a week, the row of the first line has it.
    """
    schema = "ticker string, name string, first date, last date, rank int"
    rows = [(line.ticker, line.numerai_ticker, line.first, line.last, line.rank) for line in lines]
    names = F.broadcast(theirs.sparkSession.createDataFrame(rows, schema))
    its = (F.col("numerai_ticker") == F.col("name")) & F.col("date").between(F.col("first"), F.col("last"))
    joined = theirs.join(names, on=its, how="left")
    counts = Counter(line.ticker for line in lines)
    if shared := [ticker for ticker, count in counts.items() if count > 1]:
        week = Window.partitionBy("ticker", _week(F.col("date")))
        whole = week.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
        is_other = F.col("ticker").isin(shared) & (F.col("rank") > F.min("rank").over(whole))
        joined = joined.withColumn("ticker", F.when(~F.coalesce(is_other, F.lit(False)), F.col("ticker")))
    return joined.drop("name", "first", "last", "rank")


def _names(whole: DataFrame) -> list[Named]:
    """The names in Numerai's files, with their composite FIGI: some thousand."""
    rows = whole.groupBy("numerai_ticker", FIGI).agg(F.min("date").alias("first")).collect()
    return [Named(row["numerai_ticker"], row[FIGI], row["first"]) for row in rows]


def live_names(signals: DataFrame, newest: date) -> tuple[dict[str, str], bool]:
    """Numerai's tickers by those of the prices, and whether they are of the date `newest`.

    Where the files have no rows of that date they are of all dates, so that nothing tells who is live.
    """
    mapped = signals.where(F.col("ticker").isNotNull())
    live = mapped.where(F.col("date") == F.lit(newest))
    is_live = not live.isEmpty()
    # One row a ticker, or some where names have changed: the newest is taken.
    last = (live if is_live else mapped).groupBy("ticker").agg(F.max_by("numerai_ticker", "date").alias("name"))
    return {row["ticker"]: row["name"] for row in last.collect()}, is_live


def _part(spark: SparkSession, path: str, features: Sequence[str], targets: Sequence[str]) -> DataFrame:
    name = shown(path)
    with opened(f"{name} cannot be read as a parquet file", "download it again"):
        frame = spark.read.parquet(path)
    kinds = {field.name: field.dataType for field in frame.schema}
    found = [target for target in targets if target in kinds]
    needed = ["numerai_ticker", "date", *features, *(found if path.endswith("live.parquet") else targets)]
    for column in needed:
        if column not in kinds:
            raise InputError(f"{name} has no column {column!r}; name columns that it has, or another version's file.")
        if column in (*features, *targets) and not isinstance(kinds[column], T.NumericType):
            raise InputError(
                f"{name}: column {column!r} is of type {kinds[column].simpleString()}, no number; take another."
            )
    of_date = kinds["date"].simpleString()
    if of_date not in DATE_TYPES:
        raise InputError(f"{name}: column 'date' is of type {of_date}, which is no date; download it again.")
    missing, day = F.lit(None).cast("double"), as_date(F.col("date"), of_date)
    figi = F.trim(F.col(FIGI).cast("string")) if FIGI in kinds else F.lit(None)
    return frame.select(
        F.trim(F.col("numerai_ticker").cast("string")).alias("numerai_ticker"),
        day.alias("date"),
        F.when(figi != "", figi).cast("string").alias(FIGI),
        _values([F.col(f"`{column}`") for column in features]).alias("signals"),
        _values([F.col(f"`{column}`") if column in found else missing for column in targets]).alias("signals_targets"),
        F.lit(name).alias("file"),
    )


def _values(columns: Sequence[Column]) -> Column:
    numbers = [column.cast("double") for column in columns]
    finite = [F.when(~F.isnan(number) & (F.abs(number) != float("inf")), number) for number in numbers]
    return F.array(*finite).cast("array<double>")


def _refuse_empty_keys(whole: DataFrame) -> None:
    empty = F.coalesce(F.col("numerai_ticker"), F.lit("")) == ""
    found = whole.where(empty | F.col("date").isNull()).select("file", "numerai_ticker", "date").first()
    if found:
        column, of = ("date", found["numerai_ticker"]) if found["numerai_ticker"] else ("numerai_ticker", found["date"])
        raise InputError(f"{found['file']}: column {column!r} is empty or no date, for {of}; download it again.")


def _refuse_twice(whole: DataFrame) -> None:
    by_week = whole.groupBy("numerai_ticker", _week(F.col("date")).alias("week"))
    counts = by_week.agg(F.count("*").alias("rows"), F.max("file").alias("file"), F.min("date").alias("date"))
    found = counts.where("rows > 1").orderBy("week", "numerai_ticker").first()
    if found:
        raise InputError(
            f"{found['file']}: {found['numerai_ticker']} has {found['rows']} rows in the week of {found['date']}; "
            "keep one row for each ticker and week, in one file."
        )


def _week(day: Column) -> Column:
    """The Monday of a day's week, which runs from Saturday to Friday."""
    return F.date_trunc("week", F.date_add(day, 2)).cast("date")


def era_of(day: Column, first_week: date) -> Column:
    """The era of a date; era 1 begins on the Saturday `first_week`."""
    return (F.floor(F.datediff(day, F.lit(first_week)) / 7) + 1).cast("int")


def of_eras(rows: DataFrame, signals: DataFrame, first_week: date) -> DataFrame:
    """Rows with `era` and `ticker`, with `signals` and `signals_targets` of Numerai's row of that era, else null.

    Numerai's row is of the era of its date. A row of the prices is of the last day on or before it (`Calendars`), so
    that neither is later than the era's date.
    """
    theirs = signals.where(F.col("ticker").isNotNull()).select(
        F.col("ticker").alias("their_ticker"), era_of(F.col("date"), first_week).alias("their_era"), "signals",
        "signals_targets",
    )  # fmt: skip
    its = (name_of(F.col("ticker")) == F.col("their_ticker")) & (F.col("era") == F.col("their_era"))
    return rows.join(theirs, on=its, how="left").drop("their_ticker", "their_era")


def compared(days: DataFrame, signals: DataFrame, first_week: date, faults: Sequence[Fault] = ()) -> DataFrame:
    """What met and what did not: `check, ticker, numerai_ticker, rows, first, last`, a row a check and ticker.

    `days`: `era, ticker, date`, the price tickers at the days of eras. Checks are those of MEANINGS; lines of the map
    that are left out have no dates.
    """
    spark = days.sparkSession
    theirs = signals.select(
        F.col("ticker").alias("their_ticker"), "numerai_ticker", "date",
        era_of(F.col("date"), first_week).alias("their_era"),
    )  # fmt: skip
    ours = days.select("era", "ticker", F.col("date").alias("day"))
    met = (name_of(F.col("ticker")) == F.col("their_ticker")) & (F.col("era") == F.col("their_era"))
    check = (
        F.when(F.col("ticker").isNotNull() & F.col("numerai_ticker").isNotNull(), "matched")
        .when(F.col("ticker").isNotNull(), "no row")
        .when(F.col("their_ticker").isNotNull(), "no price")
        .otherwise("not mapped")
    )
    found = ours.join(theirs, on=met, how="full").select(
        check.alias("check"), F.coalesce("ticker", "their_ticker").alias("ticker"), "numerai_ticker",
        F.coalesce("day", "date").alias("day"),
    )  # fmt: skip
    lacking = [(fault.check, fault.ticker, fault.numerai_ticker, None) for fault in faults]
    lines = spark.createDataFrame(lacking, "check string, ticker string, numerai_ticker string, day date")
    return (
        found.unionByName(lines)
        .groupBy("check", "ticker", "numerai_ticker")
        .agg(F.count("*").alias("rows"), F.min("day").alias("first"), F.max("day").alias("last"))
    )


def counted(found: DataFrame) -> pd.DataFrame:
    """`compared` by check: columns `check, count, detail` (a handful of rows), as the report's data quality shows."""
    name = F.coalesce("ticker", "numerai_ticker")
    by_check = found.groupBy("check").agg(
        F.sum("rows").alias("count"),
        F.countDistinct(name).alias("tickers"),
        F.max(F.struct(F.col("rows"), name.alias("ticker"))).alias("most"),
    )
    rows = {row["check"]: row for row in by_check.collect()}  # one row a check
    out = []
    for check, meaning in MEANINGS.items():
        row = rows.get(check)
        seen = f"{row['tickers']} tickers, most often {row['most']['ticker']}" if row else "none"
        out.append((f"Signals: {check}", int(row["count"]) if row else 0, f"{meaning}; {seen}"))
    return pd.DataFrame(out, columns=["check", "count", "detail"])
