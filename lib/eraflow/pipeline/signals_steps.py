"""The tables of Signals, in the order of the data."""

from __future__ import annotations

from collections.abc import Iterator

from eraflow.pipeline.era_tables import eras_step, signals_match_step, signals_step
from eraflow.pipeline.feature_tables import edges_step, features_step, graphs_step, learns_networks, ranking
from eraflow.pipeline.price_table import prices_step, quality_step
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import NextStep, Steps, Versions
from eraflow.pipeline.training_table import Upstream, training_step


def tables(site: Site) -> Versions:
    """Fresh versions of all tables. InputError, with nothing written, where settings or files have faults."""
    ranking(site.config)  # refuses what there is not before anything is built
    return Steps(site.store, site.progress).taken(list(steps(site)))


def prices(site: Site) -> Versions:
    """A fresh version of the prices alone."""
    return Steps(site.store, site.progress).taken(list(steps(site))[:1])


def steps(site: Site) -> Iterator[NextStep]:
    """How the tables follow from each other."""
    days = Days(site)
    yield lambda made: prices_step(site, days)
    yield lambda made: quality_step(site, made["prices"])
    yield lambda made: features_step(site, made["prices"])
    if site.config.signals.path:
        yield lambda made: signals_step(site, made["prices"])
    yield lambda made: eras_step(site, days, made["prices"], made.get("signals"))
    if site.config.signals.path:
        yield lambda made: signals_match_step(site, days, made["prices"], made["signals"])
    if learns_networks(site.config):
        yield lambda made: graphs_step(site, days, made["prices"], made.get("signals"), made["features"])
        yield lambda made: edges_step(site, days, made["prices"], made.get("signals"), made["graphs"])
    yield lambda made: training_step(
        site, days,
        Upstream(made["prices"], made["features"], made["eras"], made.get("signals"), made.get("graph_edges")),
    )  # fmt: skip
