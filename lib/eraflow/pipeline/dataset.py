"""What a run sees of a tournament: a training table, its eras, and what it must know at its two ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Protocol

import pandas as pd
from pyspark.sql import DataFrame

from eraflow.definitions import Definition
from eraflow.errors import InputError
from eraflow.features.missing import refuse_missing
from eraflow.graphs.described import Described
from eraflow.models.base import Training
from eraflow.models.levels import Levels
from eraflow.models.member import Names
from eraflow.pipeline.scores import Strategy
from eraflow.rounds.predicted import ids_hash
from eraflow.scoring import References
from eraflow.spans import EraSpan
from eraflow.tables import Store, Version

IN_ORDER = 50_000_000  # levels of a training table that is sorted and kept in memory


@dataclass(frozen=True)
class Eras:
    """The eras of a training table.

    `spans`: of each era with a known target the span of its label, of the target that is scored. `overlap`: how many
    consecutive eras share returns with one of them. `live`: the era that is predicted for. `dates` are empty where only
    numbers are known. `unlabelled`: eras whose label has ended without a target.
    """

    spans: Sequence[EraSpan]
    overlap: int
    live: int
    dates: Mapping[int, date] = field(default_factory=dict)
    unlabelled: Sequence[int] = ()

    @property
    def labelled(self) -> list[int]:
        """The eras with a known target."""
        return [span.era for span in self.spans]

    def since(self, first: int | date) -> int:
        """How many of the eras with a known target begin at this era, or on this date. InputError where none does."""
        if isinstance(first, date) and not self.dates:
            raise InputError(f"validation.holdout_from: eras have no dates here; name one by its number, not {first}.")
        if isinstance(first, date):
            later = [era for era in self.labelled if self.dates[era] >= first]
        else:
            later = [era for era in self.labelled if era >= first]
        if not later:
            raise InputError(
                f"validation.holdout_from: no era with a known target is at {first} or later; the last is "
                f"{self.dates.get(self.labelled[-1], self.labelled[-1])}."
            )
        return len(later)

    @property
    def live_span(self) -> EraSpan:
        """The live era, whose label nobody knows, as a moment on its date."""
        moment = self.dates.get(self.live, self.live)
        return EraSpan(self.live, moment, moment)


@dataclass(frozen=True)
class LiveRows:
    """The rows that predictions are made for: `ids` in order, and `levels`, rows x `names`.

    `frames` gives them as Spark has them, `id, era, features`, and with the rows of the weeks before: what models that
    follow tickers through time read.
    """

    era: int
    ids: Sequence[str]
    levels: Levels
    names: Names
    missing: int
    frames: Callable[[], tuple[DataFrame, DataFrame]] | None = None

    @cached_property
    def ids_sha256(self) -> str:
        return ids_hash(self.ids)

    @cached_property
    def levels_sha256(self) -> str:
        """Of ids and levels: the same where the data are."""
        return hashlib.sha256(self.ids_sha256.encode() + self.levels.tobytes()).hexdigest()

    def refuse_missing(self, facts: Mapping[str, Any], where: str, mend: str) -> None:
        """InputError, which says `where` and how to mend, if more is missing than in what models have learned from.

        `facts` are `Dataset.model_facts`.
        """
        refuse_missing(self.levels, self.names, self.missing, facts["most_missing"], where, mend)


@dataclass(frozen=True)
class Shown:
    """What the page says of the data. `quality`: columns check, count, detail; `network`: graphs over tickers."""

    quality: pd.DataFrame
    notes: Sequence[str]
    facts: Mapping[str, str]
    network: Described | None = None


class Dataset(Protocol):
    """The data of one tournament, at the versions that a run reads."""

    @property
    def tables(self) -> Sequence[Version]: ...

    @property
    def training(self) -> Training: ...

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Of the training table."""
        ...

    @property
    def eras(self) -> Eras: ...

    def spans(self, targets: Sequence[str]) -> Sequence[EraSpan]:
        """The spans of `eras`, each as long as the longest label of the scored target and of these."""
        ...

    def era_hashes(self, targets: Sequence[str]) -> Mapping[int, str]:
        """Of each era what tells that its ids, levels and these targets are the same."""
        ...

    @property
    def reading(self) -> Sequence[Definition]:
        """The code that makes rows as models see them of what the hashes of eras are of."""
        ...

    def files(self, eras: Sequence[int]) -> Sequence[str]:
        """The files in whose order the rows of these eras are read; none where it is that of eras and ids."""
        ...

    @property
    def live(self) -> LiveRows:
        """The rows of the live era, at its data date."""
        ...

    @property
    def model_facts(self) -> Mapping[str, Any]:
        """What saved models tell of the data, so that other rows can be held to it: `most_missing`, among others."""
        ...

    @property
    def references(self) -> References:
        """What scores are held against."""
        ...

    @property
    def reference_files(self) -> Sequence[Any]:
        """What tells that the files of references have changed."""
        ...

    @property
    def live_hash(self) -> str | None:
        """What tells that live rows have changed, where they are in none of the tables."""
        ...

    @property
    def asset(self) -> str | None:
        """An SQL expression of `id` for what is the same in all eras, if anything is."""
        ...

    def check_live(self) -> None:
        """Raises InputError where the live rows make no submission, or lack more than what models learn from."""
        ...

    def submission(self, live: pd.DataFrame) -> pd.DataFrame:
        """The file of the live rows' `id, era, prediction`."""
        ...

    def strategy(self, predictions: DataFrame) -> Strategy | None:
        """What portfolios of out-of-fold predictions would have earned, where there are prices."""
        ...

    def shown(self) -> Shown:
        """What the page says of the data."""
        ...


def hashes_together(hashes: pd.DataFrame, columns: Sequence[str]) -> dict[int, str]:
    """By era the hashes of these columns as one text."""
    return {int(str(era)): " ".join(map(str, row)) for era, *row in hashes[list(columns)].itertuples(name=None)}


def versions(tables: Iterable[Version]) -> dict[str, dict[str, object]]:
    """By its name the recipe and the number of each table, for the run manifest."""
    return {made.name: {"recipe": made.recipe, "version": made.number} for made in tables}


def training(store: Store, version: Version, target: str) -> Training:
    """The training table of Signals as models see it, read at one version."""
    manifest, table = version.manifest, store.read(version)
    names, missing = tuple(manifest["features"]), int(manifest["missing"])
    values = table.count() * len(names)  # counted by Delta's log
    if values > IN_ORDER:
        return Training(table, names, target, missing, families=manifest["families"])
    table = table.coalesce(1).sortWithinPartitions("era", "id")
    return Training(table, names, target, missing, families=manifest["families"], small=values)
