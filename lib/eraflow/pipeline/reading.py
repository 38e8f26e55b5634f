"""What jobs read off the tables: trading days, label spans, the training table as models see it."""

from __future__ import annotations

from bisect import bisect_left
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.models.base import Training
from eraflow.sources.calendar import Calendars
from eraflow.tables import Store, Version
from eraflow.validation import EraSpan


def calendars(prices: DataFrame) -> Calendars:
    """The trading days of the `prices` table: one row a country and day, some thousand for each country."""
    days: dict[str, list[date]] = {}
    for row in prices.select("country", "date").distinct().collect():
        days.setdefault(row["country"], []).append(row["date"])
    return Calendars.of(days)


def label_spans(eras: DataFrame, horizon: int) -> tuple[list[EraSpan], dict[int, date]]:
    """The eras whose label has ended, with the dates from the era's own to that end; and the date of every era.

    A span starts at the era's date, not at the label's first price: a prediction is made on that date, and only labels
    that had ended before it could have been learned. One row an era.
    """
    rows = eras.where(F.col("horizon") == horizon).orderBy("era").collect()
    spans = [EraSpan(row["era"], row["date"], row["label_end"]) for row in rows if row["label_end"] is not None]
    return spans, {row["era"]: row["date"] for row in rows}


def label_overlap(eras: DataFrame, horizon: int) -> int:
    """How many consecutive eras share returns with one of them: scores are correlated that far. One row an era."""
    rows = eras.where((F.col("horizon") == horizon) & F.col("label_end").isNotNull()).orderBy("era").collect()
    starts = [row["label_start"] for row in rows]
    return max((bisect_left(starts, row["label_end"]) - position for position, row in enumerate(rows)), default=1)


def training(store: Store, version: Version, target: str) -> Training:
    """The training table as models see it, read at one version."""
    manifest = version.manifest
    return Training(store.read(version), tuple(manifest["features"]), target, int(manifest["missing"]))
