"""The step `training`: levels and targets by era, made whole or from the first era that has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame

from eraflow.config import Config, fingerprint
from eraflow.features import cross_section
from eraflow.features.signals import with_signals
from eraflow.features.training import era_days, from_date, on_days, training_table
from eraflow.graphs import assets
from eraflow.pipeline.feature_tables import chosen, graph_of, ranking
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Made, Step
from eraflow.sources import quality, signals_files
from eraflow.sources.calendar import Calendars
from eraflow.tables import Part, Version


@dataclass(frozen=True)
class Upstream:
    """The versions that the table is made from."""

    prices: Version
    features: Version
    eras: Version | None  # None where no label is asked for
    signals: Version | None
    edges: Version | None

    @property
    def all(self) -> tuple[Version, ...]:
        return (self.prices, self.features, *filter(None, (self.eras, self.signals, self.edges)))


def training_step(site: Site, days: Days, upstream: Upstream) -> Step:
    """Levels and targets by era. An era is made again if its features or one of its labels changed."""
    config, block, horizons = site.config, site.config.tables.era_block, site.config.targets.horizons

    def make() -> Made:
        found = days.of(upstream.prices, upstream.signals)
        return Made(_frame(site, upstream, found, min(found.eras), horizons), _manifest(config))

    def make_later(current: Version) -> Made | None:
        first, signals = _changed(site, upstream, current), upstream.signals
        if first == date.min or (signals and signals.number != current.inputs[signals.table]):
            return None
        targets, found = config.targets, days.of(upstream.prices, signals)
        labels = found.labels(targets.horizons, targets.lag)
        changed = min([first, *(label.date for label in labels if label.end is None or label.end >= first)])
        era = min(era for era, _, day in found.era_days if day >= changed)
        condition = f"era_block >= {era // block} AND era >= {era}"
        rows = _frame(site, upstream, found, era, horizons)
        return Made(rows, _manifest(config), Part(found.eras[era], condition))

    def again(current: Version) -> bool:
        return site.rebuild is not None

    return Step("training", _settings(config), upstream.all, make, make_later, ("era_block",), again=again)


def live_rows(site: Site, upstream: Upstream, days: Calendars) -> DataFrame:
    """`id, era, features` of the live era alone, as the table has them; no label is looked for."""
    return _frame(site, upstream, days, days.live_era, ()).select("id", "era", "features")


def _settings(config: Config) -> list[object]:
    targets = config.targets
    masking = [check for check, policy in config.quality.policies.items() if policy == "mask"]
    return [
        targets.exposures, targets.horizons, targets.lag, config.tables.era_block,
        config.features.model_dump(mode="json"), [config.signals.features, targets.signals], masking,
    ]  # fmt: skip


def _manifest(config: Config) -> dict[str, Any]:
    names = ranking(config).names
    return {
        "features": names,
        "features_hash": fingerprint(names),
        "families": ranking(config).families,
        "dtype": "int8",
        "missing": cross_section.MISSING,
        "targets": config.targets.names,
    }


def _changed(site: Site, upstream: Upstream, current: Version) -> date:
    """The first day on which sectors, features or networks may differ from those that `current` was made from."""
    inputs = (upstream.prices, upstream.features, *([upstream.edges] if upstream.edges else []))
    return min(site.store.changed_since(made.table, current.inputs[made.table], labels=True) for made in inputs)


def _frame(site: Site, upstream: Upstream, days: Calendars, first: int, horizons: Sequence[int]) -> DataFrame:
    """The rows of the eras from `first` on, with targets of these horizons."""
    config, targets = site.config, site.config.targets
    eras = [row for row in days.era_days if row[0] >= first]
    since = min(day for _, _, day in eras)
    prices = from_date(quality.marked(site.store.read(upstream.prices), config.quality.policies), since)
    daily = _joined(site, upstream, prices, eras, days)
    return training_table(
        daily,
        prices,
        eras,
        days.sessions,
        ranking(config),
        horizons,
        targets.lag,
        targets.exposures,
        config.tables.era_block,
        targets.signals,
        days.id_dates,
    )


def _joined(
    site: Site, upstream: Upstream, prices: DataFrame, eras: Sequence[tuple[int, str, date]], days: Calendars
) -> DataFrame:
    """Daily features and, on the days of eras, what Numerai Signals' files and networks add."""
    config, store = site.config, site.store
    daily = from_date(store.read(upstream.features), min(day for _, _, day in eras))
    if upstream.signals or upstream.edges:
        daily = on_days(daily, era_days(store.spark, eras))
    if upstream.signals:
        joined = signals_files.of_eras(daily, store.read(upstream.signals), days.first_week)
        daily = with_signals(joined, config.signals.features, config.targets.signals)
    if upstream.edges:
        values = assets.history(daily, prices, chosen(config), "era")
        graphs = graph_of(days, config.network.every)
        daily = assets.with_network(daily, assets.network_momentum(values, store.read(upstream.edges), graphs))
    return daily
