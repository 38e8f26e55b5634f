"""Data quality: what daily prices hold that is sound in form but suspicious, and what a policy does about it.

Faulty rows are gone before (`eraflow.sources.faults`). Each check names rows; conf's `quality` section says for each
check but `stray`, whose rows count for nothing, what becomes of them:

- `keep`: the row counts like any other; the report counts it.
- `mask`: the ticker has no features on that day, and a label that reaches over it is unknown.
- `drop`: the row is left out, as if the file lacked it. Of a move (`jump`, `adjustment`) only the move is left out: the
  total return goes on as if the price had not changed that day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_

import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from eraflow.sources import faults

JUMP = 0.5  # a one-day move beyond this, up or down
ADJUSTED = 0.1  # a change of the adjustment factor beyond this
MOVES = ("jump", "adjustment")
MEANINGS: Mapping[str, str] = {
    "stray": "a day on which too few others of its country have a price to count; left out",
    "gap": "days before it on which others of its country traded; indicators go on over them",
    "zero_volume": "a day without volume; the price stands",
    "stale": "no volume and the close of the day before",
    "jump": "a return over 50 % in a day; some may be wrong split adjustments",
    "adjustment": "the adjusted close moves where the traded price does not: a wrong split or dividend",
    "contradiction": "the high is below, or the low above, another price of the day",
}


def judged(rows: DataFrame, policies: Mapping[str, str]) -> DataFrame:
    """The rows with `flags array<string>` (the checks that they fail), `kept`, `left_out` and `adjusted_before`.

    `left_out` says that the row's move counts as none; `adjusted_before` is the adjusted close of the last row that is
    kept, null at the first. Reads `session` beside the columns of the raw prices.

    A row is held against the last row before it that is kept, so that a dropped row is as if the file lacked it. Which
    rows are kept is known in two steps. `stray`, `zero_volume` and `contradiction` are seen in the row alone. A row is
    stale if it repeats the close of the last row that these keep: that close is the close of the last row that is kept
    in the end, since a stale row that is dropped has the same. `gap`, `jump` and `adjustment` drop no rows, and are
    measured when it is known which are kept.
    """
    before = Window.partitionBy("ticker").orderBy("date").rowsBetween(Window.unboundedPreceding, -1)

    def last(value: Column, where: Column) -> Column:
        return F.last(F.when(where, value), ignorenulls=True).over(before)

    failed = {"stray": F.col("session").isNull(), **_row_checks()}
    passed = ~(failed["stray"] | drops(policies))
    rows = rows.withColumn("close_before", last(F.col("close"), passed))
    failed["stale"] = _is_stale()
    kept = passed & ~failed["stale"] if policies["stale"] == "drop" else passed
    rows = rows.withColumn("kept", kept)
    rows = rows.withColumn("before", last(F.struct("adjusted_close", "session"), F.col("kept")))
    failed |= _moves(F.col("close") / F.col("close_before"), F.col("adjusted_close") / F.col("before.adjusted_close"))
    failed["gap"] = F.col("session") - F.col("before.session") > 1
    # Most rows fail none: Spark has no compiled code for the arrays of those that do.
    named = F.array_compact(F.array(*(F.when(failed[name], F.lit(name)) for name in MEANINGS)))
    flags = F.when(F.coalesce(_any(failed.values()), F.lit(True)), named).otherwise(F.array().cast("array<string>"))
    return rows.withColumn("flags", flags).withColumns(
        {"left_out": fails(policies, "drop", MOVES), "adjusted_before": F.col("before.adjusted_close")}
    )


def drops(policies: Mapping[str, str]) -> Column:
    """Whether a policy drops a row of raw prices for what it holds by itself."""
    return _any(failed for name, failed in _row_checks().items() if policies[name] == "drop")


def drops_stale(policies: Mapping[str, str]) -> Column:
    """Whether a policy drops a row as stale: reads `close_before`, the close of the last row that `drops` keeps."""
    return _is_stale() if policies["stale"] == "drop" else F.lit(False)


def _row_checks() -> dict[str, Column]:
    outside = (F.col("high") < F.greatest("low", "open", "close")) | (F.col("low") > F.least("high", "open", "close"))
    return {"zero_volume": F.col("volume") == 0, "contradiction": outside}


def _is_stale() -> Column:
    return F.coalesce((F.col("close") == F.col("close_before")) & (F.col("volume") == 0), F.lit(False))


def _moves(traded: Column, moved: Column) -> dict[str, Column]:
    # An adjustment takes a move of the traded price away. One that makes a move, and no small one, is wrong.
    made = F.abs(F.log(moved)) > F.abs(F.log(traded)) + ADJUSTED
    return {"jump": F.abs(moved - 1.0) > JUMP, "adjustment": made}


def _any(conditions: Iterable[Column]) -> Column:
    return reduce(or_, conditions, F.lit(False))


def fails(policies: Mapping[str, str], policy: str, of: tuple[str, ...] = tuple(MEANINGS)) -> Column:
    """Whether a row fails a check for which this is the policy; reads the column `flags`."""
    names = [name for name in of if policies.get(name) == policy]
    return F.arrays_overlap("flags", F.array(*map(F.lit, names))) if names else F.lit(False)


def findings(prices: DataFrame, seen: DataFrame) -> DataFrame:
    """`ticker, date, check, close, volume, daily_return, rows, fault`: what is suspicious, and what is faulty.

    Of the prices one row for each check that a row fails, `rows` being 1. Of the faulty rows that were seen
    (`faults.SEEN`) one for each ticker and check: the first date, the number of rows, and in `fault` what the first
    holds.
    """
    nothing = F.lit(None)
    unknown = [nothing.cast("double").alias(name) for name in ("close", "volume", "daily_return")]
    suspicious = prices.where(F.size("flags") > 0).select(
        "ticker", "date", F.explode("flags").alias("check"), "close", "volume", "daily_return",
        F.lit(1).cast("bigint").alias("rows"), nothing.cast("string").alias("fault"),
    )  # fmt: skip
    fault = F.concat_ws(" is ", "first.column", F.coalesce("first.value", F.lit("empty")))
    faulty = (
        seen.where(F.col("check").isNotNull())
        .groupBy("ticker", "check")
        .agg(F.sum("rows").alias("rows"), F.min("first").alias("first"))
        .select(
            "ticker", "first.date", "check", *unknown, "rows",
            F.when(F.col("first.column") != "", fault).alias("fault"),
        )
    )  # fmt: skip
    return suspicious.unionByName(faulty)


def marked(prices: DataFrame, policies: Mapping[str, str]) -> DataFrame:
    """The rows of the `prices` table that no policy has dropped, with `masked`: nothing over the day is known."""
    return prices.where(F.col("bar").isNotNull()).withColumn("masked", fails(policies, "mask"))


def counted(found: DataFrame, policies: Mapping[str, str]) -> pd.DataFrame:
    """The findings by check: columns `check, count, detail` (a handful of rows), checks without findings included.

    Tickers that are set aside are named, each with the day from which on it is left out.
    """
    by_check = found.groupBy("check").agg(
        F.sum("rows").alias("count"),
        F.countDistinct("ticker").alias("tickers"),
        F.min(F.struct("date", "ticker")).alias("first"),
    )
    rows = {row["check"]: row for row in by_check.collect()}  # one row a check
    aside = _set_aside(found, policies)
    table = []
    for name, meaning in {**MEANINGS, **faults.CHECKS, **faults.DROPPED}.items():
        row = rows.get(name)
        seen = f"{row['tickers']} tickers, first {row['first']['ticker']} on {row['first']['date']}" if row else "none"
        seen = f"set aside: {aside[name]}" if name in aside else seen
        table.append((f"{name} ({policies.get(name, 'drop')})", int(row["count"]) if row else 0, f"{meaning}; {seen}"))
    return pd.DataFrame(table, columns=["check", "count", "detail"])


def _set_aside(found: DataFrame, policies: Mapping[str, str]) -> dict[str, str]:
    """By check the tickers that it sets aside, with their days: so many as quality.refuse_share allows."""
    names = [name for name in faults.CHECKS if policies[name] == "set_aside"]
    first = F.min(F.struct("date", "check")).alias("first")
    aside = found.where(F.col("check").isin(names)).groupBy("ticker").agg(first).orderBy("ticker").collect()
    named: dict[str, list[str]] = {}
    for row in aside:
        named.setdefault(row["first"]["check"], []).append(f"{row['ticker']} from {row['first']['date']}")
    return {check: ", ".join(tickers) for check, tickers in named.items()}
