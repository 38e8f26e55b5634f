"""Columns of Numerai's parquet files, as Spark reads them, as our types."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

# The types of a file's columns that are read as dates.
DATE_TYPES = ("string", "date", "timestamp", "timestamp_ntz", "bigint")
# A smaller number is no time in nanoseconds since 1970 that they could have, but a date like 20200131.
_LEAST_NANOSECONDS = 10**15


def as_date(column: Column, given: str) -> Column:
    """The column as a date, null where its value is none; `given` is one of DATE_TYPES."""
    if given == "bigint":
        # pandas' datetime64[ns], which the session reads as whole nanoseconds since 1970
        days = F.timestamp_seconds(F.floor(column / 1_000_000_000)).cast("date")
        return F.when(F.abs(column) >= _LEAST_NANOSECONDS, days)
    return (F.trim(column) if given == "string" else column).cast("date")
