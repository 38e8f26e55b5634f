"""The steps `eras`, `signals` and `signals_match`: when labels start and end, Numerai's rows, and which tickers met."""

from __future__ import annotations

from eraflow.config import fingerprint
from eraflow.features.training import era_days, on_days
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Made, Step
from eraflow.sources import eras, lives, prices, signals_files
from eraflow.tables import Version


def eras_step(site: Site, days: Days, raw: Version, signals: Version | None) -> Step:
    """For each era and horizon the dates at which its label starts and ends; null where it has not ended yet."""
    targets = site.config.targets

    def make() -> Made:
        found = days.of(raw, signals)
        frame = eras.labels(site.store.spark, found.labels(targets.horizons, targets.lag))
        newest = {name: found.by_country[name].dates[-1].isoformat() for name in found.late}
        return Made(frame, {"first_week": found.first_week.isoformat(), "late": newest})

    inputs = (raw, *([signals] if signals else []))
    return Step("eras", [targets.horizons, targets.lag], inputs, make, state=lambda current: days.named)


def signals_step(site: Site, raw: Version) -> Step:
    """Numerai Signals' features and targets by ticker and date. InputError where the files have faults."""
    chosen, targets = site.config.signals, site.config.targets.signals
    names = lives.names(site.store.read(raw))

    def make() -> Made:
        found = signals_files.read(site.store.spark, chosen, targets, names)
        return Made(found, {"columns": [*chosen.features, *targets]})

    files = [(file.path, file.size, file.modified) for file in signals_files.files(site.store.spark, chosen)]
    settings = [chosen.features, targets, chosen.mapping is None, chosen.mapping_columns.model_dump()]
    return Step("signals", settings, (), make, state=lambda current: [files, fingerprint(names)])


def signals_match_step(site: Site, days: Days, raw: Version, signals: Version) -> Step:
    """Which tickers of the prices and of Numerai Signals met, and which did not."""

    def make() -> Made:
        found, theirs, bars = days.of(raw, signals), site.store.read(signals), site.store.read(raw)
        at_eras = on_days(prices.kept(bars), era_days(site.store.spark, found.era_days))
        faults = signals_files.map_faults(theirs, site.config.signals, lives.names(bars))
        return Made(signals_files.compared(at_eras, theirs, found.first_week, faults).coalesce(1), {})

    return Step("signals_match", None, (raw, signals), make, state=lambda current: days.named)
