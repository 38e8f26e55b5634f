"""What the jobs `ingest` and `features` do: bring what stands upstream of a run up to date, and say so."""

from __future__ import annotations

from datetime import date

from pyspark.sql import SparkSession

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.features import sets
from eraflow.features.export import dictionary, plain
from eraflow.pipeline import traded_money
from eraflow.pipeline.build import Builder
from eraflow.pipeline.classic_build import Builder as ClassicBuilder
from eraflow.progress import Progress
from eraflow.tables import Store, Version, refuse_taken, write_plain


def ingest(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Brings the raw tables up to date: `prices`, or `classic_eras`; returns what a user wants to read at the end."""
    store = Store(spark, config.tables.root)
    with store.lock():
        if config.is_classic:
            files = ClassicBuilder(config, store, progress)
            return _told(files.eras(files.folder()))
        return _told(Builder(spark, config, store, progress).prices())


def build(
    spark: SparkSession,
    config: Config,
    progress: Progress,
    first: date | None = None,
    last: date | None = None,
    export: str | None = None,
) -> tuple[str, ...]:
    """Brings every table up to date; returns what a user wants to read at the end.

    `first` and `last` make the features of a range of days again. `export` names a folder for a plain copy of them.
    """
    if last and not first:
        raise InputError(f"--to {last} needs --from: name the first day as well.")
    if first and last and last < first:
        raise InputError(f"--from {first} is after --to {last}; name the earlier day first.")
    store = Store(spark, config.tables.root)
    if config.is_classic:
        if first or export:
            raise InputError("--from, --to and --export are for price features; leave them out with Numerai Classic.")
        with store.lock():
            return _told(*ClassicBuilder(config, store, progress).tables())
    if export:
        refuse_taken(spark, export)
    with store.lock():
        config = traded_money.settled(spark, config, progress)
        builder = Builder(spark, config, store, progress)
        tables = builder.tables((first, last or date.max) if first else None)
        told = _told(*tables.all)
        if export:
            progress.stage(f"exporting to {export}")
            chosen = sets.feature_set(config.features.set, config.features.traded_money != "never")
            daily, prices = store.read(tables.features), store.read(tables.prices)
            write_plain(plain(daily, prices, chosen), dictionary(chosen), export)
            told += (f"features exported to {export}; dictionary.csv in it describes the columns",)
    return told


def _told(*versions: Version) -> tuple[str, ...]:
    return tuple(f"table {version.table}: version {version.number}" for version in versions)
