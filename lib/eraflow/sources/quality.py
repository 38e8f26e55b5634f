"""Data quality: what daily prices hold that is accepted but suspicious, and what a policy does about it.

Each check names rows; conf's `quality` section says for each check but `stray`, whose rows count for nothing, what
becomes of them:

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
BEFORE = ("close_before", "adjusted_before", "session_before")


def flags() -> Column:
    """The names of the checks that a row fails, `array<string>`; of a row with the columns BEFORE of the day before."""
    gap = F.col("session") - F.col("session_before") > 1
    stale = (F.col("close") == F.col("close_before")) & (F.col("volume") == 0)
    moved = F.col("adjusted_close") / F.col("adjusted_before")
    traded = F.col("close") / F.col("close_before")
    # An adjustment takes a move of the traded price away. One that makes a move, and no small one, is wrong.
    made = F.abs(F.log(moved)) > F.abs(F.log(traded)) + ADJUSTED
    failed: Mapping[str, Column] = {
        "stray": F.col("session").isNull(),
        "gap": gap,
        "zero_volume": F.col("volume") == 0,
        "stale": stale,
        "jump": F.abs(moved - 1.0) > JUMP,
        "adjustment": made,
        "contradiction": (F.col("high") < F.greatest("low", "open", "close"))
        | (F.col("low") > F.least("high", "open", "close")),
    }
    return F.array_compact(F.array(*(F.when(failed[name], F.lit(name)) for name in MEANINGS)))


def fails(policies: Mapping[str, str], policy: str, of: tuple[str, ...] = tuple(MEANINGS)) -> Column:
    """Whether a row fails a check for which this is the policy; reads the column `flags`."""
    names = [name for name in of if policies.get(name) == policy]
    return F.arrays_overlap("flags", F.array(*map(F.lit, names))) if names else F.lit(False)


def findings(prices: DataFrame) -> DataFrame:
    """`ticker, date, check, close, volume, daily_return`: a row for each check that a row of the prices fails."""
    return prices.where(F.size("flags") > 0).select(
        "ticker", "date", F.explode("flags").alias("check"), "close", "volume", "daily_return"
    )


def counted(found: DataFrame, policies: Mapping[str, str]) -> pd.DataFrame:
    """The findings by check: columns `check, count, detail` (a handful of rows), checks without findings included."""
    by_check = found.groupBy("check").agg(
        F.count("*").alias("count"),
        F.countDistinct("ticker").alias("tickers"),
        F.min(F.struct("date", "ticker")).alias("first"),
    )
    rows = {row["check"]: row for row in by_check.collect()}  # one row a check
    table = []
    for name, meaning in MEANINGS.items():
        row = rows.get(name)
        seen = f"{row['tickers']} tickers, first {row['first']['ticker']} on {row['first']['date']}" if row else "none"
        table.append((f"{name} ({policies.get(name, 'drop')})", int(row["count"]) if row else 0, f"{meaning}; {seen}"))
    return pd.DataFrame(table, columns=["check", "count", "detail"])
