"""The main job: tables, folds, models, out-of-fold scores, live predictions, report; and a look at its holdout."""

from __future__ import annotations

from pyspark.sql import SparkSession

from eraflow import search, tracking
from eraflow.config import Config
from eraflow.locks import locked
from eraflow.pipeline import classic, repeated, signals, traded_money
from eraflow.pipeline.cells import Cells
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.folder import CELLS, RunFolder
from eraflow.pipeline.refusals import refuse_kinds
from eraflow.pipeline.run import Run, splitter
from eraflow.pipeline.steps import Versions
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.tables import Store


def train(spark: SparkSession, config: Config, progress: Progress, repeat: str | None = None) -> tuple[str, ...]:
    """Runs, resumes, or finds finished the run that `config` describes; returns lines for the user.

    What a run below `run.dir` has fitted or predicted already, by what is still the same, is taken as it is. With
    `repeat` it is the run of that name again: by its settings, on the versions of the tables that it had read, and
    everything fitted anew.
    """
    past = repeated.past_run(config, repeat) if repeat else None
    config = past.config if past else config
    return trained(Store(spark, config.tables.root, config.tables.wait), config, progress, past)


def trained(
    store: Store,
    config: Config,
    progress: Progress,
    past: repeated.PastRun | None = None,
    tables: Versions | None = None,
) -> tuple[str, ...]:
    """What `train` does: the run of `config`, of a `past` one, or on these versions of the tables."""
    base = local_path(config.run.dir, "run.dir")
    folder = RunFolder(base / config.run.name)
    with locked(folder.path, "run.dir"):
        if config.tracking.enabled:
            tracking.required()
        if config.search.model is not None:
            search.required()
        config = traded_money.settled(store.spark, config, progress)
        refuse_kinds(config)
        splitter(config)  # refuses settings that cannot be before anything is built
        tables = past.tables(store) if past else tables
        data = brought(store, config, progress, tables)
        if past:
            past.refuse_others(data)
        cells = Cells((folder.path if past else base) / CELLS, progress)
        with data.training.kept():
            return Run(config, store, data, folder, cells, progress).result()


def brought(store: Store, config: Config, progress: Progress, tables: Versions | None = None) -> Dataset:
    """The data of a config that is settled: its tables brought up to date, or these versions of them."""
    if config.is_classic:
        return classic.dataset(store, config, progress, tables)
    return signals.dataset(store, config, progress, tables)


def open_holdout(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Scores the finished run that `config` describes on the eras that no fold has seen; returns lines for the user.

    The first time models are fitted on the eras before them, purged; after that only the count of openings grows, since
    each look lets the holdout select a little more.
    """
    base = local_path(config.run.dir, "run.dir")
    folder = RunFolder(base / config.run.name)
    store = Store(spark, config.tables.root, config.tables.wait)
    with locked(folder.path, "run.dir"):
        config = traded_money.settled(spark, config, progress)
        tables = repeated.tables_of(folder.path, store)  # what has become known since then is no part of it
        data = brought(store, config, progress, tables)
        with data.training.kept():
            return Run(config, store, data, folder, Cells(base / CELLS, progress), progress).holdout()
