"""What a run sees of a tournament: a training table, its eras, and what it must know at its two ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import pandas as pd
from pyspark.sql import DataFrame

from eraflow.errors import InputError
from eraflow.graphs.described import Described
from eraflow.models.base import Training
from eraflow.pipeline.scores import Strategy
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
    def known(self) -> list[int]:
        """The eras with a known target."""
        return [span.era for span in self.spans]

    def since(self, first: int | date) -> int:
        """How many of the eras with a known target begin at this era, or on this date. InputError where none does."""
        if isinstance(first, date) and not self.dates:
            raise InputError(f"validation.holdout_from: eras have no dates here; name one by its number, not {first}.")
        if isinstance(first, date):
            later = [era for era in self.known if self.dates[era] >= first]
        else:
            later = [era for era in self.known if era >= first]
        if not later:
            raise InputError(
                f"validation.holdout_from: no era with a known target is at {first} or later; the last is "
                f"{self.dates.get(self.known[-1], self.known[-1])}."
            )
        return len(later)

    @property
    def live_span(self) -> EraSpan:
        """The live era, whose label nobody knows, as a moment on its date."""
        moment = self.dates.get(self.live, self.live)
        return EraSpan(self.live, moment, moment)


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

    @property
    def live(self) -> DataFrame:
        """`id, era, features` of the live era, at its data date."""
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
    def asset(self) -> str | None:
        """An SQL expression of `id` for what is the same in all eras, if anything is."""
        ...

    def check_live(self) -> None:
        """Raises InputError where the live rows make no submission."""
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


def versions(tables: Iterable[Version]) -> dict[str, dict[str, object]]:
    """By its name the recipe and the number of each table, for the run manifest."""
    return {made.name: {"recipe": made.recipe, "version": made.number} for made in tables}


def training(store: Store, version: Version, target: str) -> Training:
    """The training table of Signals as models see it, read at one version."""
    manifest, table = version.manifest, store.read(version)
    names, missing = tuple(manifest["features"]), int(manifest["missing"])
    in_order = table.count() * len(names) <= IN_ORDER  # counted by Delta's log
    if in_order:
        table = table.coalesce(1).sortWithinPartitions("era", "id")
    return Training(table, names, target, missing, families=manifest["families"], in_order=in_order)
