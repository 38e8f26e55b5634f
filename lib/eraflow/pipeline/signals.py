"""Numerai Signals as a run sees it: the tables that stand upstream, read at one version each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame

from eraflow.config import Config
from eraflow.definitions import Definition, root
from eraflow.features import hashes
from eraflow.features.missing import COMPARED, most_missing
from eraflow.graphs.described import Described, described
from eraflow.models.base import Training
from eraflow.pipeline import signals_steps
from eraflow.pipeline.dataset import Eras, LiveRows, Shown, hashes_together, training
from eraflow.pipeline.scores import ASSET, Strategy, signals_references, strategy
from eraflow.pipeline.signals_live import SignalsRound, collected
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.progress import Progress
from eraflow.scoring import References
from eraflow.scoring.strategy import Holding
from eraflow.sources import quality, signals_files, signals_neutralizers
from eraflow.sources.eras import Labels, labels_of
from eraflow.spans import EraSpan, label_reach, reaching
from eraflow.tables import HASHES, Store, Version, file_names, note_of

SYNTHETIC_NOTE = (
    "The prices are invented. The effects planted in them have a drift of {momentum} (momentum) and {network} "
    "(network) daily deviations; real markets pay far less."
)
UNIVERSE_NOTE = (
    "Numerai's files have no rows of the newest era's date: the submission holds all tickers that they have ever "
    "named, and Numerai takes those of its live universe."
)
SURVIVORS_NOTE = (
    "Scores rest on the tickers that the price files hold. If those were chosen by who is left today, failed companies "
    "are missing and every score is too good (survivorship bias)."
)


def dataset(store: Store, config: Config, progress: Progress, tables: Versions | None = None) -> Signals:
    """Brings the tables up to date, unless they are given."""
    return Signals(store, config, tables or signals_steps.tables(Site(store, config, progress)))


@dataclass(frozen=True)
class Signals:
    """The data of Signals (a `Dataset`), at these versions of its tables."""

    store: Store
    config: Config
    made: Versions
    asset = ASSET

    @property
    def tables(self) -> Sequence[Version]:
        return tuple(self.made.values())

    @property
    def manifest(self) -> Mapping[str, Any]:
        return self.made["training"].manifest

    @cached_property
    def training(self) -> Training:
        horizons = {name: self.config.targets.names[name] for name in self.config.learned_targets}
        reach = {name: label_reach(self._labels[days].spans, self._dates) for name, days in horizons.items()}
        return replace(training(self.store, self.made["training"], self.config.targets.main), reach=reach)

    @cached_property
    def eras(self) -> Eras:
        labels = self._labels[self._horizon]
        labelled = set(
            self._hashes[self.config.targets.main].dropna().index
        )  # a label may have ended with too few known returns for a target
        return Eras(
            [span for span in labels.spans if span.era in labelled],
            labels.overlap,
            max(self._dates),
            self._dates,
            [span.era for span in labels.spans if span.era not in labelled],
        )

    def spans(self, targets: Sequence[str]) -> Sequence[EraSpan]:
        spans = self.eras.spans
        for horizon in {self.config.targets.names[name] for name in targets}:
            spans = reaching(spans, self._labels[horizon].spans)
        return spans

    def era_hashes(self, targets: Sequence[str]) -> Mapping[int, str]:
        return hashes_together(self._hashes, ("levels", *targets))

    @property
    def reading(self) -> Sequence[Definition]:
        return (root(training),)

    def files(self, eras: Sequence[int]) -> Sequence[str]:
        return () if self.training.in_order else file_names(self.training.rows(eras))

    @property
    def live(self) -> LiveRows:
        return self._round.rows

    @cached_property
    def model_facts(self) -> Mapping[str, Any]:
        *past, _ = sorted(self._dates)
        data = self.training
        return {
            "tournament": "signals",
            "invented": self.config.source == "synthetic",
            "first_week": self.made["eras"].manifest["first_week"],
            "most_missing": most_missing(data.rows(past[-COMPARED:]), data.feature_names, data.missing),
        }

    @cached_property
    def references(self) -> References:
        first_week = date.fromisoformat(self.made["eras"].manifest["first_week"])
        return signals_references(self.config, self.store, self.training, self._numerais, first_week)

    @property
    def reference_files(self) -> Sequence[Any]:
        return signals_neutralizers.identity(self.store.spark, self.config.signals)

    @property
    def live_hash(self) -> None:
        """Live rows are of the training table."""

    def check_live(self) -> None:
        self._round.check(self.model_facts)

    def submission(self, live: pd.DataFrame) -> pd.DataFrame:
        return self._round.submission(live)

    def strategy(self, predictions: DataFrame) -> Strategy:
        holding = Holding(self.config.targets.lag, self._horizon)
        return strategy(predictions, self.store.read(self.made["prices"]), holding)

    def shown(self) -> Shown:
        found = quality.counted(self.store.read(self.made["quality"]), self.config.quality.policies)
        if "signals_match" in self.made:
            matched = signals_files.counted(self.store.read(self.made["signals_match"]))
            found = pd.concat([found, matched], ignore_index=True)
        days, config = list(self._dates.values()), self.config
        late = self.made["eras"].manifest["late"].items()
        left_out = [
            f"{name} is left out of the era of {days[-1]}: its prices end on {newest}." for name, newest in late
        ]
        facts = {
            "source": str(self.made["prices"].manifest["source"]),
            "eras": f"{len(days)} weekly eras, {days[0]} to {days[-1]}",
            "data date": str(days[-1]),
            "features": f"{len(self.training.feature_names)} ({config.features.set})",
            "target": f"{config.targets.main}, {config.targets.lag} days after the era's date",
            "labels overlap": f"{self.eras.overlap} eras",
        }
        notes = [*_notes(config), *left_out, *([] if self._round.names[1] else [UNIVERSE_NOTE])]
        return Shown(found, notes, facts, self._network())

    def _network(self) -> Described | None:
        read, made = self.store.read, self.made
        if "graphs" not in made or "graph_edges" not in made:
            return None
        return described(read(made["graphs"]), read(made["graph_edges"]), read(made["prices"]))

    @property
    def _horizon(self) -> int:
        return self.config.targets.names[self.config.targets.main]

    @cached_property
    def _labels(self) -> dict[int, Labels]:
        """By horizon what the table says."""
        return labels_of(self.store.read(self.made["eras"]))

    @property
    def _dates(self) -> Mapping[int, date]:
        return self._labels[self._horizon].dates

    @cached_property
    def _hashes(self) -> pd.DataFrame:
        """Of each era, found once for each version of the table."""
        version, targets = self.made["training"], sorted(self.config.targets.names)
        noted = self.store.notes.get(note_of(HASHES, version.table))
        if noted is None or noted.get("fingerprint") != version.fingerprint:
            found = hashes.of_rows(self.training.table, targets)
            noted = {"fingerprint": version.fingerprint, "hashes": json.loads(found.to_json(orient="split"))}
            self.store.notes.put(note_of(HASHES, version.table), noted)
        return pd.DataFrame(noted["hashes"]["data"], noted["hashes"]["index"], noted["hashes"]["columns"], dtype=object)

    @cached_property
    def _numerais(self) -> DataFrame | None:
        return self.store.read(self.made["signals"]) if "signals" in self.made else None

    @cached_property
    def _round(self) -> SignalsRound:
        data, era = self.training, self.eras.live
        rows = data.rows([era]).select("id", "era", "features")
        return SignalsRound(
            collected(rows, era, data.feature_names, data.missing, data.table), self._dates[era], self._numerais
        )


def _notes(config: Config) -> tuple[str, ...]:
    if config.source == "synthetic":
        return (SYNTHETIC_NOTE.format(momentum=config.synthetic.momentum, network=config.synthetic.network),)
    return (*([config.prices.note] if config.prices.note else []), SURVIVORS_NOTE)
