"""The steps `features`, `graphs` and `graph_edges`: daily features of prices, and the networks learned from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.features import sets
from eraflow.features.daily import daily_features, later_features, reads_sectors
from eraflow.features.feature import Feature
from eraflow.features.ranking import Ranking
from eraflow.features.signals import SignalsFeature
from eraflow.graphs import assets
from eraflow.graphs.assets import NAMES, NETWORK, graph_edges, learned_graphs
from eraflow.graphs.history import Ensemble
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Made, Step
from eraflow.sources import prices, quality
from eraflow.sources.calendar import Calendar, Calendars
from eraflow.tables import Part, Version, from_day

EraDays = Sequence[tuple[int, str, date]]  # era, country, its day


def features_step(site: Site, raw: Version, era_days: Callable[[], EraDays]) -> Step:
    """The daily features, of the days of eras or of every day (`Site`), and of rows with states in either case.

    With `site.rebuild` the days of a range are made again whether they are fresh or not.
    """
    store, rebuild, engine = site.store, site.rebuild, site.config.features.engine
    wanted, every_day = chosen(site.config), site.every_day or learns_networks(site.config)

    def kept() -> dict[str, tuple[date, ...]] | None:
        return None if every_day else _by_country(era_days())

    def packed() -> dict[str, str]:
        return {name: Calendar(its).packed for name, its in (kept() or {}).items()}

    def manifest() -> dict[str, object]:
        return {"columns": sets.families([*wanted, *sets.EXPOSURES]), "days": packed()}

    def make() -> Made:
        return Made(daily_features(prices.kept(store.read(raw)), wanted, engine, kept()), manifest())

    def make_later(current: Version) -> Made | None:
        first = store.changed_since(raw.table, current.inputs[raw.table], labels=reads_sectors(wanted))
        last = None
        if first == date.min:
            return None
        first = min([first, *_other_days(current.manifest["days"], kept() or {})])
        if rebuild:
            first, last = min(first, rebuild[0]), rebuild[1] if first == date.max else None
        bars, before = prices.kept(store.read(raw)), store.read(current)
        later = later_features(bars, wanted, before, first, last, engine, kept())
        return Made(later, manifest(), from_day(first, last))

    return Step(
        "features",
        [engine, every_day, sets.fingerprint(wanted), sets.fingerprint(sets.EXPOSURES)],
        (raw,),
        make,
        make_later,
        ("year",),
        state=lambda current: packed(),
        again=lambda current: rebuild is not None,
    )


def _by_country(era_days: EraDays) -> dict[str, tuple[date, ...]]:
    found: dict[str, set[date]] = {}
    for _, country, day in era_days:
        found.setdefault(country, set()).add(day)
    return {country: tuple(sorted(its)) for country, its in sorted(found.items())}


def _other_days(before: Mapping[str, str], now: Mapping[str, Sequence[date]]) -> set[date]:
    """The days that only one of both names: an era's day moves on with its week, and back where prices end earlier."""
    held = {name: {*Calendar.unpacked(text).dates} for name, text in before.items()}
    return {day for name in {*held, *now} for day in held.get(name, set()) ^ {*now.get(name, ())}}


def graphs_step(site: Site, days: Days, raw: Version, signals: Version | None, features: Version) -> Step:
    """The graphs of all eras with enough history (`assets.GRAPHS`): past eras are not learned again."""
    store, rules = site.store, site.config.network
    ensemble, era_block = Ensemble(rules.look_backs, rules.degree), site.config.tables.era_block

    def frame(eras: dict[int, date]) -> DataFrame:
        bars = quality.marked(store.read(raw), site.config.quality.policies)
        history = assets.history(store.read(features), bars, chosen(site.config))
        return learned_graphs(history, prices.tickers(bars), days.of(raw, signals).dates, eras, ensemble, era_block)

    def wanted() -> dict[int, date]:
        found = days.of(raw, signals)
        return {era: found.last_sessions[era] for era in sorted(set(graph_of(found, rules.every).values()))}

    def make() -> Made:
        return Made(frame(wanted()), {})

    def make_later(current: Version) -> Made | Version | None:
        first = store.changed_since(features.table, current.inputs[features.table])
        later = {era: day for era, day in wanted().items() if day >= first}
        if first == date.min:
            return None
        if not later:
            return current  # the newest graph is of an earlier week
        return Made(frame(later), {}, _part(later, era_block))

    settings = [rules.model_dump(mode="json"), era_block]
    return Step("graphs", settings, (raw, features), make, make_later, ("era_block",))


def edges_step(site: Site, days: Days, raw: Version, signals: Version | None, graphs: Version) -> Step:
    """The edges of the mean graphs: `era, source, target, weight, normalised`."""
    store, era_block = site.store, site.config.tables.era_block

    def make() -> Made:
        return Made(graph_edges(store.read(graphs)), {})

    def make_later(current: Version) -> Made | None:
        first = store.changed_since(graphs.table, current.inputs[graphs.table])
        later = {era: day for era, day in days.of(raw, signals).last_sessions.items() if day >= first}
        if first == date.min or not later:
            return None
        return Made(graph_edges(assets.from_era(store.read(graphs), min(later))), {}, _part(later, era_block))

    return Step("graph_edges", era_block, (graphs,), make, make_later, ("era_block",))


def chosen(config: Config) -> tuple[Feature, ...]:
    """The features of prices that the config names."""
    return sets.feature_set(config.features.set, config.features.traded_money != "never")


def ranking(config: Config) -> Ranking:
    """All features of the training table. InputError: a set, a feature or an exposure that there is not."""
    rules, named = config.features, chosen(config)
    theirs = [SignalsFeature(name) for name in config.signals.features]
    if taken := sorted(set(config.signals.features) & set(sets.columns([*named, *sets.EXPOSURES]))):
        raise InputError(f"signals.features: {taken[0]!r} is a feature of the set {rules.set} too; leave it out.")
    network = NETWORK if learns_networks(config) else ()
    if network and (missing := [name for name in NAMES if name not in sets.columns(named)]):
        raise InputError(
            f"network.relearn: networks are learned from the momentum features, and the set has no {missing[0]!r}; "
            "choose features.set=main, momentum or all."
        )
    exposures = list(sets.columns(sets.EXPOSURES))
    if unknown := sorted(set(config.targets.exposures) - set(exposures)):
        raise InputError(f"targets.exposures: there is no exposure {unknown[0]!r}; choose from {', '.join(exposures)}.")
    return Ranking([*named, *theirs, *network], rules.ranks, rules.neutral_to, rules.interactions)


def learns_networks(config: Config) -> bool:
    """Whether networks are learned at all."""
    return config.network.relearn != "never"


def graph_of(days: Calendars, every: int) -> dict[int, int]:
    """Era -> the era whose graph it uses: the first of its `every` weeks, which are counted by era numbers.

    A live era whose week has no session yet goes on with the graph before it.
    """
    first: dict[int, int] = {}
    rested = {days.live_era: days.live_era - 1} if days.last_week < days.live_era else {}
    return {era: first.setdefault(rested.get(era, era) // every, era) for era in sorted(days.eras)}


def _part(eras: dict[int, date], era_block: int) -> Part:
    era = min(eras)
    return Part(eras[era], f"era_block >= {era // era_block} AND era >= {era}")
