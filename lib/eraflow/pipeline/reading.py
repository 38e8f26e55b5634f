"""What jobs read off the tables: trading days, label spans, the training table as models see it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from operator import attrgetter

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.models.base import Training
from eraflow.tables import Store, Version
from eraflow.validation import EraSpan


def label_spans(eras: DataFrame, horizon: int) -> tuple[list[EraSpan], dict[int, date]]:
    """The eras whose label has ended, with the dates from the era's own to that end; and the date of every era.

    A span starts at the era's date, not at the label's first price: a prediction is made on that date, and only labels
    that had ended before it could have been learned. One row an era.
    """
    rows = eras.where(F.col("horizon") == horizon).orderBy("era").collect()
    spans = [EraSpan(row["era"], row["date"], row["label_end"]) for row in rows if row["label_end"] is not None]
    return spans, {row["era"]: row["date"] for row in rows}


def reaching(spans: Sequence[EraSpan], others: Sequence[EraSpan]) -> list[EraSpan]:
    """The spans, each as long as the longest label of its era that has ended: of one target, or of another one."""
    ends = {span.era: span.end for span in others}
    return [max(span, replace(span, end=ends.get(span.era, span.end)), key=attrgetter("last")) for span in spans]


def label_overlap(eras: DataFrame, horizon: int) -> int:
    """How many consecutive eras share returns with one of them: scores are correlated that far. One row an era."""
    rows = eras.where((F.col("horizon") == horizon) & F.col("label_end").isNotNull()).orderBy("era").collect()
    starts = [row["label_start"] for row in rows]
    return max((bisect_left(starts, row["label_end"]) - position for position, row in enumerate(rows)), default=1)


def label_reach(spans: Sequence[EraSpan], era_dates: Mapping[int, date]) -> int:
    """The most eras from a label's own to the last one on whose date it has not ended before: one later it is known."""
    eras = sorted(era_dates)
    days = [era_dates[era] for era in eras]
    return max((eras[bisect_right(days, span.end) - 1] - span.era for span in spans), default=1)


def training(store: Store, version: Version, target: str) -> Training:
    """The training table as models see it, read at one version."""
    manifest = version.manifest
    names, missing = tuple(manifest["features"]), int(manifest["missing"])
    return Training(store.read(version), names, target, missing, families=manifest["families"])
