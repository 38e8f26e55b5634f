"""Numerai Signals' own files (v2.1): features and targets by week, joined to prices by ticker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from eraflow.config import Signals
from eraflow.errors import InputError
from eraflow.sources.columns import DATE_TYPES, as_date
from eraflow.sources.files import SourceFile, listed, opened, shown
from eraflow.sources.reference import small_table

PARTS = ("train", "validation", "live")
LATE_DAYS = 3  # from an era's last trading day to the Friday of its week, at most

MEANINGS = {
    "matched": "era rows of price tickers that have Numerai's row",
    "no row": "era rows of price tickers without Numerai's row that week",
    "no price": "Numerai's rows without an era row of a price ticker",
    "not mapped": "Numerai's rows of tickers that signals.mapping does not name",
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


def read(spark: SparkSession, config: Signals, targets: Sequence[str]) -> DataFrame:
    """`ticker, numerai_ticker, date, week, signals array<double>, signals_targets array<double>`.

    One row a Numerai ticker and week. `ticker` is the price files' name, null where `signals.mapping` has none; `week`
    the Monday. Arrays follow `signals.features` and `targets`; what is empty or NaN is null, and so are targets of
    live.parquet. InputError: a file, column or type that is missing, an empty key, a ticker twice in a week.
    """
    parts = [
        _part(spark, file.path, config.features, targets)
        for file in files(spark, config)
        if file.path.endswith(tuple(f"{part}.parquet" for part in PARTS))
    ]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionByName(part)
    _refuse_empty_keys(whole)
    _refuse_twice(whole)
    if config.mapping is None:
        return whole.drop("file").withColumn("ticker", F.col("numerai_ticker"))
    names = F.broadcast(spark.createDataFrame(mapping(spark, config.mapping), "ticker string, numerai_ticker string"))
    return whole.drop("file").join(names, on="numerai_ticker", how="left")


def mapping(spark: SparkSession, path: str) -> pd.DataFrame:
    """`ticker, numerai_ticker`: the price files' names and Numerai's. InputError: a name is empty or there twice."""
    found = small_table(spark, path, "signals.mapping", ("ticker", "numerai_ticker"))
    for column in ("ticker", "numerai_ticker"):
        wrong = found.loc[found[column].isna() | found.duplicated(column, keep=False), column].tolist()
        if wrong:
            what = f"holds {wrong[0]!r} more than once" if isinstance(wrong[0], str) else "is empty in a row"
            raise InputError(f"{path}: column {column!r} {what}; give each ticker one line of its own.")
    return found


def live_names(signals: DataFrame, newest: date) -> tuple[dict[str, str], bool]:
    """Numerai's tickers by those of the prices, and whether they are of the week of `newest`.

    Where the files have no rows of that week they are of all weeks, so that nothing tells who is live.
    """
    known = signals.where(F.col("ticker").isNotNull())
    live = known.where(F.col("week") == F.date_trunc("week", F.lit(newest)).cast("date"))
    is_live = not live.isEmpty()
    rows = (live if is_live else known).select("ticker", "numerai_ticker").distinct().collect()  # one a ticker
    return {row["ticker"]: row["numerai_ticker"] for row in rows}, is_live


def _part(spark: SparkSession, path: str, features: Sequence[str], targets: Sequence[str]) -> DataFrame:
    name = shown(path)
    with opened(f"{name} cannot be read as a parquet file", "download it again"):
        frame = spark.read.parquet(path)
    kinds = {field.name: field.dataType for field in frame.schema}
    there = [target for target in targets if target in kinds]
    needed = ["numerai_ticker", "date", *features, *(there if path.endswith("live.parquet") else targets)]
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
    return frame.select(
        F.trim(F.col("numerai_ticker").cast("string")).alias("numerai_ticker"),
        day.alias("date"),
        F.date_trunc("week", day).cast("date").alias("week"),
        _values([F.col(f"`{column}`") for column in features]).alias("signals"),
        _values([F.col(f"`{column}`") if column in there else missing for column in targets]).alias("signals_targets"),
        F.lit(name).alias("file"),
    )


def _values(columns: Sequence[Column]) -> Column:
    numbers = [column.cast("double") for column in columns]
    known = [F.when(~F.isnan(number) & (F.abs(number) != float("inf")), number) for number in numbers]
    return F.array(*known).cast("array<double>")


def _refuse_empty_keys(whole: DataFrame) -> None:
    empty = F.coalesce(F.col("numerai_ticker"), F.lit("")) == ""
    found = whole.where(empty | F.col("date").isNull()).select("file", "numerai_ticker", "date").first()
    if found:
        column, of = ("date", found["numerai_ticker"]) if found["numerai_ticker"] else ("numerai_ticker", found["date"])
        raise InputError(f"{found['file']}: column {column!r} is empty or no date, for {of}; download it again.")


def _refuse_twice(whole: DataFrame) -> None:
    counts = whole.groupBy("numerai_ticker", "week").agg(F.count("*").alias("rows"), F.max("file").alias("file"))
    found = counts.where("rows > 1").orderBy("week", "numerai_ticker").first()
    if found:
        raise InputError(
            f"{found['file']}: {found['numerai_ticker']} has {found['rows']} rows in the week of {found['week']}; "
            "keep one row for each ticker and week, in one file."
        )


def of_era_days(rows: DataFrame, signals: DataFrame, newest: date) -> DataFrame:
    """Rows with `ticker` and an era's `date`, with `signals` and `signals_targets` of the same week, else null.

    `newest` is the last day of the prices.
    """
    theirs = signals.where(F.col("ticker").isNotNull()).select(
        F.col("ticker").alias("their_ticker"), F.col("date").alias("their_date"), "week", "signals", "signals_targets"
    )
    its = (F.col("ticker") == F.col("their_ticker")) & meets(F.col("date"), F.col("their_date"), newest)
    return rows.join(theirs, on=its, how="left").drop("their_ticker", "their_date", "week")


def meets(day: Column, their_date: Column, newest: date) -> Column:
    """Whether Numerai's row is of the week that an era's day stands for; reads `week`.

    It may be dated up to LATE_DAYS later: a Friday without trading. Of the newest day's week, which may not be over, it
    may not: what Friday will tell is not known then.
    """
    known = (their_date <= day) | ((day < F.lit(newest)) & (F.datediff(their_date, day) <= LATE_DAYS))
    return (F.date_trunc("week", day).cast("date") == F.col("week")) & known


def compared(days: DataFrame, signals: DataFrame, newest: date) -> DataFrame:
    """What met and what did not: `check, ticker, numerai_ticker, rows, first, last`, a row a check and ticker.

    `days`: `ticker, date`, the price tickers at the days of eras. Checks are those of MEANINGS.
    """
    theirs = signals.select(F.col("ticker").alias("their_ticker"), "numerai_ticker", "date", "week")
    ours = days.select("ticker", F.col("date").alias("day"))
    met = (F.col("ticker") == F.col("their_ticker")) & meets(F.col("day"), F.col("date"), newest)
    check = (
        F.when(F.col("ticker").isNotNull() & F.col("numerai_ticker").isNotNull(), "matched")
        .when(F.col("ticker").isNotNull(), "no row")
        .when(F.col("their_ticker").isNotNull(), "no price")
        .otherwise("not mapped")
    )
    return (
        ours.join(theirs, on=met, how="full")
        .select(check.alias("check"), F.coalesce("ticker", "their_ticker").alias("ticker"), "numerai_ticker",
                F.coalesce("day", "date").alias("day"))
        .groupBy("check", "ticker", "numerai_ticker")
        .agg(F.count("*").alias("rows"), F.min("day").alias("first"), F.max("day").alias("last"))
    )  # fmt: skip


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
