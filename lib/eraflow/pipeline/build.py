"""What stands upstream of a run: raw tables, features, the training table; built if missing or stale, else reused."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.config import Config, fingerprint
from eraflow.errors import InputError
from eraflow.features import cross_section, sets
from eraflow.features.daily import daily_features
from eraflow.features.training import training_table
from eraflow.models.base import Training
from eraflow.pipeline.versions import code
from eraflow.progress import Progress
from eraflow.sources import price_files, prices, synthetic
from eraflow.sources.calendar import Calendar
from eraflow.tables import Store, Version
from eraflow.validation import EraSpan


@dataclass(frozen=True)
class Tables:
    """The versions that a run reads."""

    prices: Version
    features: Version
    eras: Version
    training: Version

    def numbers(self) -> dict[str, int]:
        return {version.table: version.number for version in self.all}

    def fingerprints(self) -> dict[str, str]:
        return {version.table: version.fingerprint for version in self.all}

    @property
    def all(self) -> tuple[Version, ...]:
        return (self.prices, self.features, self.eras, self.training)


@dataclass(frozen=True)
class Builder:
    """Builds tables in the order of the data's way. Every method returns a fresh version, and makes it if need be."""

    spark: SparkSession
    config: Config
    store: Store
    progress: Progress

    def tables(self) -> Tables:
        self._check_names()
        raw = self.prices()
        features = self.features(raw)
        eras = self.eras(raw)
        return Tables(raw, features, eras, self.training(raw, features, eras))

    def prices(self) -> Version:
        """Checked daily prices. Raises InputError, with nothing written, where the source has faults."""
        made_from = self._source_identity()

        def make() -> tuple[DataFrame, Mapping[str, object]]:
            where, minimum = self._source_name(), self.config.prices.min_tickers
            raw = self._raw()
            return prices.bars(raw, prices.check(raw, where, minimum)), {"source": where}

        return self._fresh("prices", fingerprint("prices", made_from), (), make)

    def features(self, raw: Version) -> Version:
        chosen = sets.feature_set(self.config.features.set)

        def make() -> tuple[DataFrame, Mapping[str, object]]:
            families = sets.families([*chosen, *sets.EXPOSURES])
            return daily_features(self.store.read(raw), chosen), {"columns": families}

        print_ = fingerprint(raw.fingerprint, sets.fingerprint(chosen), sets.fingerprint(sets.EXPOSURES))
        return self._fresh("features", print_, (raw,), make)

    def eras(self, raw: Version) -> Version:
        """For each era and horizon the dates at which its label starts and ends; null where it has not ended yet."""
        targets = self.config.targets

        def make() -> tuple[DataFrame, Mapping[str, object]]:
            labels = self._calendar(raw).labels(targets.horizons, targets.lag)
            frame = pd.DataFrame([(x.era, x.date, x.horizon, x.start, x.end) for x in labels])
            schema = "era int, date date, horizon int, label_start date, label_end date"
            rows = [tuple(row) for row in frame.astype(object).where(frame.notna(), None).to_numpy()]
            return self.spark.createDataFrame(rows, schema).coalesce(1), {}

        return self._fresh("eras", fingerprint(raw.fingerprint, targets.horizons, targets.lag), (raw,), make)

    def training(self, raw: Version, features: Version, eras: Version) -> Version:
        targets, chosen = self.config.targets, sets.feature_set(self.config.features.set)

        def make() -> tuple[DataFrame, Mapping[str, object]]:
            calendar = self._calendar(raw)
            table = training_table(
                self.store.read(features),
                self.store.read(raw),
                calendar.eras,
                len(calendar.dates),
                chosen,
                targets.horizons,
                targets.lag,
                targets.exposures,
                self.config.tables.era_block,
            )
            names = list(sets.columns(chosen))
            manifest = {
                "features": names,
                "features_hash": fingerprint(names),
                "dtype": "int8",
                "missing": cross_section.MISSING,
                "targets": targets.names,
            }
            return table, manifest

        print_ = fingerprint(
            [version.fingerprint for version in (raw, features, eras)], targets.exposures, self.config.tables.era_block
        )
        return self._fresh("training", print_, (raw, features, eras), make, partition_by=("era_block",))

    def _check_names(self) -> None:
        """Refuses a set or an exposure that there is not, before anything is built."""
        sets.feature_set(self.config.features.set)
        known = list(sets.columns(sets.EXPOSURES))
        if unknown := sorted(set(self.config.targets.exposures) - set(known)):
            raise InputError(f"targets.exposures: there is no exposure {unknown[0]!r}; choose from {', '.join(known)}.")

    def _fresh(
        self,
        table: str,
        print_: str,
        inputs: Sequence[Version],
        make: Callable[[], tuple[DataFrame, Mapping[str, object]]],
        partition_by: Sequence[str] = (),
    ) -> Version:
        # Other code may compute something else from the same config.
        wanted = fingerprint(print_, code("sources", "features"))
        there = self.store.latest(table)
        if there and there.fingerprint == wanted:
            self.progress.note(f"table {table}: version {there.number} is fresh")
            return there
        self.progress.stage(f"building table {table}")
        frame, manifest = make()
        version = self.store.write(table, frame, wanted, inputs, manifest, partition_by)
        self.progress.note(f"table {table}: version {version.number} written")
        return version

    def _calendar(self, raw: Version) -> Calendar:
        return calendar(self.store.read(raw))

    def _raw(self) -> DataFrame:
        if self.config.source == "prices":
            return price_files.read(self.spark, self.config.prices)
        return synthetic.prices(self.spark, self.config.synthetic)

    def _source_name(self) -> str:
        return str(self.config.prices.path) if self.config.source == "prices" else "the synthetic universe"

    def _source_identity(self) -> list[object]:
        """What the raw prices depend on: their files by path, size and time, or the generator's settings."""
        if self.config.source == "prices":
            found = price_files.files(self.spark, self.config.prices)
            settings = self.config.prices.model_dump(exclude={"path", "note"})
            return [settings, [(file.path, file.size, file.modified) for file in found]]
        return [self.config.synthetic.model_dump(mode="json"), self.config.prices.min_tickers]


def ingest(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Brings the `prices` table up to date; returns what a user wants to read at the end."""
    store = Store(spark, config.tables.root)
    with store.lock():
        return _told(Builder(spark, config, store, progress).prices())


def build(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Brings every table up to date; returns what a user wants to read at the end."""
    store = Store(spark, config.tables.root)
    with store.lock():
        return _told(*Builder(spark, config, store, progress).tables().all)


def _told(*versions: Version) -> tuple[str, ...]:
    return tuple(f"table {version.table}: version {version.number}" for version in versions)


def calendar(raw: DataFrame) -> Calendar:
    """The trading days of the `prices` table: one row a day, some thousand at the most."""
    return Calendar(tuple(row["date"] for row in raw.select("date").distinct().orderBy("date").collect()))


def label_spans(eras: DataFrame, horizon: int) -> tuple[list[EraSpan], dict[int, date]]:
    """The eras whose label has ended, with the dates from the era's own to that end; and the date of every era.

    A span starts at the era's date, not at the label's first price: a prediction is made on that date, and only labels
    that had ended before it could have been learned. One row an era.
    """
    rows = eras.where(F.col("horizon") == horizon).orderBy("era").collect()
    spans = [EraSpan(row["era"], row["date"], row["label_end"]) for row in rows if row["label_end"] is not None]
    return spans, {row["era"]: row["date"] for row in rows}


def label_overlap(eras: DataFrame, horizon: int) -> int:
    """How many consecutive eras share returns with one of them: scores are correlated that far. One row an era."""
    rows = eras.where((F.col("horizon") == horizon) & F.col("label_end").isNotNull()).orderBy("era").collect()
    starts = [row["label_start"] for row in rows]
    return max((bisect_left(starts, row["label_end"]) - position for position, row in enumerate(rows)), default=1)


def training(store: Store, version: Version, target: str) -> Training:
    """The training table as models see it, read at one version."""
    manifest = version.manifest
    return Training(store.read(version), tuple(manifest["features"]), target, int(manifest["missing"]))
