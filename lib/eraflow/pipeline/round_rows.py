"""The live rows of a round, held to what a finished run's models have learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.pipeline import classic_steps, signals_steps
from eraflow.pipeline.dataset import LiveRows
from eraflow.pipeline.feature_tables import ranking
from eraflow.pipeline.final_models import FinalModels
from eraflow.pipeline.signals_live import SignalsRound, collected
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.training_table import live_rows
from eraflow.progress import Progress
from eraflow.rounds import submission
from eraflow.rounds.live import BENCHMARKS, EXAMPLES, FEATURES, LIVE
from eraflow.sources import classic_files, classic_live
from eraflow.sources.classic_files import Folder
from eraflow.tables import Store

# What is brought of a data set of Numerai's: what is predicted, and what a submission is held against.
CLASSIC_FILES, BESIDE = (FEATURES, LIVE), (EXAMPLES, BENCHMARKS)


@dataclass(frozen=True)
class Round:
    """What is predicted. `rows` reads and checks it; `facts` tell of it as far as is known without that."""

    date: date
    facts: Mapping[str, Any]  # as the manifest has them: era, file_sha256
    is_invented: bool
    rows: Callable[[], LiveRows]
    submission: Callable[[pd.DataFrame], pd.DataFrame]  # of `id, era, prediction`


def classic_round(
    config: Config, finals: FinalModels, progress: Progress, day: date | None = None, era: int | None = None
) -> Round:
    """Of Classic's live.parquet, whose rows name no date and no era.

    Where they are not given they are the day on which the file was written, and the era after the last one that the
    models knew of.
    """
    folder = classic_steps.files(config, progress, CLASSIC_FILES, BESIDE)
    split = _classic_contract(folder, finals)
    number = era or finals.first.live
    assert number is not None

    def rows() -> LiveRows:
        progress.stage(f"reading {split.path}")
        file = classic_live.read(folder, split, finals.names)
        submission.check_rows(len(file.ids))
        found = LiveRows(number, file.ids, file.levels, finals.names, finals.first.missing)
        found.refuse_missing(finals.data, split.path, classic_live.MEND)
        return found

    return Round(
        day or classic_live.written(folder),
        {"era": number, "file_sha256": classic_live.content(folder)},
        finals.data["invented"] or classic_live.is_invented(folder, [classic_live.FILE]),
        rows,
        submission.classic,
    )


def _classic_contract(folder: Folder, finals: FinalModels) -> classic_files.Split:
    """InputError where the files are of another version of the data than the models have learned from."""
    place, named = f"{folder.path}/features.json", classic_files.catalogue(folder)
    of_run = f"{finals.folder.path} has learned from {finals.data['dataset'] or 'another version of the data'}"
    listed = set(named.features)
    if lacking := [name for name in finals.names if name not in listed]:
        raise InputError(
            f"{place} does not name {lacking[0]!r} ({len(lacking)} of the models' {len(finals.names)} features are "
            f"lacking): {of_run}; take the live files of that version, or train anew."
        )
    if classic_live.catalogue_hash(named.features) != finals.data["catalogue"]:
        raise InputError(
            f"{place} names {len(listed)} features, and not those that there were: {of_run}; take the live files of "
            "that version, or train anew."
        )
    split = classic_live.contract(folder, named)
    classic_live.refuse_dtype(split, finals.data["dtype"])
    return split


def signals_round(spark: SparkSession, config: Config, finals: FinalModels, progress: Progress) -> Round:
    """Of Signals at its data date, from prices brought up to date.

    InputError where the tables are made in another way, or eras begin elsewhere, than when the models were trained.
    """
    store = Store(spark, config.tables.root, config.tables.wait)
    site = Site(store, config, progress)
    made = signals_steps.of_live_rows(site, finals.follow_tickers)
    days = Days(site).of(made["prices"], made.get("signals"))
    _refuse_other_rows(finals, ranking(config).names, signals_steps.recipe(site, made), days.first_week)
    if days.late:
        progress.note(f"left out of the era of {days.data_date}, since prices are late: {', '.join(sorted(days.late))}")
    rows = live_rows(site, signals_steps.upstream(made), days)
    history = store.read(made["training"]) if "training" in made else None
    numerais = store.read(made["signals"]) if "signals" in made else None
    live = collected(rows, days.live_era, finals.names, finals.first.missing, history)
    found = SignalsRound(live, days.data_date, numerais)
    found.check(finals.data)
    facts = {"era": days.live_era, "file_sha256": None}
    return Round(days.data_date, facts, finals.data["invented"], lambda: live, found.submission)


def _refuse_other_rows(finals: FinalModels, names: Sequence[str], recipe: str, first_week: date) -> None:
    place = finals.folder.path
    finals.first.refuse_others(names, str(place))
    for model in finals.models:
        if recipe != (was := model.facts["tables"]["training"]["recipe"]):
            raise InputError(
                f"{place}: its features were ranked by the recipe {was} of table training, and this version of eraflow "
                f"has {recipe}; predict with the version that it was trained by, or train it anew."
            )
        if first_week.isoformat() != (begun := model.facts["data"]["first_week"]):
            raise InputError(
                f"{place}: era 1 of its data began on {begun}, and that of the prices begins on {first_week}; give "
                "prices from the same first day on, or train it anew."
            )
