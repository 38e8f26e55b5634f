"""What is new in the raw prices since the `prices` table was written: from which day on it must be made again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# A vendor restates all earlier adjusted closes by one factor at each dividend, and rounds them anew. A ticker's total
# return counts as restated where that factor changes by more than this from one day to another.
ROUNDING = 1e-4
_AS_TRADED = ("open", "high", "low", "close", "volume", "sector", "country", "member", "rate")
EXAMPLES = 3


@dataclass(frozen=True)
class Update:
    """What differs between the raw prices and the table."""

    first: date | None  # the first day on which anything differs; None if nothing does
    new_rows: int
    restated: int  # tickers with another history than they had
    examples: tuple[str, ...]  # some of them, each with its first changed day
    repeated: bool  # whether a ticker may be there twice on a date

    def __str__(self) -> str:
        told = f"{self.new_rows} new rows"
        if self.restated:
            told += f", {self.restated} tickers with a restated history ({', '.join(self.examples)})"
        return told


def compare(raw: DataFrame, stored: DataFrame) -> Update:
    """Holds every row of the raw prices against the table. A new dividend changes nothing; a changed return does."""
    # Two long histories are sorted side by side: hashes keep their rows narrow.
    ours = stored.select("ticker", "date", F.xxhash64(*_AS_TRADED).alias("ours"), "total_return", "correction")
    theirs = raw.select("ticker", "date", F.xxhash64(*_AS_TRADED).alias("theirs"), "adjusted_close")
    both = theirs.join(ours, on=["ticker", "date"], how="full_outer").select(
        "ticker",
        "date",
        F.col("ours").isNull().alias("new"),
        (F.col("ours").isNotNull() & ~F.col("ours").eqNullSafe(F.col("theirs"))).alias("other"),  # changed or gone
        (F.col("adjusted_close") * F.col("correction") / F.col("total_return")).alias("factor"),
    )
    # One row a ticker. Its factor is one number but for the vendor's rounding, unless a return was changed.
    tickers = both.groupBy("ticker").agg(
        F.min(F.when(F.col("new"), F.col("date"))).alias("first_new"),
        F.max(F.when(~F.col("new"), F.col("date"))).alias("last_known"),
        F.min(F.when(F.col("other"), F.col("date"))).alias("first_other"),
        F.count(F.when(F.col("new"), 1)).alias("new_rows"),
        F.count(F.when(~F.col("new"), 1)).alias("known_rows"),
        F.min_by("factor", F.when(F.col("factor").isNotNull(), F.col("date"))).alias("first_factor"),
        F.min("factor").alias("least"),
        F.max("factor").alias("most"),
    )
    tickers = tickers.cache()
    try:
        moved = tickers.where(F.col("most") > F.col("least") * (1.0 + ROUNDING)).select("ticker", "first_factor")
        away = F.abs(F.col("factor") / F.col("first_factor") - 1.0) > ROUNDING / 2
        jumped = both.join(F.broadcast(moved), on="ticker", how="inner").where(away)
        jumped = jumped.groupBy("ticker").agg(F.min("date").alias("first_jump"))
        inserted = F.when(F.col("first_new") <= F.col("last_known"), F.col("first_new"))
        seen = tickers.join(F.broadcast(jumped), on="ticker", how="left").select(
            "ticker",
            "first_new",
            "new_rows",
            "known_rows",
            F.least("first_other", "first_jump", inserted).alias("restated"),
        )
        found = seen.agg(
            F.min(F.least("first_new", "restated")).alias("first"),
            F.sum("new_rows").alias("new_rows"),
            F.sum("known_rows").alias("known_rows"),
            F.count("restated").alias("restated"),
        ).head()
        # A handful: EXAMPLES rows.
        examples = seen.where(F.col("restated").isNotNull()).orderBy("restated", "ticker").limit(EXAMPLES).collect()
    finally:
        tickers.unpersist()
    if found is None:
        return Update(None, 0, 0, (), False)
    return Update(
        found["first"],
        int(found["new_rows"] or 0),
        int(found["restated"]),
        tuple(f"{row['ticker']} from {row['restated']}" for row in examples),
        # A row of the table that two raw rows were joined to, or two new rows: the check of rows tells which.
        int(found["known_rows"] or 0) > stored.count(),
    )


def anchors(stored: DataFrame, first: date) -> DataFrame:
    """`ticker, anchor_{date, bar, level, correction}`: each ticker's last bar before `first`, from which it goes on."""
    last = F.max(F.struct("date", "bar", "total_return", "correction")).alias("last")
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
        )
    )
