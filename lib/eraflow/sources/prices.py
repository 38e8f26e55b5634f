"""From raw prices to the `prices` table: checked, numbered by bar and session, with a forward total-return index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from eraflow.sources import bars as bars_of_ticker
from eraflow.sources.calendar import Calendars


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
    rows, names = raw, [*bars_of_ticker.READ]
    if anchors is not None:
        rows = raw.join(F.broadcast(anchors), on="ticker", how="left")
        rows = rows.where((F.col("date") == F.col("anchor_date")) | (F.col("date") >= F.lit(first)))
        names += bars_of_ticker.ANCHOR
    # A window has Spark bring the rows of a ticker together, in the order of dates, only where they are not so yet.
    place = F.row_number().over(Window.partitionBy("ticker").orderBy("date"))
    sessions = {name: np.array(days.dates, "datetime64[D]") for name, days in calendars.by_country.items()}
    make = bars_of_ticker.Bars(sessions, dict(policies), first)
    return rows.select(place.alias("place"), *names).mapInArrow(make, bars_of_ticker.SCHEMA)


def kept(prices: DataFrame) -> DataFrame:
    """The rows of the `prices` table that no policy has dropped."""
    return prices.where(F.col("bar").isNotNull())


def tickers(prices: DataFrame) -> list[str]:
    """The tickers of the `prices` table, sorted: some thousand."""
    return sorted(row["ticker"] for row in prices.select("ticker").distinct().collect())
