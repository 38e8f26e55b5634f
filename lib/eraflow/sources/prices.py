"""From raw prices to the `prices` table: checked, numbered by bar and session, with a forward total-return index."""

from __future__ import annotations

import datetime

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.sources.calendar import Calendar
from eraflow.sources.price_files import NUMBERS, PRICES, SCHEMA, reading, shown

# A one-day move beyond this, up or down, is counted as a possible wrong adjustment.
JUMP = 0.5


def check(raw: DataFrame, where: str, min_tickers: int, days_before: tuple[datetime.date, ...] = ()) -> Calendar:
    """Reads the prices for faults; raises InputError for the first, else says which days there are.

    `days_before` are earlier days, whose rows are in the table and not in `raw`.

    Refused: what is no number or date, a missing, infinite, zero or negative price, a missing or negative volume, a
    ticker twice on a date, an era with too few tickers. Zero volume, gaps and jumps are for `quality` to count.
    """
    with reading():
        _refuse_faulty_rows(raw, where)
        _refuse_duplicates(raw, where)
        # One row a trading day: some thousand rows at the most.
        days = {row["date"]: row["count"] for row in raw.groupBy("date").count().orderBy("date").collect()}
    if not days and not days_before:
        raise InputError(f"{where} holds no rows; name files with prices in them.")
    calendar = Calendar((*days_before, *days))
    most: dict[int, int] = {}  # by Monday, the tickers of the week's fullest day
    for day, tickers in days.items():
        monday = day.toordinal() - day.weekday()
        most[monday] = max(tickers, most.get(monday, 0))
    for era, day in calendar.eras.items():
        if day not in days:
            continue
        # Far fewer than on the week's other days: a stray row, or a date that lacks most of its prices.
        fullest = most[day.toordinal() - day.weekday()]
        wanted = max(min_tickers, fullest // 2)
        if days[day] < wanted:
            raise InputError(
                f"{where}: on {day} (era {era}) only {days[day]} tickers have a price, fewer than {wanted} "
                f"(prices.min_tickers={min_tickers}, or half of that week's {fullest}); add the missing prices, cut "
                f"that date away, or lower the minimum."
            )
    return calendar


def _refuse_faulty_rows(raw: DataFrame, where: str) -> None:
    checks = [("unreadable", "", F.col("unreadable").isNotNull())]
    checks += [("missing", name, F.col(name).isNull() | F.isnan(name)) for name in NUMBERS]
    checks += [("missing", name, F.col(name).isNull()) for name in ("ticker", "date", "sector")]
    checks += [("infinite", name, F.abs(name) == float("inf")) for name in NUMBERS]
    checks += [("not above zero", name, F.col(name) <= 0) for name in PRICES]
    checks += [("negative", "volume", F.col("volume") < 0)]
    fault = F.coalesce(
        *(
            F.when(wrong, F.struct(F.lit(kind).alias("kind"), F.lit(name).alias("column")))
            for kind, name, wrong in checks
        )
    )
    found = (
        raw.select("ticker", "date", "file", "unreadable", *NUMBERS, fault.alias("fault"))
        .where(F.col("fault").isNotNull())
        .agg(
            F.count("*").alias("rows"),
            F.min(F.struct("fault", "date", "ticker", "file", "unreadable", *NUMBERS)).alias("first"),
        )
        .first()
    )
    if not found or not found["rows"]:
        return
    first, kind, column = found["first"], found["first"]["fault"]["kind"], found["first"]["fault"]["column"]
    place = shown(first["file"]) if first["file"] else where
    others = f", and {found['rows'] - 1} more rows have faults" if found["rows"] > 1 else ""
    if kind == "unreadable":
        column, value = first["unreadable"]["column"], first["unreadable"]["value"]
        if column == "line":
            raise InputError(
                f"{place}: the line {value!r} has not one value for each column{others}; mend or remove it."
            )
        what = f"holds {value!r}, which is no {'date (YYYY-MM-DD)' if SCHEMA[column] == 'date' else 'number'},"
    elif kind == "missing":
        what = "is empty"
    else:
        what = f"is {kind} ({first[column]})"
    named = raw.schema[column].metadata.get("named") or column
    known = (f" for {first['ticker']}" if first["ticker"] else "") + (f" on {first['date']}" if first["date"] else "")
    raise InputError(f"{place}: column {named!r} {what}{known}{others}; mend or remove the row.")


def _refuse_duplicates(raw: DataFrame, where: str) -> None:
    twice = raw.groupBy("ticker", "date").agg(F.count("*").alias("rows"), F.max("file").alias("file")).where("rows > 1")
    found = twice.agg(
        F.count("*").alias("pairs"), F.min(F.struct("ticker", "date", "rows", "file")).alias("first")
    ).first()
    if found and found["pairs"]:
        first = found["first"]
        place = shown(first["file"]) if first["file"] else where
        others = f", and {found['pairs'] - 1} more such pairs" if found["pairs"] > 1 else ""
        raise InputError(
            f"{place}: ticker {first['ticker']} has {first['rows']} rows on {first['date']}{others}; "
            "keep one row for each ticker and date."
        )


def bars(raw: DataFrame, calendar: Calendar, anchors: DataFrame | None = None) -> DataFrame:
    """The `prices` table: raw prices, and of each ticker its bars, sessions and total returns.

    `bar` counts 0, 1, ... by date, `session` is the number of the trading day, `total_return` an index that starts at
    the first raw close, `daily_return` its change (null at bar 0), `year` the date's.

    The index grows by the ratios of adjusted closes, forward from the first day, so that a later split or dividend
    changes no earlier level: a vendor's adjusted level tells the future. With `anchors` (`updates.anchors`) a ticker
    goes on from its last bar that is in the table, and only later rows come out.
    """
    spark = raw.sparkSession
    sessions = spark.createDataFrame(pd.DataFrame({"date": calendar.dates, "session": range(len(calendar.dates))}))
    sessions = sessions.select(F.col("date").cast("date"), F.col("session").cast("int"))
    history = Window.partitionBy("ticker").orderBy("date")
    to_now = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    adjusted = F.col("adjusted_close")
    level, bar, is_new = F.col("close"), F.lit(0), F.lit(True)
    if anchors is not None:
        raw = raw.join(F.broadcast(anchors), on="ticker", how="left")
        raw = raw.where(F.col("anchor_date").isNull() | (F.col("date") >= F.col("anchor_date")))
        level, bar = F.coalesce("anchor_level", "close"), F.coalesce("anchor_bar", F.lit(0))
        is_new = F.col("anchor_date").isNull() | (F.col("date") > F.col("anchor_date"))
    start = F.first(level).over(to_now) / F.first(adjusted).over(to_now)
    numbered = raw.join(F.broadcast(sessions), on="date", how="inner").select(
        "ticker",
        "date",
        "session",
        (F.row_number().over(history) - 1 + bar).cast("int").alias("bar"),
        "sector",
        *("open", "high", "low", "close", "volume"),
        (adjusted * start).alias("total_return"),
        (adjusted / F.lag(adjusted).over(history) - 1.0).alias("daily_return"),
        F.year("date").alias("year"),
        is_new.alias("is_new"),
    )
    return numbered.where("is_new").drop("is_new")


def quality(prices: DataFrame) -> pd.DataFrame:
    """What is accepted but worth knowing, counted: columns `check, count, detail` (a handful of rows)."""
    history = Window.partitionBy("ticker").orderBy("session")
    gap = F.col("session") - F.lag("session").over(history) - 1
    same = F.col("close") == F.lag("close").over(history)
    jump = (F.col("daily_return") > JUMP) | (F.col("daily_return") < -JUMP)
    checks = {
        "zero-volume days": (F.col("volume") == 0, "accepted; the price stands"),
        "gaps in a history": (F.col("gap") > 0, "days on which others traded; indicators go on over them"),
        "moves over 50 % in a day": (jump, "some may be wrong split adjustments"),
        "unchanged close without volume": (F.col("same") & (F.col("volume") == 0), "stale prices"),
        "high below low, open or close": (F.col("high") < F.greatest("low", "open", "close"), "a contradiction"),
        "low above high, open or close": (F.col("low") > F.least("high", "open", "close"), "a contradiction"),
    }  # fmt: skip
    columns = []
    for number, (condition, _) in enumerate(checks.values()):
        columns.append(F.count(F.when(condition, 1)).alias(f"count_{number}"))
        columns.append(F.min(F.when(condition, F.struct("date", "ticker"))).alias(f"first_{number}"))
    found = prices.withColumns({"gap": gap, "same": same}).agg(*columns).first()
    rows = []
    for number, (name, (_, detail)) in enumerate(checks.items()):
        first = found[f"first_{number}"] if found else None
        seen = f"{detail}; first {first['ticker']} on {first['date']}" if first else "none seen"
        rows.append((name, int(found[f"count_{number}"]) if found else 0, seen))
    return pd.DataFrame(rows, columns=["check", "count", "detail"])
