"""The table `eras`: for each era and horizon the days on which its label starts and ends."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from eraflow.sources.calendar import Label

SCHEMA = "era int, date date, horizon int, label_start date, label_end date"


def labels(spark: SparkSession, found: Sequence[Label]) -> DataFrame:
    """A row for each label, of the columns of SCHEMA, in one file."""
    rows = [(label.era, label.date, label.horizon, label.start, label.end) for label in found]
    return spark.createDataFrame(rows, SCHEMA).coalesce(1)
