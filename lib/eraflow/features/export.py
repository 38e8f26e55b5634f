"""A feature table as plain parquet, one column a feature, for readers without Spark."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.features.feature import Feature
from eraflow.features.sets import EXPOSURES, columns, families


def plain(daily: DataFrame, prices: DataFrame, features: Sequence[Feature]) -> DataFrame:
    """`date, ticker, session, sector` (of the prices) and a double column for each feature and exposure, sorted."""
    arrays = families([*features, *EXPOSURES])
    values = [
        F.get(family, F.lit(place)).alias(name) for family, names in arrays.items() for place, name in enumerate(names)
    ]
    sectors = prices.select("date", "ticker", "sector")
    rows = daily.join(sectors, on=["date", "ticker"], how="left")
    frame = rows.select("date", "ticker", "session", "sector", *values)
    return frame.repartitionByRange("date").sortWithinPartitions("date", "ticker")


def dictionary(features: Sequence[Feature]) -> pd.DataFrame:
    """One row for each column of `plain`: `column, type, family, meaning`."""
    keys = [
        ("date", "date", "key", "The day; what stands in its row was known at its close"),
        ("ticker", "string", "key", "As the price files name it"),
        ("session", "int", "key", "Number of the trading day, from 0"),
        ("sector", "string", "key", "As the price files name it"),
    ]
    rows = [
        (name, "double", feature.family, feature.meaning)
        for feature in [*features, *EXPOSURES]
        for name in columns([feature])
    ]
    return pd.DataFrame(keys + rows, columns=["column", "type", "family", "meaning"])
