"""Data quality: what daily prices hold that is sound in form but suspicious, and what a policy does about it.

Faulty rows are gone before (`eraflow.sources.faults`). Each check names rows; conf's `quality` section says for each
check but `stray`, whose rows count for nothing, what becomes of them:

- `keep`: the row counts like any other; the report counts it.
- `mask`: the ticker has no features on that day, and a label that reaches over it is unknown.
- `drop`: the row is left out, as if the file lacked it. Of a move (`jump`, `adjustment`) only the move is left out: the
  total return goes on as if the price had not changed that day.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pyspark.sql import Column, DataFrame
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


def fails(policies: Mapping[str, str], policy: str) -> Column:
    """Whether a row fails a check for which this is the policy; reads the column `flags`."""
    names = [name for name in MEANINGS if policies.get(name) == policy]
    return F.arrays_overlap("flags", F.array(*map(F.lit, names))) if names else F.lit(False)


def findings(prices: DataFrame, seen: DataFrame | None) -> DataFrame:
    """`ticker, date, check, close, volume, daily_return, rows, fault`: what is suspicious, and what is faulty.

    Of the prices one row for each check that a row fails, `rows` being 1. Of the faulty rows that were seen
    (`fault_rows.SEEN`; None where none is faulty) one for each ticker and check: the first date, the number of rows,
    and in `fault` what the first holds.
    """
    nothing = F.lit(None)
    unknown = [nothing.cast("double").alias(name) for name in ("close", "volume", "daily_return")]
    suspicious = prices.where(F.size("flags") > 0).select(
        "ticker", "date", F.explode("flags").alias("check"), "close", "volume", "daily_return",
        F.lit(1).cast("bigint").alias("rows"), nothing.cast("string").alias("fault"),
    )  # fmt: skip
    if seen is None:
        return suspicious
    first = F.min(F.struct("date", "column", "value", "file"))
    fault = F.concat_ws(" is ", "first.column", F.coalesce("first.value", F.lit("empty")))
    faulty = (
        seen.where(F.col("check").isNotNull())
        .groupBy("ticker", "check")
        .agg(F.sum("rows").alias("rows"), first.alias("first"))
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
