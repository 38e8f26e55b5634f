"""From raw prices to the `prices` table: checked, numbered by bar and session, with a forward total-return index."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.sources import quality, sessions
from eraflow.sources.calendar import Calendars
from eraflow.sources.price_files import NUMBERS, PRICES, SCHEMA, reading, shown


def check(raw: DataFrame, where: str) -> None:
    """Reads the prices for faults; raises InputError for the first.

    Refused: what is no number or date, a missing, infinite, zero or negative price, a missing or negative volume, a
    ticker twice on a date. Days are judged by `sessions`, the rest is for `quality`.
    """
    with reading():
        _refuse_faulty_rows(raw, where)
        _refuse_duplicates(raw, where)


def _refuse_faulty_rows(raw: DataFrame, where: str) -> None:
    checks = [("unreadable", "", F.col("unreadable").isNotNull())]
    checks += [("missing", name, F.col(name).isNull() | F.isnan(name)) for name in NUMBERS]
    checks += [("missing", name, F.col(name).isNull()) for name in ("ticker", "date", "sector", "country", "currency")]
    checks += [("infinite", name, F.abs(name) == float("inf")) for name in NUMBERS]
    checks += [("not above zero", name, F.col(name) <= 0) for name in PRICES]
    checks += [("negative", "volume", F.col("volume") < 0)]
    checks += [("without a rate", "currency", F.col("rate").isNull())]
    fault = F.coalesce(
        *(
            F.when(wrong, F.struct(F.lit(kind).alias("kind"), F.lit(name).alias("column")))
            for kind, name, wrong in checks
        )
    )
    found = (
        raw.select("ticker", "date", "file", "unreadable", "currency", *NUMBERS, fault.alias("fault"))
        .where(F.col("fault").isNotNull())
        .agg(
            F.count("*").alias("rows"),
            F.min(F.struct("fault", "date", "ticker", "file", "unreadable", "currency", *NUMBERS)).alias("first"),
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
    elif kind == "without a rate":
        what = f"holds {first['currency']!r}, for which prices.rates has no rate,"
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


def bars(
    raw: DataFrame, calendars: Calendars, policies: Mapping[str, str], anchors: DataFrame | None = None
) -> DataFrame:
    """The `prices` table: raw prices, and of each ticker its bars, sessions and total returns.

    `bar` counts 0, 1, ... by date and is null for a row that is dropped: by `policies` (conf: quality), or as a stray
    one, which has no `session` (the number of the country's trading day). `total_return` is an index that starts at the
    first raw close, `daily_return` its change (null at bar 0), `correction` the product of the moves that were left out
    of it, `flags` the quality checks that the row fails, `year` the date's. `member` says whether the ticker belongs to
    the universe that day, `rate` what a unit of its currency is worth.

    The index grows by the ratios of adjusted closes, forward from the first day, so that a later split or dividend
    changes no earlier level: a vendor's adjusted level tells the future. With `anchors` (`updates.anchors`) a ticker
    goes on from its last bar that is in the table, and only later rows come out.
    """
    history = Window.partitionBy("ticker").orderBy("date")
    level, bar, correction, is_new = F.col("close"), F.lit(0), F.lit(1.0), F.lit(True)
    if anchors is not None:
        raw = raw.join(F.broadcast(anchors), on="ticker", how="left")
        raw = raw.where(F.col("anchor_date").isNull() | (F.col("date") >= F.col("anchor_date")))
        level, bar = F.coalesce("anchor_level", "close"), F.coalesce("anchor_bar", F.lit(0))
        correction = F.coalesce("anchor_correction", F.lit(1.0))
        is_new = F.col("anchor_date").isNull() | (F.col("date") > F.col("anchor_date"))
    lags = {"close_before": "close", "adjusted_before": "adjusted_close"}
    earlier = history.rowsBetween(Window.unboundedPreceding, -1)
    flagged = (
        sessions.placed(raw, calendars)
        .withColumns({name: F.lag(column).over(history) for name, column in lags.items()})
        .withColumn("session_before", F.last("session", ignorenulls=True).over(earlier))
        .withColumn("flags", quality.flags())
        .withColumns({
            "kept": F.col("session").isNotNull()
            & ~quality.fails(policies, "drop", tuple(set(quality.MEANINGS) - set(quality.MOVES))),
            "left_out": quality.fails(policies, "drop", quality.MOVES),
            "level": level,
        })
    )  # fmt: skip
    to_now = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    adjusted = F.when(F.col("kept"), F.col("adjusted_close"))
    before = F.last(adjusted, ignorenulls=True).over(earlier)
    moves = F.when(F.col("kept") & F.col("left_out"), F.log(F.col("adjusted_close") / F.col("adjusted_before")))
    start = F.first(F.when(F.col("kept"), F.col("level") / F.col("adjusted_close")), ignorenulls=True).over(to_now)
    own = F.exp(-F.coalesce(F.sum(moves).over(to_now), F.lit(0.0)))
    numbered = flagged.select(
        *("ticker", "date", "country", "session"),
        F.when(F.col("kept"), F.sum(F.col("kept").cast("int")).over(to_now) - 1 + bar).cast("int").alias("bar"),
        *("sector", "member", "rate", "open", "high", "low", "close", "volume"),
        (F.col("adjusted_close") * own * start).alias("total_return"),
        F.when(F.col("kept"), F.when(F.col("left_out"), 0.0 * before).otherwise(adjusted / before - 1.0)).alias(
            "daily_return"
        ),
        (own * correction).alias("correction"),
        "flags",
        F.year("date").alias("year"),
        is_new.alias("is_new"),
    )
    return numbered.where("is_new").drop("is_new")


def kept(prices: DataFrame) -> DataFrame:
    """The rows of the `prices` table that no policy has dropped."""
    return prices.where(F.col("bar").isNotNull())
