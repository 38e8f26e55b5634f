"""What the jobs `ingest` and `features` do: bring what stands upstream of a run up to date, and say so."""

from __future__ import annotations

from datetime import date

from pyspark.sql import SparkSession

from eraflow import retention
from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.features.export import dictionary, plain
from eraflow.pipeline import classic_steps, signals_steps, traded_money
from eraflow.pipeline.cells import Cells
from eraflow.pipeline.feature_tables import chosen
from eraflow.pipeline.folder import CELLS, STATE, RunFolder
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.tables import Store, refuse_taken, write_plain


def ingest(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Brings the raw tables up to date: `prices`, or `classic_eras`; returns what a user wants to read at the end."""
    store = Store(spark, config.tables.root, config.tables.wait)
    if config.is_classic:
        site = Site(store, config, progress)
        return _lines(classic_steps.eras(site, classic_steps.files(config, progress)))
    return _lines(signals_steps.prices(Site(store, config, progress)))


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
    store = Store(spark, config.tables.root, config.tables.wait)
    if config.is_classic:
        if first or export:
            raise InputError("--from, --to and --export are for price features; leave them out with Numerai Classic.")
        return _lines(classic_steps.tables(Site(store, config, progress)))
    if export:
        refuse_taken(spark, export)
    config = traded_money.settled(spark, config, progress)
    site = Site(store, config, progress, (first, last or date.max) if first else None)
    lines = _lines(signals_steps.tables(site))
    if export:
        whole, wanted = signals_steps.features_of_every_day(site), chosen(config)
        progress.stage(f"exporting to {export}")
        daily, prices = store.read(whole["features"]), store.read(whole["prices"])
        write_plain(plain(daily, prices, wanted), dictionary(wanted), export)
        lines += (f"features exported to {export}; dictionary.csv in it describes the columns",)
    return lines


def prune(spark: SparkSession, config: Config, progress: Progress, dry_run: bool = False) -> tuple[str, ...]:
    """Removes what `retention.prune` does not keep, and the cells that no run has taken; says what that was."""
    store, word = Store(spark, config.tables.root, config.tables.wait), "to remove" if dry_run else "removed"
    with store.lock(progress.note):
        progress.stage(f"looking through {config.tables.root}")
        removal = retention.prune(store, config.tables.keep_days, dry_run)
    lines = [f"{word} below {config.tables.root}: {removal}"]
    base = local_path(config.run.dir, "run.dir")
    progress.stage(f"looking through {base}")
    used = {key for state in base.glob(f"*/{STATE}") for key in RunFolder(state.parent).cells}
    count, size = Cells(base / CELLS, progress).prune(used, config.tables.keep_days, dry_run)
    cells = f"{word} below {base}: {count} fits, predictions and searches of no run, {size / 1e6:,.1f} MB"
    return (*lines, *(f"  table {table}" for table in removal.tables), cells)


def _lines(versions: Versions) -> tuple[str, ...]:
    return tuple(f"table {name}: version {version.number}" for name, version in versions.items())
