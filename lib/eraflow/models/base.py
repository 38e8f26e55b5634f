"""The protocol that every model follows, and what it sees of the data: a training table and its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.features.packing import narrowed
from eraflow.predictions import of_eras

if TYPE_CHECKING:
    from eraflow.models.fitted import Fitted
    from eraflow.models.member import Estimator
    from eraflow.models.steps import Chosen, Step

_PLACES = 1_000_000  # that hashes of ids fall into


@dataclass(frozen=True)
class Training:
    """A training table read at one version: `id, era, features array<tinyint>, <targets> float`.

    `feature_names` are the elements of `features` in order; `missing` is the level that stands for an unknown value;
    `target` is the column that is learned; `share` of the rows are learned from. With a `half_life` a row weighs half
    as much as one that is so many eras younger. `families` are names for several features; `reach` says of targets how
    many eras on a label reaches: one later it is known. `absent` is the level that a feature has throughout an era of
    raw files where the era does not have it, None where features lack in no such way. `small` is the number of values
    of a small table: its rows come in one partition by era and id, however its files lie. Of others, whose rows come in
    the order of their files, it is None. A fit that is not `alone` runs beside others, and learns by one thread if it
    can.
    """

    table: DataFrame
    feature_names: tuple[str, ...]
    target: str
    missing: int
    share: float = 1.0
    half_life: float | None = None
    families: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reach: Mapping[str, int] = field(default_factory=dict)
    absent: int | None = None
    small: int | None = None
    alone: bool = True

    @property
    def in_order(self) -> bool:
        """Whether rows come by era and id."""
        return self.small is not None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps a small table in memory, since every fit, prediction and score reads it again."""
        if self.in_order:
            self.table.persist()
        try:
            yield
        finally:
            if self.in_order:
                self.table.unpersist()

    def rows(self, eras: Sequence[int]) -> DataFrame:
        """The rows of these eras; the filter reaches the files, so that others are not read."""
        return of_eras(self.table, eras)

    def labelled(self, eras: Sequence[int]) -> DataFrame:
        """The rows of these eras to learn from: those with a known target and, of them, `share` by a hash of the id."""
        return sampled(self.rows(eras).where(F.col(self.target).isNotNull()), self.share)

    def predicted(self, fitted: Fitted, eras: Sequence[int]) -> DataFrame:
        """`id, era, prediction, target` of the rows of these eras; an unknown target is null."""
        rows = self.rows(eras).select("id", "era", "features", F.col(self.target).alias("target"))
        return fitted.predict(rows, self.table, carried=["target"])

    def weights(self, eras: Sequence[int]) -> dict[int, float]:
        """What a row of each era weighs where these are learned from: 0.5^(age / half_life), 1 in the last of them.

        An age is a difference of era numbers, so that eras which are left out count as time that went by.
        """
        last = max(eras)
        return {era: 0.5 ** ((last - era) / self.half_life) if self.half_life else 1.0 for era in eras}

    def weight(self, eras: Sequence[int]) -> Column:
        """The same `weights` of the rows of a frame, double."""
        if not self.half_life:
            return F.lit(1.0)
        return F.pow(F.lit(0.5), (F.lit(max(eras)) - F.col("era")) / F.lit(self.half_life))

    def taken(self, wanted: Sequence[str], key: str = "features") -> tuple[bool, ...]:
        """Of each feature whether it is wanted, by its name or its family; of none named, all are.

        InputError, which names the config's key, where there is no such feature or family.
        """
        if unknown := [name for name in wanted if name not in self.families and name not in self.feature_names]:
            raise InputError(
                f"{key} names {unknown[0]!r}, which is no feature or family of the training table; families are "
                f"{', '.join(self.families)}."
            )
        held = {name for one in wanted for name in self.families.get(one, (one,))}
        return tuple(not wanted or name in held for name in self.feature_names)

    def narrowed(self, taken: Sequence[bool]) -> Training:
        """The same rows with these of the features."""
        names = tuple(compress(self.feature_names, taken))
        return replace(self, table=narrowed(self.table, taken), feature_names=names)


def sampled(rows: DataFrame, share: float) -> DataFrame:
    """The share of the rows that a hash of their ids chooses: the same each time, and part of every larger share."""
    if share >= 1.0:
        return rows
    return rows.where(F.pmod(F.xxhash64("id"), F.lit(_PLACES)) < F.lit(round(share * _PLACES)))


class Model(Protocol):
    """A kind of model that can learn."""

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> Estimator:
        """The estimator learned from the rows of `eras` whose target is known; `watched` eras tell when to stop."""
        ...


@runtime_checkable
class OneThreadModel(Model, Protocol):
    """One that can learn by one thread of one task."""

    def by_one_thread(self, values: int) -> bool:
        """Whether it learns from so many values in such a way, so that several fits can run side by side."""
        ...


@runtime_checkable
class EpochsModel(Model, Protocol):
    """One that passes over its eras several times, until `watched` eras tell it to stop."""

    work: Path | None  # where it keeps how far it is

    def lasting(self, epochs: int) -> Model:
        """The same for so many epochs."""
        ...


class Selector(Protocol):
    """A choice of features by the rows that are learned from."""

    def choose(self, training: Training, eras: Sequence[int]) -> Chosen:
        """What is kept by the labelled rows of `eras` alone."""
        ...


class Widening(Protocol):
    """More columns, which are learned from the rows before the model learns from them."""

    def widened(
        self, model: Model, training: Training, eras: Sequence[int], watched: Sequence[int]
    ) -> AbstractContextManager[tuple[Step, Training]]:
        """What `eras` say, as a step, and for as long as the context lasts their rows and the watched ones with it."""
        ...
