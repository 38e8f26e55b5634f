"""The daily feature table: one row a ticker and day, one array a family, built by one chain of windows."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.features.indicators import Feature
from eraflow.features.plan import with_series
from eraflow.features.series import Series
from eraflow.features.sets import EXPOSURES, columns, families

# Daily returns enter the market's mean clipped to this and as whole multiples of 1e-12: a sum of integers does not
# depend on the order in which Spark meets the rows, so that cutting or re-reading a file changes no bit of it.
MARKET_CLIP, MARKET_UNIT = 0.5, 1e-12
KEYS = ("ticker", "date", "session", "sector")


def daily_features(prices: DataFrame, features: Sequence[Feature]) -> DataFrame:
    """`ticker, date, session, sector`; a double array for each family and `exposures`; `ranked array<float>`.

    Array elements follow `sets.columns`; an element is null while its look-back is not filled. `ranked` holds what
    is compared across tickers: the outputs without a scale, rounded to float so that no rounding noise parts equals.
    """
    outputs: dict[str, Series] = {name: output.raw for name, output in columns([*features, *EXPOSURES]).items()}
    ranked = {f"ranked_{name}": output.ranked for name, output in columns(features).items()}
    wide = with_series(_bars(prices), {**outputs, **ranked}, KEYS)
    arrays = [F.array(*names).alias(family) for family, names in families([*features, *EXPOSURES]).items()]
    return wide.select(*KEYS, *arrays, F.array(*ranked).cast("array<float>").alias("ranked"))


def _bars(prices: DataFrame) -> DataFrame:
    """The inputs of the indicators: prices scaled to the total-return index, raw close, volume, the market's return."""
    scale = F.col("total_return") / F.col("close")
    return prices.join(F.broadcast(_market(prices)), on="date", how="left").select(
        *KEYS,
        "bar",
        (F.col("high") * scale).alias("high"),
        (F.col("low") * scale).alias("low"),
        (F.col("close") * scale).alias("close"),
        F.col("close").alias("raw_close"),
        "volume",
        "market_return",
    )


def _market(prices: DataFrame) -> DataFrame:
    """The universe's mean daily return by date: one row a trading day, small enough to broadcast."""
    clipped = F.least(F.greatest(F.col("daily_return"), F.lit(-MARKET_CLIP)), F.lit(MARKET_CLIP))
    units = F.round(clipped / MARKET_UNIT).cast("long")
    mean = F.sum(units) / F.count(units) * MARKET_UNIT
    return prices.where(F.col("daily_return").isNotNull()).groupBy("date").agg(mean.alias("market_return"))
