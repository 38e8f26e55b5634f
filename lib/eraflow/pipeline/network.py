"""The tables of learned networks: graphs with their certificates, and their edges; past eras are not learned again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.config.network import Network
from eraflow.errors import InputError
from eraflow.features.feature import Feature
from eraflow.features.sets import EXPOSURES, columns, families
from eraflow.graphs.assets import NAMES, graph_edges, learned_graphs, network_momentum, with_network
from eraflow.graphs.history import Ensemble
from eraflow.pipeline.fresh import Freshness, Made
from eraflow.pipeline.versions import code
from eraflow.sources.calendar import Calendars
from eraflow.tables import Part, Store, Version


@dataclass(frozen=True)
class Networks:
    """Builds `graphs` and `graph_edges`, and adds network momentum to daily features."""

    store: Store
    fresh: Freshness
    config: Network
    features: Sequence[Feature]  # of the feature table
    era_block: int

    def check(self) -> None:
        """InputError where the feature set lacks what a network is learned from."""
        if missing := [name for name in NAMES if name not in columns(self.features)]:
            raise InputError(
                f"network.relearn: networks are learned from the momentum features, and the set has no {missing[0]!r}; "
                "choose features.set=main, momentum or all."
            )

    @property
    def recipe(self) -> object:
        """What the content of both tables depends on, beside their inputs."""
        return [self.config.model_dump(mode="json"), code("graphs"), self.era_block]

    def graphs(self, raw: Version, features: Version, prices: DataFrame, days: Calendars) -> Version:
        """The graphs of all eras with enough history (`assets.GRAPHS`).

        `prices`: `ticker, date, member, masked`.
        """
        dates = sorted({day for calendar in days.by_country.values() for day in calendar.dates})
        wanted = {era: days.last_sessions[era] for era in sorted(set(self.graph_of(days).values()))}
        ensemble = Ensemble(self.config.look_backs, self.config.degree)

        def frame(eras: dict[int, date]) -> DataFrame:
            tickers = sorted(row["ticker"] for row in prices.select("ticker").distinct().collect())  # some thousand
            history = self._history(self.store.read(features), prices)
            return learned_graphs(history, tickers, dates, eras, ensemble, self.era_block)

        def make_later(there: Version) -> Made | Version | None:
            first = self.store.changed_since("features", there.inputs["features"])
            later = {era: day for era, day in wanted.items() if day >= first}
            if first == date.min:
                return None
            if not later:
                return there  # the newest graph is of an earlier week
            return Made(frame(later), {}, self._part(later))

        return self.fresh.version(
            "graphs", self.recipe, None, (raw, features), lambda: Made(frame(wanted), {}), make_later, ("era_block",)
        )

    def edges(self, graphs: Version, days: Calendars) -> Version:
        """The edges of the mean graphs: `era, source, target, weight, normalised`."""

        def make_later(there: Version) -> Made | None:
            first = self.store.changed_since("graphs", there.inputs["graphs"])
            later = {era: day for era, day in days.last_sessions.items() if day >= first}
            if first == date.min or not later:
                return None
            changed = self.store.read(graphs).where(F.col("era") >= min(later))
            return Made(graph_edges(changed), {}, self._part(later))

        def make() -> Made:
            return Made(graph_edges(self.store.read(graphs)), {})

        return self.fresh.version("graph_edges", self.recipe, None, (graphs,), make, make_later, ("era_block",))

    def added(self, daily: DataFrame, prices: DataFrame, edges: Version, days: Calendars) -> DataFrame:
        """`daily`, which holds the days of eras and names them, with network momentum."""
        values = self._history(daily, prices, "era")
        return with_network(daily, network_momentum(values, self.store.read(edges), self.graph_of(days)))

    def graph_of(self, days: Calendars) -> dict[int, int]:
        """Era -> the era whose graph it uses: the first of its `every` weeks, which are counted by era numbers.

        A live era whose week has no session yet goes on with the graph before it.
        """
        first: dict[int, int] = {}
        rested = {days.live_era: days.live_era - 1} if days.last_week < days.live_era else {}
        return {era: first.setdefault(rested.get(era, era) // self.config.every, era) for era in sorted(days.eras)}

    def _part(self, eras: dict[int, date]) -> Part:
        era = min(eras)
        return Part(eras[era], f"era_block >= {era // self.era_block} AND era >= {era}")

    def _history(self, daily: DataFrame, prices: DataFrame, *others: str) -> DataFrame:
        known = prices.where(~F.coalesce("masked", F.lit(False))).select("ticker", "date", "member")
        joined = daily.join(known, on=["ticker", "date"], how="inner")
        return joined.select(*others, "ticker", "date", "member", *self._momentum())

    def _momentum(self) -> list[Column]:
        places = families([*self.features, *EXPOSURES])["momentum"]
        return [F.get("momentum", F.lit(places.index(name))).alias(name) for name in NAMES]
