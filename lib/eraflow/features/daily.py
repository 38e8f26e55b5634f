"""The daily feature table: one row a ticker and day, one array a family, built by one chain of windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.features.feature import MARKET, SECTOR, Feature
from eraflow.features.plan import inputs_of, with_series
from eraflow.features.resume import SPACING, history, recursions, resumed
from eraflow.features.series import Series
from eraflow.features.sets import EXPOSURES, columns, families

# Daily returns enter a mean over tickers clipped to this and as whole multiples of 1e-12: a sum of integers does not
# depend on the order in which Spark meets the rows, so that cutting or re-reading a file changes no bit of it.
MEAN_CLIP, MEAN_UNIT = 0.5, 1e-12
KEYS = ("ticker", "date", "session", "country")


def daily_features(prices: DataFrame, features: Sequence[Feature]) -> DataFrame:
    """The daily features of all of `prices`.

    `ticker, date, session, country, bar, year`; a double array for each family and `exposures`;
    `ranked array<float>`; `states array<double>`. Array elements follow `sets.columns`; an element is null while its
    look-back is not filled. `ranked` holds what is compared across tickers: the outputs without a scale, rounded to
    float so that no rounding noise parts equals. `states` is what `later_features` goes on from, null at most bars.
    """
    outputs = _outputs(features)
    bars = _bars(prices, prices, outputs)
    return _packed(with_series(bars, outputs, _KEPT, recursions(outputs.values()), SPACING), features)


def later_features(
    prices: DataFrame, features: Sequence[Feature], earlier: DataFrame, first: date, last: date | None = None
) -> DataFrame:
    """The daily features from `first` to `last`, equal to `daily_features` of these days, from a part of the history.

    `earlier` holds daily features of the same set from before `first`. Of each ticker as many bars before `first` are
    read as its features look back, and the states that recursive ones had there.
    """
    outputs = _outputs(features)
    needed = history(outputs.values()) + 1  # every state is set before the first new bar
    to_last = prices if last is None else prices.where(F.col("date") <= F.lit(last))
    # One row a ticker: some thousand.
    starts = (
        to_last.where(F.col("date") >= F.lit(first))
        .groupBy("ticker")
        .agg(F.greatest(F.lit(0), F.floor((F.min("bar") - needed) / SPACING) * SPACING).cast("int").alias("start"))
    )
    states = (
        earlier.where((F.col("date") < F.lit(first)) & F.col("states").isNotNull())
        .join(F.broadcast(starts), on="ticker", how="inner")
        .where(F.col("bar") >= F.col("start"))
        .select("ticker", "date", "states")
    )
    recent = (
        to_last.join(F.broadcast(starts), on="ticker", how="inner")
        .where(F.col("bar") >= F.col("start"))
        .join(states, on=["ticker", "date"], how="left")
    )
    going_on = resumed(outputs)
    bars = _bars(recent, to_last, going_on.outputs)
    wide = with_series(bars, going_on.outputs, _KEPT, going_on.states, SPACING)
    return _packed(wide.where(F.col("date") >= F.lit(first)), features)


def reads_sectors(features: Sequence[Feature]) -> bool:
    """Whether daily features depend on which sector a ticker is of."""
    return SECTOR.name in inputs_of(_outputs(features).values())


_KEPT = (*KEYS, "bar", "year")


def _outputs(features: Sequence[Feature]) -> dict[str, Series]:
    outputs = {name: output.raw for name, output in columns([*features, *EXPOSURES]).items()}
    return outputs | {f"ranked_{name}": output.ranked for name, output in columns(features).items()}


def _packed(wide: DataFrame, features: Sequence[Feature]) -> DataFrame:
    arrays = [F.array(*names).alias(family) for family, names in families([*features, *EXPOSURES]).items()]
    ranked = F.array(*(f"ranked_{name}" for name in columns(features))).cast("array<float>").alias("ranked")
    return wide.select(*_KEPT, *arrays, ranked, "states")


def _bars(prices: DataFrame, universe: DataFrame, outputs: Mapping[str, Series]) -> DataFrame:
    """The inputs of the series: prices scaled to the total-return index, raw close, volume, means over tickers."""
    wanted = inputs_of(outputs.values())
    scale = F.col("total_return") / F.col("close")
    scaled = {name: F.col(name) * scale for name in ("open", "high", "low", "close")}
    if MARKET.name in wanted:
        by_country = _mean_return(universe, ["date", "country"], MARKET.name)
        prices = prices.join(F.broadcast(by_country), on=["date", "country"], how="left")
    if SECTOR.name in wanted:
        by_sector = _mean_return(universe, ["date", "sector"], SECTOR.name)
        prices = prices.join(F.broadcast(by_sector), on=["date", "sector"], how="left")
    others = [name for name in (MARKET.name, SECTOR.name, "start", "states") if name in wanted]
    return prices.select(
        *_KEPT,
        *(column.alias(name) for name, column in scaled.items()),
        (F.col("close") * F.col("rate")).alias("raw_close"),
        "volume",
        *others,
    )


def _mean_return(universe: DataFrame, by: Sequence[str], name: str) -> DataFrame:
    """The mean daily return of the members by date and country, or sector: small enough to broadcast."""
    clipped = F.least(F.greatest(F.col("daily_return"), F.lit(-MEAN_CLIP)), F.lit(MEAN_CLIP))
    units = F.round(clipped / MEAN_UNIT).cast("long")
    mean = F.sum(units) / F.count(units) * MEAN_UNIT
    return universe.where(F.col("member") & F.col("daily_return").isNotNull()).groupBy(*by).agg(mean.alias(name))
