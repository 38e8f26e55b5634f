"""Which days of the raw prices are sessions of a country, and whether enough tickers traded on them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from eraflow.errors import InputError
from eraflow.sources.calendar import Calendar, Calendars


def trading_days(raw: DataFrame, where: str, min_tickers: int, before: Calendars | None = None) -> Calendars:
    """The sessions of each country; `before` are those of rows that are in the table and not in `raw`.

    InputError: there are no rows, or an era has too few tickers.
    """
    # One row a country and trading day: some thousand for each country.
    counts = raw.groupBy("country", "date").count().collect()
    if not counts and not before:
        raise InputError(f"{where} holds no rows; name files with prices in them.")
    tickers: dict[str, dict[datetime.date, int]] = {}
    for row in counts:
        tickers.setdefault(row["country"], {})[row["date"]] = row["count"]
    calendars = Calendars.of(tickers, before)
    for country, days in tickers.items():
        _refuse_thin_eras(calendars.by_country[country], days, f"{where}: {country}" if country else where)
    _refuse_few_tickers(calendars, tickers, where, min_tickers)
    return calendars


def numbered(spark: SparkSession, calendars: Calendars) -> DataFrame:
    """`country, date, session`: one row a country and trading day, some thousand for each country."""
    rows = [(country, day, n) for country, days in calendars.by_country.items() for n, day in enumerate(days.dates)]
    return spark.createDataFrame(pd.DataFrame(rows), "country string, date date, session int")


def _refuse_thin_eras(calendar: Calendar, tickers: Mapping[datetime.date, int], where: str) -> None:
    """Far fewer than on the week's other days: a stray row, or a date that lacks most of its prices."""
    most: dict[int, int] = {}  # by Monday, the tickers of the week's fullest day
    for day, count in tickers.items():
        monday = day.toordinal() - day.weekday()
        most[monday] = max(count, most.get(monday, 0))
    for era, day in calendar.eras.items():
        fullest = most.get(day.toordinal() - day.weekday(), 0)
        if day in tickers and tickers[day] < fullest // 2:
            raise InputError(
                f"{where}: on {day} (era {era}) only {tickers[day]} tickers have a price, fewer than half of that "
                f"week's {fullest}; add the missing prices, or cut that date away."
            )


def _refuse_few_tickers(
    calendars: Calendars, tickers: Mapping[str, Mapping[datetime.date, int]], where: str, least: int
) -> None:
    found: dict[int, int] = {}
    for era, country, day in calendars.era_days:
        found[era] = found.get(era, 0) + tickers.get(country, {}).get(day, 0)
    for era, day in calendars.eras.items():
        if 0 < found[era] < least:
            raise InputError(
                f"{where}: on {day} (era {era}) only {found[era]} tickers have a price, fewer than {least} "
                "(prices.min_tickers); add the missing prices, cut that date away, or lower the minimum."
            )
