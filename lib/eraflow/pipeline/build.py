"""What stands upstream of a run: raw tables, features, the training table; built if missing or stale, else reused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.config import Config, fingerprint
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
from eraflow.sources import faults, lives, price_files, prices, quality, reference, sessions, signals_files, synthetic
from eraflow.sources.calendar import Calendars
from eraflow.tables import Store, Version, from_day

Days = Callable[[], Calendars]


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
        signals, match, graphs, edges = None, None, None, None
        if self.config.signals.path:
            signals = self.signals(raw)
        days = cache(lambda: self._calendars(raw, signals))
        eras = self.eras(raw, days, signals)
        if signals:
            match = self.signals_match(raw, days, signals)
        if self._learns_networks:
            graphs, edges = self.networks(raw, days, features)
        training = self.training(raw, days, features, eras, signals, edges, rebuild is not None)
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

    def eras(self, raw: Version, days: Days, signals: Version | None) -> Version:
        """For each era and horizon the dates at which its label starts and ends; null where it has not ended yet."""
        targets = self.config.targets

        def make() -> Made:
            labels = days().labels(targets.horizons, targets.lag)
            frame = pd.DataFrame([(x.era, x.date, x.horizon, x.start, x.end) for x in labels])
            schema = "era int, date date, horizon int, label_start date, label_end date"
            rows = [tuple(row) for row in frame.astype(object).where(frame.notna(), None).to_numpy()]
            newest = {name: days().by_country[name].dates[-1].isoformat() for name in days().late}
            manifest = {"first_week": days().first_week.isoformat(), "late": newest}
            return Made(self.spark.createDataFrame(rows, schema).coalesce(1), manifest)

        recipe, inputs = [targets.horizons, targets.lag], (raw, *([signals] if signals else []))
        return self._fresh.version("eras", recipe, self._named, inputs, make)

    def signals(self, raw: Version) -> Version:
        """Numerai Signals' features and targets by ticker and date. InputError where the files have faults."""
        chosen, targets, tickers = self.config.signals, self.config.targets.signals, self._tickers(raw)

        def make() -> Made:
            found = signals_files.read(self.spark, chosen, targets, tickers)
            return Made(found, {"columns": [*chosen.features, *targets]})

        found = signals_files.files(self.spark, chosen)
        recipe = [chosen.features, targets, chosen.mapping is None, chosen.mapping_columns.model_dump()]
        state = [[(file.path, file.size, file.modified) for file in found], fingerprint(tickers)]
        return self._fresh.version("signals", recipe, state, (), make)

    def signals_match(self, raw: Version, days: Days, signals: Version) -> Version:
        """Which tickers of the prices and of Numerai Signals met, and which did not."""

        def make() -> Made:
            at_eras = self._kept(raw).join(
                F.broadcast(era_days(self.spark, days().era_days)), on=["country", "date"], how="inner"
            )
            theirs = self.store.read(signals)
            faults = signals_files.map_faults(theirs, self.config.signals, self._tickers(raw))
            return Made(signals_files.compared(at_eras, theirs, days().first_week, faults).coalesce(1), {})

        return self._fresh.version("signals_match", None, self._named, (raw, signals), make)

    def networks(self, raw: Version, days: Days, features: Version) -> tuple[Version, Version]:
        """The learned graphs over tickers with their certificates, and their edges."""
        graphs = self._networks.graphs(raw, features, self._marked(raw), days())
        return graphs, self._networks.edges(graphs, days())

    def training(
        self,
        raw: Version,
        days: Days,
        features: Version,
        eras: Version,
        signals: Version | None = None,
        edges: Version | None = None,
        rebuild: bool = False,
    ) -> Version:
        """Levels, raw values and targets by era. An era is made again if its features or one of its labels changed."""
        table = TrainingTable(
            self.store, self._fresh, self.config, self._ranking, raw, days, lambda: self._marked(raw), features, eras,
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
        return PriceTable(self.store, self._fresh, self._read, self._source_name(), minimum, chosen)

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

    def _read(self) -> tuple[DataFrame, sessions.Read]:
        """The raw prices up to the data date, and what is read of them."""
        if self.config.source == "prices":
            raw = price_files.read(self.spark, self.config.prices)
        else:
            raw = synthetic.prices(self.spark, self.config.synthetic)
        where, rules = self._source_name(), self.config.dates
        with price_files.reading():
            counts, rows = sessions.counted(raw)
            if not rows:
                raise InputError(f"{where} holds no rows; name files with prices in them.")
            if not counts:  # no row has a date and a price
                raw = reference.enriched(raw, self.config.prices)
                faults.judged(faults.seen(raw), raw, self._policies, self.config.quality.refuse_share, where)
            read = sessions.decided(counts, rules, where, self._live, self._holidays)
            for note in read.notes:
                self.progress.note(note)
            enriched = reference.enriched(sessions.cut(raw, read), self.config.prices)
            return lives.renamed(enriched, rules.reused_after), read

    def _calendars(self, raw: Version, signals: Version | None) -> Calendars:
        """The days of the tables that are there, and those that Numerai names."""
        theirs = self.store.read(signals) if signals else None
        return calendars(self.store.read(raw), theirs, self._live, self._holidays)

    @cached_property
    def _live(self) -> date | None:
        """Numerai's date of the live rows, where its files have them."""
        return signals_files.live_date(self.spark, self.config.signals)

    @cached_property
    def _holidays(self) -> dict[str, set[date]]:
        return reference.holidays(self.spark, self.config.dates.holidays)

    @property
    def _named(self) -> list[object]:
        """What the dates of eras depend on, beside prices and Numerai's rows."""
        return [self._live, sorted((country, sorted(days)) for country, days in self._holidays.items())]

    def _tickers(self, raw: Version) -> list[str]:
        """The names in the files of prices: some thousand."""
        names = self.store.read(raw).select(lives.name_of(F.col("ticker")).alias("name")).distinct()
        return sorted(row["name"] for row in names.collect())

    def _source_name(self) -> str:
        return str(self.config.prices.path) if self.config.source == "prices" else "the synthetic universe"

    def _source_identity(self) -> tuple[object, object]:
        """What the raw prices depend on: settings, and files by path, size and time or the generator's settings."""
        # Other rules move where the prices are cut, and change nothing before.
        lasting = {"session_share", "reused_after"}
        rules = self.config.dates.model_dump(include=lasting)
        cut = [self.config.dates.model_dump(exclude={*lasting, "holidays"}), self._named]
        if self.config.source == "prices":
            found = price_files.files(self.spark, self.config.prices)
            for path in filter(None, (self.config.prices.universe, self.config.prices.rates)):
                found += price_files.listed(self.spark, path)
            settings = self.config.prices.model_dump(exclude={"path", "universe", "rates", "note"})
            return [settings, rules], [[(file.path, file.size, file.modified) for file in found], cut]
        return [self.config.synthetic.model_dump(mode="json"), self.config.prices.min_tickers, rules], cut
