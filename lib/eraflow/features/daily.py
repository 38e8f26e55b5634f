"""The daily feature table: one row a ticker and day, one array a family, by windows or by kernels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.features.feature import MARKET, SECTOR, Feature
from eraflow.features.kernels.program import Program, program
from eraflow.features.kernels.tables import Table, computed
from eraflow.features.plan import inputs_of, with_series
from eraflow.features.resume import history, recursions, resumed
from eraflow.features.series import SPACING, Series
from eraflow.features.sets import EXPOSURES, columns, families
from eraflow.features.windows import lowered
from eraflow.packages import parts

# Daily returns enter a mean over tickers clipped to this and as whole multiples of 1e-12: a sum of integers does not
# depend on the order in which Spark meets the rows, so that cutting or re-reading a file changes no bit of it.
MEAN_CLIP, MEAN_UNIT = 0.5, 1e-12
KEYS = ("ticker", "date", "session", "country")
_DAYS_A_BAR = 2  # more than there are, holidays and some rest included
_LONGEST = 36_525  # days that are searched for where a ticker begins: a century


Engine = Literal["windows", "kernels"]
Days = Mapping[str, Sequence[date]]  # by country, ascending


def daily_features(
    prices: DataFrame, features: Sequence[Feature], engine: Engine = "windows", days: Days | None = None
) -> DataFrame:
    """The daily features of all of `prices`; where `days` names some of each country, of these and of rows with states.

    `ticker, date, session, country, bar, year`; a double array for each family and `exposures`;
    `ranked array<float>`; `states array<double>`. Array elements follow `sets.columns`; an element is null while its
    look-back is not filled. `ranked` holds what is compared across tickers: the outputs without a scale, rounded to
    float so that no rounding noise parts equals. `states` is what `later_features` by the same engine goes on from,
    null at most bars.
    """
    outputs = _outputs(features)
    bars = _bars(prices, prices, inputs_of(outputs.values()))
    if engine == "kernels":
        return computed(bars, _table(program(outputs), features, days), parts(prices))
    in_windows = lowered(outputs)
    wide = with_series(bars, in_windows, _KEPT, recursions(in_windows.values()), SPACING)
    return _packed(_of_days(wide, days), features)


def later_features(
    prices: DataFrame,
    features: Sequence[Feature],
    earlier: DataFrame,
    first: date,
    last: date | None = None,
    engine: Engine = "windows",
    days: Days | None = None,
) -> DataFrame:
    """The daily features from `first` to `last`, equal to `daily_features` of these days, from a part of the history.

    `earlier` holds daily features of the same set and engine from before `first`; `days` are as there. Of each ticker
    as many bars before `first` are read as its features look back, and the states that recursive ones had there.
    """
    outputs = _outputs(features)
    to_last = prices if last is None else prices.where(F.col("date") <= F.lit(last))
    inputs = inputs_of(outputs.values()) | {"states"}
    if engine == "kernels":
        made = program(outputs)
        part = part_for(to_last, first, made.history)
        universe = part.of(to_last)
        bars = _bars(part.with_states(universe, earlier, first), universe, inputs)
        return computed(bars, _table(made, features, days, first), parts(universe, are_some_days=True))
    in_windows = lowered(outputs)
    going_on = resumed(in_windows)
    part = part_for(to_last, first, history(in_windows.values()))
    universe = part.of(to_last)
    bars = _bars(part.with_states(universe, earlier, first), universe, inputs | {"start"})
    wide = with_series(bars, going_on.outputs, _KEPT, going_on.states, SPACING)
    return _packed(_of_days(wide.where(F.col("date") >= F.lit(first)), days), features)


def _of_days(wide: DataFrame, days: Days | None) -> DataFrame:
    if days is None:
        return wide
    rows = pd.DataFrame([(country, day, True) for country, its in days.items() for day in its])
    wanted = wide.sparkSession.createDataFrame(rows, "country string, date date, is_wanted boolean")
    named = wide.join(F.broadcast(wanted), on=["country", "date"], how="left")
    return named.where("is_wanted OR states IS NOT NULL").drop("is_wanted")


@dataclass(frozen=True)
class HistoryPart:
    """What of the history new days are computed from.

    `starts`: the bar of each ticker with new days from which on it is read; none of them is of a day before `since`,
    which is date.min where all days are read.
    """

    starts: Mapping[str, int]
    since: date

    def of(self, rows: DataFrame) -> DataFrame:
        """The rows of all tickers on the days that any of them is read from: no older file is opened."""
        return rows if self.since == date.min else rows.where(F.col("date") >= F.lit(self.since))

    def with_states(self, universe: DataFrame, earlier: DataFrame, first: date) -> DataFrame:
        """What of `universe` (`of`) days from `first` on need, with `start`, its first bar, and `states` before."""
        starts = universe.sparkSession.createDataFrame([*self.starts.items()], "ticker string, start int")
        is_read = F.col("bar") >= F.col("start")
        states = (
            self.of(earlier)
            .where((F.col("date") < F.lit(first)) & F.col("states").isNotNull())
            .join(F.broadcast(starts), on="ticker", how="inner")
            .where(is_read)
            .select("ticker", "date", "states")
        )
        return (
            universe.join(F.broadcast(starts), on="ticker", how="inner")
            .where(is_read)
            .join(states, on=["ticker", "date"], how="left")
        )


def part_for(prices: DataFrame, first: date, looks_back: int) -> HistoryPart:
    """What the days from `first` on need: so many bars of a ticker before, and the bar with states before these."""
    needed = looks_back + 1  # every state is set before the first new bar
    days = _DAYS_A_BAR * (needed + SPACING)
    while True:
        part = HistoryPart({}, first - timedelta(days) if days < _LONGEST else date.min)
        new = F.min(F.when(F.col("date") >= F.lit(first), F.col("bar"))).alias("new")
        oldest = F.min("bar").alias("oldest")
        by_ticker = part.of(prices).groupBy("ticker").agg(oldest, new)
        rows = by_ticker.where(F.col("new").isNotNull()).collect()  # one row a ticker: some thousand
        starts = {row["ticker"]: max(0, (row["new"] - needed) // SPACING * SPACING) for row in rows}
        if part.since == date.min or all(row["oldest"] <= starts[row["ticker"]] for row in rows):
            return HistoryPart(starts, part.since)
        days *= 4  # a ticker has rested for long


def reads_sectors(features: Sequence[Feature]) -> bool:
    """Whether daily features depend on which sector a ticker is of."""
    return SECTOR.name in inputs_of(_outputs(features).values())


_KEPT = (*KEYS, "bar", "year")


def _outputs(features: Sequence[Feature]) -> dict[str, Series]:
    outputs = {name: output.raw for name, output in columns([*features, *EXPOSURES]).items()}
    return outputs | {f"ranked_{name}": output.ranked for name, output in columns(features).items()}


def _table(made: Program, features: Sequence[Feature], days: Days | None, first: date | None = None) -> Table:
    ranked = [f"ranked_{name}" for name in columns(features)]
    arrays = families([*features, *EXPOSURES]) | {"ranked": ranked}
    dates = None if days is None else {country: np.array(its, "datetime64[D]") for country, its in days.items()}
    return Table(made, _KEPT, arrays, frozenset({"ranked"}), first, dates)


def _packed(wide: DataFrame, features: Sequence[Feature]) -> DataFrame:
    arrays = [F.array(*names).alias(family) for family, names in families([*features, *EXPOSURES]).items()]
    ranked = F.array(*(f"ranked_{name}" for name in columns(features))).cast("array<float>").alias("ranked")
    return wide.select(*_KEPT, *arrays, ranked, "states")


def _bars(prices: DataFrame, universe: DataFrame, wanted: Collection[str]) -> DataFrame:
    """The inputs of the series: prices and volume scaled to the total-return index and raw, means over tickers."""
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
        (F.col("volume") / scale).alias("adjusted_volume"),
        *others,
    )


def _mean_return(universe: DataFrame, by: Sequence[str], name: str) -> DataFrame:
    """The mean daily return of the members by date and country, or sector: small enough to broadcast."""
    clipped = F.least(F.greatest(F.col("daily_return"), F.lit(-MEAN_CLIP)), F.lit(MEAN_CLIP))
    units = F.round(clipped / MEAN_UNIT).cast("long")
    mean = F.sum(units) / F.count(units) * MEAN_UNIT
    return universe.where(F.col("member") & F.col("daily_return").isNotNull()).groupBy(*by).agg(mean.alias(name))
