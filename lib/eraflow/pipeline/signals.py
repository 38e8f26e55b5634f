"""Numerai Signals as a run sees it: the tables that stand upstream, read at one version each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow import submission
from eraflow.config import Config
from eraflow.features.missing import COMPARED, missing_shares, refuse_missing
from eraflow.graphs.described import Described, described
from eraflow.models.base import Training
from eraflow.pipeline import signals_steps
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.reading import label_overlap, label_reach, label_spans, reaching, training
from eraflow.pipeline.scores import ASSET, signals_references, strategy
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.progress import Progress
from eraflow.scoring.strategy import Holding
from eraflow.sources import lives, quality, signals_files, signals_neutralizers
from eraflow.tables import Store

SYNTHETIC_NOTE = (
    "The prices are invented. The effects planted in them have a drift of {momentum} (momentum) and {network} "
    "(network) daily deviations; real markets pay far less."
)
UNIVERSE_NOTE = (
    "Numerai's files have no rows of the newest era's date: the submission holds all tickers that they have ever "
    "named, and Numerai takes those of its live universe."
)
SURVIVORS_NOTE = (
    "Scores rest on the tickers that the price files hold. If those were chosen by who is left today, failed companies "
    "are missing and every score is too good (survivorship bias)."
)


def dataset(store: Store, config: Config, progress: Progress, tables: Versions | None = None) -> Dataset:
    """Brings the tables up to date, unless they are given."""
    tables = tables or signals_steps.tables(Site(store, config, progress))
    target = config.targets.main
    eras, horizon = store.read(tables["eras"]), config.targets.names[target]
    horizons = {name: config.targets.names[name] for name in config.learned_targets}
    labels = {days: label_spans(eras, days) for days in dict.fromkeys(horizons.values())}
    spans, era_dates = labels[horizon]
    for others, _ in labels.values():
        spans = reaching(spans, others)  # folds are common to all models
    reach = {name: label_reach(labels[days][0], era_dates) for name, days in horizons.items()}
    overlap = label_overlap(eras, horizon)
    dates = list(era_dates.values())
    live_era, live_date = max(era_dates.items())
    data = replace(training(store, tables["training"], target), reach=reach)
    theirs = store.read(tables["signals"]) if "signals" in tables else None
    first_week = date.fromisoformat(tables["eras"].manifest["first_week"])
    names, is_live = (None, True) if theirs is None else signals_files.live_names(theirs, live_date)
    live = data.rows([live_era])
    # One row an era. A label may have ended with too few known returns for a target.
    rows = data.table.where(F.col(target).isNotNull()).select("era").distinct().collect()
    known = {row["era"] for row in rows}
    return Dataset(
        tables=tuple(tables.values()),
        training=data,
        manifest=tables["training"].manifest,
        spans=[span for span in spans if span.era in known],
        unlabelled=[span.era for span in spans if span.era not in known],
        overlap=overlap,
        live=live,
        live_era=live_era,
        era_dates=era_dates,
        submission=lambda live: submission.signals(live.assign(id=lives.named(live["id"])), names),
        check_live=lambda: _check_live(live, names, data, era_dates),
        references=signals_references(config, store, data, theirs, first_week),
        reference_files=signals_neutralizers.identity(store.spark, config.signals),
        asset=ASSET,
        strategy=strategy(store, tables["prices"], Holding(config.targets.lag, horizon)),
        quality=lambda: _quality(store, config, tables),
        network=_network(store, tables),
        notes=(*_notes(config), *_late(tables, live_date), *([] if is_live else [UNIVERSE_NOTE])),
        facts={
            "source": str(tables["prices"].manifest["source"]),
            "eras": f"{len(dates)} weekly eras, {dates[0]} to {dates[-1]}",
            "data date": str(live_date),
            "features": f"{len(data.feature_names)} ({config.features.set})",
            "target": f"{target}, {config.targets.lag} days after the era's date",
            "labels overlap": f"{overlap} eras",
        },
    )


def _check_live(
    live: DataFrame, names: Mapping[str, str] | None, data: Training, era_dates: Mapping[int, date]
) -> None:
    """InputError where Numerai would find too few tickers, or where more is missing than what models learn from."""
    submission.check_size(_submitted(live, names).count())
    *past, newest = sorted(era_dates)
    shares = missing_shares(data.rows([*past[-COMPARED:], newest]), data.feature_names, data.missing)
    refuse_missing(shares, newest, era_dates[newest])


def _late(tables: Versions, live_date: date) -> list[str]:
    """A sentence for each country that is left out of the newest era."""
    late = tables["eras"].manifest["late"].items()
    return [f"{name} is left out of the era of {live_date}: its prices end on {newest}." for name, newest in late]


def _submitted(live: DataFrame, names: Mapping[str, str] | None) -> DataFrame:
    """Those of the live rows whose ticker has a name at Numerai."""
    return live if names is None else live.where(lives.name_of(F.expr(ASSET)).isin(list(names)))


def _quality(store: Store, config: Config, tables: Versions) -> pd.DataFrame:
    found = quality.counted(store.read(tables["quality"]), config.quality.policies)
    if "signals_match" not in tables:
        return found
    return pd.concat([found, signals_files.counted(store.read(tables["signals_match"]))], ignore_index=True)


def _network(store: Store, tables: Versions) -> Callable[[], Described | None] | None:
    graphs, edges = tables.get("graphs"), tables.get("graph_edges")
    if graphs is None or edges is None:
        return None
    return lambda: described(store.read(graphs), store.read(edges), store.read(tables["prices"]))


def _notes(config: Config) -> tuple[str, ...]:
    if config.source == "synthetic":
        return (SYNTHETIC_NOTE.format(momentum=config.synthetic.momentum, network=config.synthetic.network),)
    return (*([config.prices.note] if config.prices.note else []), SURVIVORS_NOTE)
