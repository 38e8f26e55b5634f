"""From raw prices to the `prices` table: checked, numbered by bar and session, with a forward total-return index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from eraflow.sources import quality, sessions
from eraflow.sources.calendar import Calendars

_PRICES = ("open", "high", "low", "close")
_CLOSE = 1e-3  # how near a ratio of volumes is to the unit that it stands for


def bars(
    raw: DataFrame,
    calendars: Calendars,
    policies: Mapping[str, str],
    anchors: DataFrame | None = None,
    first: date = date.min,
) -> DataFrame:
    """The `prices` table: sound raw prices (`faults.sound`), and of each ticker its bars, sessions and total returns.

    `bar` counts 0, 1, ... by date and is null for a row that is dropped: by `policies` (conf: quality), or as a stray
    one, which has no `session` (the number of the country's trading day). `total_return` is an index that starts at the
    first raw close, `daily_return` its change since the last row that is kept (null at bar 0), `correction` the product
    of the moves that were left out of it, `flags` the quality checks that the row fails, `year` the date's. `member`
    says whether the ticker belongs to the universe that day, `rate` what a unit of its currency is worth.

    The index grows by the ratios of adjusted closes, forward from the first day, so that a later split or dividend
    changes no earlier level: a vendor's adjusted level tells the future. With `anchors` (`updates.anchors`) only rows
    from `first` on come out, and a ticker goes on from its last bar before in the table, in the unit that its prices
    and volumes have there.
    """
    history = Window.partitionBy("ticker").orderBy("date")
    to_now = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    level, bar, correction, is_new = F.col("close"), F.lit(0), F.lit(1.0), F.lit(True)
    if anchors is not None:
        raw = _in_units_of(anchors, raw, first, to_now)
        level, bar = F.coalesce("anchor_level", "close"), F.coalesce("anchor_bar", F.lit(0))
        correction = F.coalesce("anchor_correction", F.lit(1.0))
        is_new = F.col("date") >= F.lit(first)
    raw = raw.withColumn("level", level)
    flagged = quality.judged(sessions.placed(raw, calendars), policies)
    adjusted, before = F.col("adjusted_close"), F.col("adjusted_before")
    moves = F.when(F.col("kept") & F.col("left_out"), F.log(adjusted / before))
    start = F.first(F.when(F.col("kept"), F.col("level") / adjusted), ignorenulls=True).over(to_now)
    factor = F.exp(-F.coalesce(F.sum(moves).over(to_now), F.lit(0.0)))
    daily_return = F.when(F.col("left_out"), 0.0 * before).otherwise(adjusted / before - 1.0)
    numbered = flagged.select(
        *("ticker", "date", "country", "session"),
        F.when(F.col("kept"), F.sum(F.col("kept").cast("int")).over(to_now) - 1 + bar).cast("int").alias("bar"),
        *("sector", "member", "rate", "open", "high", "low", "close", "volume"),
        (adjusted * factor * start).alias("total_return"),
        F.when(F.col("kept"), daily_return).alias("daily_return"),
        (factor * correction).alias("correction"),
        "flags",
        F.year("date").alias("year"),
        is_new.alias("is_new"),
    )
    return numbered.where("is_new").drop("is_new")


def _in_units_of(anchors: DataFrame, raw: DataFrame, first: date, to_now: WindowSpec) -> DataFrame:
    """Each ticker's anchor and its rows from `first` on, as if the vendor had never restated prices and volumes.

    At a split a vendor may divide all closes of a ticker by one factor and multiply its volumes by it; one that adjusts
    closes for dividends divides them alone. The table keeps the units that it has, as its index keeps its level.
    """
    rows = raw.join(F.broadcast(anchors), on="ticker", how="left")
    rows = rows.where((F.col("date") == F.col("anchor_date")) | (F.col("date") >= F.lit(first)))
    unit = F.coalesce(F.first("close").over(to_now) / F.col("anchor_close"), F.lit(1.0))  # an anchor comes first
    before = F.when(F.col("anchor_volume") > 0, F.first("volume").over(to_now))
    ratio = F.when(before > 0, F.col("anchor_volume") / before)
    # Volumes are whole numbers, so that their ratio is no exact one.
    shares = F.when(F.abs(ratio - 1.0) < _CLOSE, 1.0).when(F.abs(ratio / unit - 1.0) < _CLOSE, unit)
    rows = rows.withColumns({"unit": unit, "shares": F.coalesce(shares, ratio, unit)})
    same = {name: F.col(name) / F.col("unit") for name in _PRICES}
    return rows.withColumns({**same, "volume": F.col("volume") * F.col("shares")}).drop("unit", "shares")


def kept(prices: DataFrame) -> DataFrame:
    """The rows of the `prices` table that no policy has dropped."""
    return prices.where(F.col("bar").isNotNull())


def tickers(prices: DataFrame) -> list[str]:
    """The tickers of the `prices` table, sorted: some thousand."""
    return sorted(row["ticker"] for row in prices.select("ticker").distinct().collect())
