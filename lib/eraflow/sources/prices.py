"""From raw prices to the `prices` table: checked, numbered by bar and session, with a forward total-return index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
from pyspark.sql import DataFrame

from eraflow.sources.bars import SCHEMA, Anchor, Bars
from eraflow.sources.calendar import Calendars
from eraflow.ticker_rows import TickerRows


def bars(
    raw: TickerRows,
    calendars: Calendars,
    policies: Mapping[str, str],
    anchors: Mapping[str, Anchor] | None = None,
    first: date = date.min,
) -> DataFrame:
    """The `prices` table: sound raw prices (`faults.sound`), and of each ticker its bars, sessions and total returns.

    `bar` counts 0, 1, ... by date and is null for a row that is dropped: by `policies` (conf: quality), or as a stray
    one, which has no `session` (the number of the country's trading day). `total_return` is an index that starts at the
    first raw close, `daily_return` its change since the last row that is kept (null at bar 0), `correction` the product
    of the moves that were left out of it, `flags` the quality checks that the row fails, `year` the date's. `member`
    says whether the ticker belongs to the universe that day, `rate` what a unit of its currency is worth.

    The index grows by the ratios of adjusted closes, forward from the first day, so that a later split or dividend
    changes no earlier level: a vendor's adjusted level tells the future. From a later `first` on a ticker goes on from
    its anchor (`updates.anchors`), in the unit that its prices and volumes have in the table.
    """
    sessions = {name: np.array(days.dates, "datetime64[D]") for name, days in calendars.by_country.items()}
    return raw.rows(Bars(sessions, dict(policies), dict(anchors or {}), first), SCHEMA)


def kept(prices: DataFrame) -> DataFrame:
    """The rows of the `prices` table that no policy has dropped."""
    return prices.where("bar IS NOT NULL")


def tickers(prices: DataFrame) -> list[str]:
    """The tickers of the `prices` table, sorted: some thousand."""
    return sorted(row["ticker"] for row in prices.select("ticker").distinct().collect())
