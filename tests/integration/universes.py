"""Many invented universes by one Spark run, and how a cheap model scores in each by the product's folds and scores.

Universes stand one after another in time, so that no two share a day: their markets, eras and cross-sections stay
apart, and prices, features and targets come from the product's own functions as if they were one long history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow import config
from eraflow.features import cross_section
from eraflow.features.daily import daily_features
from eraflow.features.feature import Feature
from eraflow.features.momentum import VolScaledReturn
from eraflow.features.ranking import Ranking
from eraflow.features.sets import MOMENTUM
from eraflow.features.technical import Rsi
from eraflow.features.training import training_table
from eraflow.graphs.assets import NAMES, NETWORK, graph_edges, learned_graphs, network_momentum, with_network
from eraflow.graphs.history import Ensemble
from eraflow.packages import Source
from eraflow.scoring import mean_interval, numerai_corr
from eraflow.sources import prices, reference, synthetic
from eraflow.sources.calendar import Calendar, Calendars, Label
from eraflow.sources.fault_rows import marked
from eraflow.sources.raw_prices import COLUMNS, RawPrices
from eraflow.spans import EraSpan
from eraflow.ticker_rows import TickerRows
from eraflow.validation import WalkForward

TARGETS = config.load([], []).targets  # the demo's: which target is learned, its horizon, lag and exposures
HORIZON = TARGETS.names[TARGETS.main]
FEATURES = (VolScaledReturn(21), VolScaledReturn(63), VolScaledReturn(126), Rsi(14))
WARM_UP = 26  # weeks before the first era that counts: the longest feature is known then
OVERLAP = 5  # weekly eras that a label of 2 + 20 days runs over
FIRST_DAY, GAP = date(1900, 1, 1), 3  # a Monday; weeks between two universes
RIDGE = 0.1


@dataclass(frozen=True)
class Shape:
    """What the universes of one run have in common."""

    tickers_per_sector: int
    weeks: int
    momentum: float  # strength of the planted effect, as in conf; 0 = unpredictable noise
    sectors: int = 2
    network: float = 0.0  # the same of the neighbours' momentum
    ring: int | None = None  # who is a neighbour: hidden rings of so many tickers
    linkage: float = 0.0  # share of their shocks that neighbours have in common, by which a graph can find them
    ensemble: Ensemble | None = None  # with one the features are momentum and network momentum
    warm_up: int = WARM_UP
    alone: bool = False  # without an ensemble too, the features are those of momentum

    @property
    def features(self) -> tuple[Feature, ...]:
        return MOMENTUM if self.ensemble or self.alone else FEATURES


@dataclass(frozen=True)
class Universe:
    seed: int
    spans: tuple[EraSpan, ...]
    levels: npt.NDArray[np.float64]  # eras x tickers x features, centred: -1 .. 1
    target: npt.NDArray[np.float64]  # eras x tickers

    def permuted(self) -> Universe:
        """The targets of each ticker given to another one, to the same one in all eras."""
        order = np.random.default_rng([self.seed, 1]).permutation(self.target.shape[1])
        return replace(self, target=self.target[:, order])

    def unpurged(self) -> Universe:
        """The same universe with labels that seem to last no time, so that a splitter purges nothing."""
        return replace(self, spans=tuple(EraSpan(span.era, span.era, span.era) for span in self.spans))


@dataclass(frozen=True)
class Score:
    """Mean of numerai_corr over a universe's out-of-fold eras, and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def found(self) -> bool:
        return self.low > 0

    @property
    def rejects(self) -> bool:
        """The interval says that the mean is not 0, on either side."""
        return not self.low <= 0 <= self.high


def universes(spark: SparkSession, shape: Shape, seeds: Sequence[int]) -> list[Universe]:
    histories = {seed: _days(shape, place) for place, seed in enumerate(seeds)}
    labels = {seed: _labels(days, shape.warm_up) for seed, days in histories.items()}
    everything = Calendars.of({"": (day for days in histories.values() for day in days)})
    era_of = {day: era for era, day in everything.eras.items()}
    eras = [(era_of[label.date], "", label.date) for of_seed in labels.values() for label in of_seed]
    policies = config.load([], []).quality.model_dump()
    bars = prices.bars(_raw(spark, shape, histories), everything, policies).withColumn("masked", F.lit(False)).cache()
    daily, ranking = daily_features(bars, shape.features), Ranking(shape.features)
    if shape.ensemble:
        daily = _with_network(daily.cache(), shape.ensemble, everything, {era: day for era, _, day in eras})
        ranking = Ranking([*MOMENTUM, *NETWORK])
    table = training_table(
        daily,
        bars,
        eras,
        everything.sessions,
        ranking,
        [HORIZON],
        TARGETS.lag,
        TARGETS.exposures,
        era_block=100,
    )
    rows = table.select("id", "era", "features", TARGETS.main).toPandas().sort_values(["era", "id"])
    spark.catalog.clearCache()
    return [_universe(rows, seed, of_seed, era_of) for seed, of_seed in labels.items()]


def score(universe: Universe, splitter: WalkForward) -> Score:
    """Ridge on centred levels, fitted and scored fold by fold."""
    return _score(era_scores(universe, splitter, slice(None)))


def gain(universe: Universe, splitter: WalkForward) -> Score:
    """What network momentum adds: the score of both less that of momentum alone, era by era."""
    momentum = slice(len(MOMENTUM))
    return _score(era_scores(universe, splitter, slice(None)) - era_scores(universe, splitter, momentum))


def era_scores(universe: Universe, splitter: WalkForward, features: slice) -> npt.NDArray[np.float64]:
    place = {span.era: at for at, span in enumerate(universe.spans)}
    levels, values = universe.levels[:, :, features], []
    for fold in splitter.split(universe.spans):
        train = [place[era] for era in fold.train]
        weights = _ridge(levels[train], universe.target[train])
        for era in (place[era] for era in fold.validation):
            prediction = pd.Series(levels[era] @ weights)
            values.append(numerai_corr(prediction, pd.Series(universe.target[era])))
    return np.array(values)


def _score(values: npt.NDArray[np.float64]) -> Score:
    interval = mean_interval(values, OVERLAP)
    assert interval, f"{len(values)} eras are too few for an interval"
    return Score(float(np.mean(values)), *interval)


def _with_network(daily: DataFrame, ensemble: Ensemble, days: Calendars, eras: dict[int, date]) -> DataFrame:
    momentum = [F.get("momentum", F.lit(place)).alias(name) for place, name in enumerate(NAMES)]
    history = daily.select("ticker", "date", F.lit(True).alias("member"), *momentum)
    tickers = [row["ticker"] for row in daily.select("ticker").distinct().collect()]
    dates = sorted(day for calendar in days.by_country.values() for day in calendar.dates)
    edges = graph_edges(learned_graphs(history, sorted(tickers), dates, eras, ensemble, era_block=100))
    at_eras = history.join(F.broadcast(_eras(daily, eras)), on="date", how="inner")
    return with_network(daily, network_momentum(at_eras, edges, {era: era for era in eras}))


def _eras(frame: DataFrame, eras: dict[int, date]) -> DataFrame:
    return frame.sparkSession.createDataFrame(list(eras.items()), "era int, date date")


def _ridge(levels: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    X, y = levels.reshape(-1, levels.shape[-1]), target.ravel() - 0.5
    return np.linalg.solve(X.T @ X + RIDGE * len(y) * np.eye(X.shape[1]), X.T @ y)


def _days(shape: Shape, place: int) -> tuple[date, ...]:
    start = FIRST_DAY + timedelta(weeks=place * (shape.weeks + GAP))
    return tuple(pd.bdate_range(start, periods=5 * shape.weeks).date)


def _labels(days: tuple[date, ...], warm_up: int) -> list[Label]:
    """The labels of one universe that end within it, without its first weeks."""
    return [x for x in Calendar(days).labels([HORIZON], TARGETS.lag) if x.end is not None and x.era > warm_up]


def _raw(spark: SparkSession, shape: Shape, histories: dict[int, tuple[date, ...]]) -> TickerRows:
    starts = {seed: days[0] for seed, days in histories.items()}

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for seed in (seed for batch in batches for seed in batch["seed"].to_pylist()):
            for sector in range(shape.sectors):
                frame = synthetic.sector_prices(
                    sector,
                    sectors=shape.sectors,
                    tickers_per_sector=shape.tickers_per_sector,
                    days=5 * shape.weeks,
                    start=starts[seed],
                    momentum=shape.momentum,
                    network=shape.network,
                    seed=seed,
                    ring=shape.ring,
                    linkage=shape.linkage,
                )
                frame = frame.assign(ticker=f"U{seed:03d}" + frame["ticker"])
                yield pa.RecordBatch.from_pandas(frame, pa.schema([*COLUMNS.items()]), preserve_index=False)

    source = Source(spark.createDataFrame([(seed,) for seed in starts], "seed int"), make)
    steps = reference.steps(spark, config.load([], []).prices)
    return RawPrices(source, spark.sparkContext.defaultParallelism).by_ticker(*steps, marked)


def _universe(rows: pd.DataFrame, seed: int, labels: Sequence[Label], era_of: dict[date, int]) -> Universe:
    spans = tuple(EraSpan(era_of[label.date], label.start, label.end) for label in labels)
    labelled = rows[rows["era"].between(spans[0].era, spans[-1].era)]
    levels = np.array(labelled["features"].tolist(), dtype=np.float64)
    middle = (cross_section.LEVELS - 1) / 2
    centred = np.where(levels == cross_section.MISSING, 0.0, (levels - middle) / middle)
    target = labelled[TARGETS.main].to_numpy(dtype=np.float64).reshape(len(spans), -1)
    return Universe(seed, spans, centred.reshape(*target.shape, -1), target)
