"""The tables of Signals, in the order of the data."""

from __future__ import annotations

from dataclasses import replace

from eraflow.pipeline.era_tables import eras_step, signals_match_step, signals_step
from eraflow.pipeline.feature_tables import edges_step, features_step, graphs_step, learns_networks, ranking
from eraflow.pipeline.price_table import prices_step, quality_step
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import NextStep, Steps, Versions
from eraflow.pipeline.training_table import Upstream, training_step
from eraflow.tables import Version


def tables(site: Site) -> Versions:
    """Fresh versions of all tables. InputError, with nothing written, where settings or files have faults."""
    ranking(site.config)  # refuses what there is not before anything is built
    return Steps(site.store, site.progress).taken(list(steps(site).values()))


def prices(site: Site) -> Versions:
    """A fresh version of the prices alone."""
    return Steps(site.store, site.progress).taken([steps(site)["prices"]])


def features_of_every_day(site: Site) -> Versions:
    """Fresh versions of the prices and of the features of every day, beside those that a training table reads."""
    every = steps(replace(site, every_day=True))
    return Steps(site.store, site.progress).taken([every["prices"], every["features"]])


def of_live_rows(site: Site, with_history: bool) -> Versions:
    """Fresh versions of what the rows of the live era are made from; `with_history` the training table, too."""
    idle = {"quality", "signals_match", *(() if with_history else ("eras", "training"))}
    return Steps(site.store, site.progress).taken([step for name, step in steps(site).items() if name not in idle])


def recipe(site: Site, made: Versions) -> str:
    """That of the training table, whether it is made or not: how levels come from prices."""
    every = steps(site)
    eras = made.get("eras") or Version(every["eras"](made).table, -1, "")
    return every["training"]({**made, "eras": eras}).recipe


def steps(site: Site) -> dict[str, NextStep]:
    """How the tables follow from each other, by name."""
    days, with_files, with_networks = Days(site), bool(site.config.signals.path), learns_networks(site.config)
    every: dict[str, NextStep] = {
        "prices": lambda made: prices_step(site, days),
        "quality": lambda made: quality_step(site, made["prices"]),
        "signals": lambda made: signals_step(site, made["prices"]),
        "features": lambda made: features_step(
            site, made["prices"], lambda: days.of(made["prices"], made.get("signals")).era_days
        ),
        "eras": lambda made: eras_step(site, days, made["prices"], made.get("signals")),
        "signals_match": lambda made: signals_match_step(site, days, made["prices"], made["signals"]),
        "graphs": lambda made: graphs_step(site, days, made["prices"], made.get("signals"), made["features"]),
        "graph_edges": lambda made: edges_step(site, days, made["prices"], made.get("signals"), made["graphs"]),
        "training": lambda made: training_step(site, days, upstream(made)),
    }
    idle = {
        *(() if with_files else ("signals", "signals_match")),
        *(() if with_networks else ("graphs", "graph_edges")),
    }
    return {name: step for name, step in every.items() if name not in idle}


def upstream(made: Versions) -> Upstream:
    """What rows of levels are made from."""
    others = (made.get(name) for name in ("eras", "signals", "graph_edges"))
    return Upstream(made["prices"], made["features"], *others)
