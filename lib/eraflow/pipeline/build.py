"""What stands upstream of a run: raw tables, features, the training table; built if missing or stale, else reused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.features import sets
from eraflow.features.daily import daily_features, later_features, reads_sectors
from eraflow.features.ranking import Ranking
from eraflow.features.signals import SignalsFeature
from eraflow.graphs.assets import NETWORK
from eraflow.pipeline.fresh import Freshness, Made
from eraflow.pipeline.network import Networks
from eraflow.pipeline.price_table import SEEN, PriceTable
from eraflow.pipeline.reading import calendars
from eraflow.pipeline.training_table import TrainingTable, era_days
from eraflow.progress import Progress
from eraflow.sources import price_files, prices, quality, reference, signals_files, synthetic
from eraflow.tables import Store, Version, from_day


@dataclass(frozen=True)
class Tables:
    """The versions that a run reads."""

    prices: Version
    quality: Version
    features: Version
    eras: Version
    training: Version
    signals: Version | None = None  # Numerai Signals' files, where there are any
    signals_match: Version | None = None
    graphs: Version | None = None  # learned networks, where they are asked for
    graph_edges: Version | None = None

    def numbers(self) -> dict[str, int]:
        return {version.table: version.number for version in self.all}

    def fingerprints(self) -> dict[str, str]:
        return {version.table: version.fingerprint for version in self.all}

    @property
    def all(self) -> tuple[Version, ...]:
        own = (self.prices, self.quality, self.features, self.eras, self.training)
        return (*own, *filter(None, (self.signals, self.signals_match, self.graphs, self.graph_edges)))


@dataclass(frozen=True)
class Builder:
    """Builds tables in the order of the data's way. Every method returns a fresh version, and makes it if need be.

    A table whose recipe (config, code) is still the same and whose inputs have changed only from some day on is made
    again from that day on. By the point-in-time property nothing before it can differ.
    """

    spark: SparkSession
    config: Config
    store: Store
    progress: Progress

    def tables(self, rebuild: tuple[date, date] | None = None) -> Tables:
        """All tables; the features of the days of `rebuild` are made again in any case."""
        self._check_names()
        raw = self.prices()
        features = self.features(raw, rebuild)
        eras, signals, match, graphs, edges = self.eras(raw), None, None, None, None
        if self.config.signals.path:
            signals = self.signals()
            match = self.signals_match(raw, signals)
        if self._learns_networks:
            graphs, edges = self.networks(raw, features)
        training = self.training(raw, features, eras, signals, edges, rebuild is not None)
        return Tables(raw, self.quality(raw), features, eras, training, signals, match, graphs, edges)

    def prices(self) -> Version:
        """Checked daily prices. Raises InputError, with nothing written, where the source has faults."""
        settings, files = self._source_identity()
        return self._price_table.version(settings, files)

    def quality(self, raw: Version) -> Version:
        """What the prices hold that is suspicious, row by row, and what of the raw prices is left out."""
        seen = self._price_table.seen(raw)
        if seen is None:
            raise RuntimeError(f"table {SEEN} lacks the version that the prices name")

        def make() -> Made:
            found = quality.findings(self.store.read(raw), self.store.read(seen))
            return Made(found.coalesce(1), {"policies": self._policies})

        return self._fresh.version("quality", None, seen.manifest["faults"], (raw,), make)

    def features(self, raw: Version, rebuild: tuple[date, date] | None = None) -> Version:
        """The daily features. `rebuild` makes the days of a range again whether they are fresh or not."""
        chosen = sets.feature_set(self.config.features.set)
        manifest = {"columns": sets.families([*chosen, *sets.EXPOSURES])}

        def make() -> Made:
            return Made(daily_features(self._kept(raw), chosen), manifest)

        def make_later(there: Version) -> Made | None:
            first = self.store.changed_since("prices", there.inputs["prices"], labels=reads_sectors(chosen))
            last = None
            if first == date.min:
                return None
            if rebuild:
                first, last = min(first, rebuild[0]), rebuild[1] if first == date.max else None
            later = later_features(self._kept(raw), chosen, self.store.read(there), first, last)
            return Made(later, manifest, from_day(first, last))

        recipe = [sets.fingerprint(chosen), sets.fingerprint(sets.EXPOSURES)]
        return self._fresh.version(
            "features", recipe, None, (raw,), make, make_later, ("year",), again=rebuild is not None
        )

    def eras(self, raw: Version) -> Version:
        """For each era and horizon the dates at which its label starts and ends; null where it has not ended yet."""
        targets = self.config.targets

        def make() -> Made:
            labels = calendars(self.store.read(raw)).labels(targets.horizons, targets.lag)
            frame = pd.DataFrame([(x.era, x.date, x.horizon, x.start, x.end) for x in labels])
            schema = "era int, date date, horizon int, label_start date, label_end date"
            rows = [tuple(row) for row in frame.astype(object).where(frame.notna(), None).to_numpy()]
            return Made(self.spark.createDataFrame(rows, schema).coalesce(1), {})

        return self._fresh.version("eras", [targets.horizons, targets.lag], None, (raw,), make)

    def signals(self) -> Version:
        """Numerai Signals' features and targets by ticker and week. InputError where the files have faults."""
        chosen, targets = self.config.signals, self.config.targets.signals

        def make() -> Made:
            return Made(signals_files.read(self.spark, chosen, targets), {"columns": [*chosen.features, *targets]})

        found = signals_files.files(self.spark, chosen)
        recipe = [chosen.features, targets, chosen.mapping is None]
        return self._fresh.version(
            "signals", recipe, [(file.path, file.size, file.modified) for file in found], (), make
        )

    def signals_match(self, raw: Version, signals: Version) -> Version:
        """Which tickers of the prices and of Numerai Signals met, and which did not."""

        def make() -> Made:
            prices = self._kept(raw)
            known = calendars(self.store.read(raw))
            days = era_days(self.spark, known.era_days)
            at_eras = prices.join(F.broadcast(days), on=["country", "date"], how="left_semi")
            found = signals_files.compared(at_eras, self.store.read(signals), max(known.eras.values()))
            return Made(found.coalesce(1), {})

        return self._fresh.version("signals_match", None, None, (raw, signals), make)

    def networks(self, raw: Version, features: Version) -> tuple[Version, Version]:
        """The learned graphs over tickers with their certificates, and their edges."""
        days = calendars(self.store.read(raw))
        graphs = self._networks.graphs(raw, features, self._marked(raw), days)
        return graphs, self._networks.edges(graphs, days)

    def training(
        self,
        raw: Version,
        features: Version,
        eras: Version,
        signals: Version | None = None,
        edges: Version | None = None,
        rebuild: bool = False,
    ) -> Version:
        """Levels, raw values and targets by era. An era is made again if its features or one of its labels changed."""
        table = TrainingTable(
            self.store, self._fresh, self.config, self._ranking, raw, lambda: self._marked(raw), features, eras,
            signals, self._networks, edges,
        )  # fmt: skip
        return table.version(rebuild)

    def _check_names(self) -> None:
        """Refuses a set, a feature or an exposure that there is not, before anything is built."""
        _ = self._ranking
        if self._learns_networks:
            self._networks.check()
        known = list(sets.columns(sets.EXPOSURES))
        if unknown := sorted(set(self.config.targets.exposures) - set(known)):
            raise InputError(f"targets.exposures: there is no exposure {unknown[0]!r}; choose from {', '.join(known)}.")

    @property
    def _price_table(self) -> PriceTable:
        minimum, chosen = self.config.prices.min_tickers, self.config.quality
        return PriceTable(self.store, self._fresh, self._raw, self._source_name(), minimum, chosen)

    @property
    def _fresh(self) -> Freshness:
        return Freshness(self.store, self.progress)

    @property
    def _ranking(self) -> Ranking:
        rules, named = self.config.features, sets.feature_set(self.config.features.set)
        theirs = [SignalsFeature(name) for name in self.config.signals.features]
        if taken := sorted(set(self.config.signals.features) & set(sets.columns([*named, *sets.EXPOSURES]))):
            raise InputError(f"signals.features: {taken[0]!r} is a feature of the set {rules.set} too; leave it out.")
        network = NETWORK if self._learns_networks else ()
        return Ranking([*named, *theirs, *network], rules.ranks, rules.neutral_to, rules.interactions)

    @property
    def _policies(self) -> dict[str, str]:
        return self.config.quality.policies

    def _kept(self, raw: Version) -> DataFrame:
        return prices.kept(self.store.read(raw))

    def _marked(self, raw: Version) -> DataFrame:
        """The prices with `masked`: neither features nor labels over the day are known."""
        return self._kept(raw).withColumn("masked", quality.fails(self._policies, "mask"))

    @property
    def _learns_networks(self) -> bool:
        return self.config.network.relearn != "never"

    @property
    def _networks(self) -> Networks:
        chosen = sets.feature_set(self.config.features.set)
        return Networks(self.store, self._fresh, self.config.network, chosen, self.config.tables.era_block)

    def _raw(self) -> DataFrame:
        if self.config.source == "prices":
            raw = price_files.read(self.spark, self.config.prices)
        else:
            raw = synthetic.prices(self.spark, self.config.synthetic)
        return reference.enriched(raw, self.config.prices)

    def _source_name(self) -> str:
        return str(self.config.prices.path) if self.config.source == "prices" else "the synthetic universe"

    def _source_identity(self) -> tuple[object, object]:
        """What the raw prices depend on: settings, and files by path, size and time or the generator's settings."""
        if self.config.source == "prices":
            found = price_files.files(self.spark, self.config.prices)
            for path in filter(None, (self.config.prices.universe, self.config.prices.rates)):
                found += price_files.listed(self.spark, path)
            settings = self.config.prices.model_dump(exclude={"path", "universe", "rates", "note"})
            return settings, [(file.path, file.size, file.modified) for file in found]
        return [self.config.synthetic.model_dump(mode="json"), self.config.prices.min_tickers], None
