"""What a run's predictions are held against, as the config chooses it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd
from pyspark.sql import DataFrame

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.features.packing import PackedSets
from eraflow.models.base import Training
from eraflow.scoring import FeatureSet, References
from eraflow.scoring import strategy as portfolio
from eraflow.scoring.strategy import Holding
from eraflow.sources.classic_files import Folder
from eraflow.sources.classic_models import EXAMPLE, other_models
from eraflow.sources.signals_neutralizers import NEUTRALIZERS, WEIGHTS, neutralizers
from eraflow.tables import Store, Version

LEARNED = "own"  # the features that models learn from
ASSET = "regexp_replace(id, '_[^_]*$', '')"  # of Signals, where an id is TICKER_DATE: the same in all eras


def signals_references(
    config: Config, store: Store, training: Training, signals: DataFrame | None, first_week: date | None
) -> References:
    """The features that models learn from, where they are asked for, and Numerai Signals' neutralisers where there are.

    `signals` is the table of Numerai's rows, where there is one, `first_week` the Saturday on which era 1 begins.
    InputError: another feature set is asked for.
    """
    sets = config.scoring.feature_sets
    if strange := [name for name in sets if name != LEARNED]:
        raise InputError(
            f"scoring.feature_sets: there is no set {strange[0]!r} of price features; take [{LEARNED}] or []."
        )
    price_features = {LEARNED: FeatureSet("features", training.feature_names, training.missing)} if sets else {}
    rows = training.table.select("id", "era")
    others = neutralizers(store.spark, config.signals, rows, signals, first_week)
    present = {column for part in others for column in part.columns}
    return References(
        (*([training.table.select("id", "era", "features")] if sets else []), *others),
        features=price_features,
        neutralizers=NEUTRALIZERS if NEUTRALIZERS in present else None,
        weights=WEIGHTS if WEIGHTS in present else None,
    )


def classic_references(
    config: Config, store: Store, folder: Folder, feature_sets: PackedSets, packed: Version
) -> References:
    """Meta model, benchmark models, example predictions and feature sets, as far as they are there and asked for."""
    others = other_models(store.spark, folder, config.scoring.benchmarks)
    rows = store.read(packed)
    example = []
    if others.example is not None:
        example = [others.example.join(rows.select("id", "era"), on="id", how="inner")]
    columns, sets = [], {}
    for name in config.scoring.feature_sets:
        chosen = config.classic.features if name == LEARNED else (name,)
        names, array = feature_sets.chosen(chosen, "scoring.feature_sets")
        columns.append(array.alias(f"features_of_{name}"))
        sets[name] = FeatureSet(f"features_of_{name}", names, int(packed.manifest["missing"]))
    features = (rows.select("id", "era", *columns),) if sets else ()
    return References(
        (*others.parts, *features, *example),
        others.meta_model,
        others.benchmarks,
        sets,
        example=EXAMPLE if example else None,
    )


@dataclass(frozen=True)
class Strategy:
    """What portfolios of the predictions would have earned."""

    performance: pd.DataFrame  # model, cost_bp, annual_return, ...
    daily: pd.DataFrame  # model, date, gross, turnover, leverage
    spreads: pd.DataFrame  # model, era, metric, value


def strategy(predictions: DataFrame, prices: DataFrame, holding: Holding) -> Strategy:
    """The strategy view of out-of-fold predictions, over the `prices` table."""
    histories = portfolio.histories(predictions, prices, holding).persist()
    try:
        held = portfolio.positions(histories, holding)
        # Models x days, and models x eras x quantiles.
        daily = portfolio.scaled(portfolio.daily_returns(held, histories, holding).toPandas(), holding)
        quantiles = portfolio.quantile_returns(histories).toPandas()
    finally:
        histories.unpersist()
    return Strategy(portfolio.performance(daily), daily, portfolio.spreads(quantiles))
