"""How a model learns: steps fitted one after another, then an estimator; of several targets and seeds on one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from eraflow.models.base import EpochsModel, Model, OneThreadModel, Selector, Training, Widening
from eraflow.models.fitted import Fitted
from eraflow.models.member import Member
from eraflow.models.steps import Chosen, Step
from eraflow.whole_files import write_json


@dataclass(frozen=True)
class Parts:
    """The eras that are learned from, those that are watched for when to stop, and `every` era of a final model.

    To every era a network is fitted again, for as many epochs as it had learned when it stopped: else it would never
    learn its last year.
    """

    eras: Sequence[int]
    watched: Sequence[int] = ()
    every: Sequence[int] = ()


@dataclass(frozen=True)
class Unfitted:
    """One fit to come: what it learns, its seed, its estimator, and the graph over features in front of that."""

    model: Model
    target: str
    seed: int
    network: Widening | None = None

    def fit(self, training: Training, parts: Parts, before: tuple[Step, ...]) -> Member:
        """Fitted to rows that the steps `before` have been applied to."""
        if parts.every and isinstance(self.model, EpochsModel):
            again = self.model.lasting(self._epochs(self.model, training, parts))
            return Member(self.target, self.seed, before, again.fit(training, parts.every))
        if self.network is None:
            return Member(self.target, self.seed, before, self.model.fit(training, parts.eras, parts.watched))
        with self.network.widened(self.model, training, parts.eras, parts.watched) as (step, rows):
            return Member(self.target, self.seed, (*before, step), self.model.fit(rows, parts.eras, parts.watched))

    def _epochs(self, model: EpochsModel, training: Training, parts: Parts) -> int:
        """For how many epochs the model learns where it watches eras; kept beside its working folder once known."""
        note = model.work and model.work.with_name(f"{model.work.name}-epochs.json")
        if note and note.is_file():
            return int(json.loads(note.read_text(encoding="utf-8")))
        found = model.fit(training, parts.eras, parts.watched).epoch
        assert found
        if note:
            write_json(note, found)
        return found


@dataclass(frozen=True)
class Members:
    """A model of one member or more. It learns from the features that `wanted` names, by name or family; all of none.

    Of these `selecting` keeps some: once for each target, by the same rows, so that its members share them.
    """

    members: tuple[Unfitted, ...]  # those of one target side by side
    wanted: tuple[str, ...] = ()
    selecting: Selector | None = None

    def by_one_thread(self, values: int) -> bool:
        """Whether all of it learns from so many values by one thread, so that fits can run side by side."""
        return self.selecting is None and all(
            one.network is None and isinstance(one.model, OneThreadModel) and one.model.by_one_thread(values)
            for one in self.members
        )

    def fit(
        self, training: Training, eras: Sequence[int], watched: Sequence[int] = (), every: Sequence[int] = ()
    ) -> Fitted:
        """Every member fitted to the same eras (see `Parts`). InputError where a wanted feature is not there."""
        named, rows = list[Step](), training
        if self.wanted:
            taken = training.taken(self.wanted)
            named, rows = [Chosen.of(taken)], training.narrowed(taken)
        fitted = []
        for target, group in groupby(self.members, attrgetter("target")):
            before, seen = tuple(named), replace(rows, target=target)
            if self.selecting:
                chosen = self.selecting.choose(seen, eras)
                before, seen = (*before, chosen), seen.narrowed(chosen.taken(len(seen.feature_names)))
            fitted += [member.fit(seen, Parts(eras, watched, every), before) for member in group]
        return Fitted(training.feature_names, training.missing, tuple(fitted), training.absent)
