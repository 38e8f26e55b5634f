"""The table `eras`: for each era and horizon the days on which its label starts and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame, Row, SparkSession

from eraflow.sources.calendar import Label
from eraflow.spans import EraSpan, overlapping

SCHEMA = "era int, date date, horizon int, label_start date, label_end date"


def labels(spark: SparkSession, found: Sequence[Label]) -> DataFrame:
    """A row for each label, of the columns of SCHEMA, in one file."""
    rows = [(label.era, label.date, label.horizon, label.start, label.end) for label in found]
    return spark.createDataFrame(rows, SCHEMA).coalesce(1)


@dataclass(frozen=True)
class Labels:
    """What the table says of one horizon.

    `spans` are of the eras whose label has ended, from the era's own date on: a prediction is made on that date, and
    only labels that had ended before it could have been learned. `dates` are of all eras. `overlap`: how many
    consecutive eras share returns with one of them; scores are correlated that far.
    """

    spans: Sequence[EraSpan]
    dates: Mapping[int, date]
    overlap: int


def labels_of(eras: DataFrame) -> dict[int, Labels]:
    """The labels in the table by horizon, read at once."""
    rows = sorted(eras.collect(), key=lambda row: row["era"])  # a row an era and horizon
    return {horizon: _labels(rows, horizon) for horizon in sorted({row["horizon"] for row in rows})}


def _labels(rows: Sequence[Row], horizon: int) -> Labels:
    its = [row for row in rows if row["horizon"] == horizon]
    ended = [row for row in its if row["label_end"] is not None]
    spans = [EraSpan(row["era"], row["date"], row["label_end"]) for row in ended]
    overlap = overlapping([row["label_start"] for row in ended], [row["label_end"] for row in ended])
    return Labels(spans, {row["era"]: row["date"] for row in its}, overlap)
