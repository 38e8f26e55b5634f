"""History moment by moment with what was known then: which model a policy would have had, and what that scored.

No files and no Spark: who fits and scores is given as a function. A moment sees only scores of eras whose labels had
ended before its day, and models that learned only from these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from eraflow.errors import InputError
from eraflow.monitoring.charts import LEAST_EFFECTIVE
from eraflow.monitoring.promotion import Verdict, at_look, paired
from eraflow.spans import EraSpan
from eraflow.validation import Fold, WalkForward

FIRST = "the first model"


@dataclass(frozen=True)
class Moment:
    """A day on which models may be refitted.

    `fold`: what they learn from then, and the eras that are predicted until the next moment. `resolved`: the eras whose
    labels had ended before.
    """

    number: int
    fold: Fold
    resolved: tuple[int, ...]

    @property
    def predicted(self) -> tuple[int, ...]:
        return self.fold.validation


def moments(
    spans: Sequence[EraSpan], splitter: WalkForward, start: int | date | None, dates: Mapping[int, date]
) -> list[Moment]:
    """The moments of a history, `splitter.period` eras from one to the next; from `start` on, an era or a date.

    InputError where there are fewer than two, or where eras have no dates and `start` is one.
    """
    if isinstance(start, date) and not dates:
        raise InputError(f"replay.start: eras have no dates here; name one by its number, not {start}.")
    folds = splitter.split(spans)
    if start is not None:
        folds = [fold for fold in folds if _at(fold.validation[0], start, dates) >= start]  # type: ignore[operator]
    if len(folds) < 2:
        raise InputError(
            f"replay.start leaves {len(folds)} moments of {splitter.period} eras to play; start earlier, lower "
            "validation.min_train_eras, or give a longer history."
        )
    first = {span.era: span.first for span in spans}
    return [
        Moment(
            number, fold, tuple(span.era for span in spans if span.last < first[fold.validation[0]])
        )
        for number, fold in enumerate(folds)
    ]  # fmt: skip


def _at(era: int, start: int | date, dates: Mapping[int, date]) -> int | date:
    return dates[era] if isinstance(start, date) else era


@dataclass(frozen=True)
class Policy:
    """When models are refitted, and which recipe is the champion.

    `every`: eras; None = never by schedule. `alarms`: whether scores that have left their limits are a reason, too.
    `recipes`: the first is the champion at first, and one of the others is promoted at a refit where it is better: by
    `compare_from` eras that both have, and `compare_every` eras after the last such comparison.
    """

    name: str
    every: int | None
    alarms: bool = False
    recipes: tuple[str, ...] = ()
    confidence: float = 0.95
    compare_from: int = 1
    compare_every: int = 1


@dataclass(frozen=True)
class Change:
    """A refit: at which moment, of which recipe, and why."""

    moment: int
    era: int  # the first that it predicts
    recipe: str
    why: str
    is_alarm: bool = False
    is_promotion: bool = False


@dataclass(frozen=True)
class Played:
    """What a policy did and scored: by era, what its champion scored."""

    policy: Policy
    scores: Mapping[int, float]
    changes: Sequence[Change]
    fits: Sequence[tuple[str, int]]  # recipe and moment


# Scores by era of a recipe that was fitted at a moment, for these eras.
Scored = Callable[[str, int, Sequence[int]], Mapping[int, float]]
# Scores that are known, in the order of eras: since the chart was begun, and before that -> why it alarms, or None.
Alarm = Callable[[Sequence[float], Sequence[float]], str | None]


@dataclass(frozen=True)
class _Playing:
    """A policy on its way through the moments; what it has done so far is added to its last fields."""

    policy: Policy
    moments: Sequence[Moment]
    scored: Scored
    alarm: Alarm
    overlap: int
    validated: Sequence[float]  # what the first model had scored out of fold
    begin: int  # the era from which on charts count at first
    live: dict[int, float] = field(default_factory=dict)
    ahead: dict[str, Mapping[int, float]] = field(default_factory=dict)
    streams: dict[str, dict[int, float]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    fits: list[tuple[str, int]] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)  # at the champion's challengers, by era

    def played(self) -> Played:
        for moment in self.moments:
            if change := self._change(moment):
                self._refitted(moment, change)
            for recipe in self.policy.recipes:
                scored = {era: self.ahead[recipe][era] for era in moment.predicted if era in self.ahead[recipe]}
                self.streams.setdefault(recipe, {}).update(scored)
                if recipe == self.champion:
                    self.live.update(scored)
        return Played(self.policy, self.live, self.changes, self.fits)

    @property
    def champion(self) -> str:
        """The recipe whose predictions count now."""
        return self.changes[-1].recipe if self.changes else self.policy.recipes[0]

    @property
    def chart_from(self) -> int:
        """The era from which on charts count: anew after an alarm, and of another recipe."""
        return next((one.era for one in reversed(self.changes) if one.is_alarm or one.is_promotion), self.begin)

    def _change(self, moment: Moment) -> Change | None:
        """What is done at the moment, by what is known then."""
        era = moment.predicted[0]
        if not self.changes:
            return Change(moment.number, era, self.champion, FIRST)
        why, is_alarm = self._alarmed(moment) if self.policy.alarms else (None, False)
        if why is None and self.policy.every is not None and era - self.changes[-1].era >= self.policy.every:
            why = f"{era - self.changes[-1].era} eras had passed"
        if why is None:
            return None
        better = self._better(moment)
        if better is None:
            return Change(moment.number, era, self.champion, why, is_alarm)
        return Change(moment.number, era, better[0], f"{why}; {better[1]}", is_alarm, is_promotion=True)

    def _alarmed(self, moment: Moment) -> tuple[str | None, bool]:
        scored = [(era, self.live[era]) for era in moment.resolved if era in self.live]
        before = [*self.validated, *(score for era, score in scored if era < self.chart_from)]
        why = self.alarm([score for era, score in scored if era >= self.chart_from], before)
        return why, why is not None

    def _better(self, moment: Moment) -> tuple[str, str] | None:
        """The recipe that is better than the champion's by what is resolved, and how that was told."""
        rules, era = self.policy, moment.predicted[0]
        if self.looks and era - self.looks[-1] < rules.compare_every:
            return None
        resolved = set(moment.resolved)
        by_recipe = {
            recipe: {era: x for era, x in scores.items() if era in resolved} for recipe, scores in self.streams.items()
        }
        found = []
        look = at_look(rules.confidence, len(self.looks) + 1)
        confidence = 1 - (1 - look) / max(1, len(rules.recipes) - 1)  # shared by the challengers
        for recipe in rules.recipes:
            if recipe != self.champion and by_recipe[recipe].keys() & by_recipe[self.champion].keys():
                gain = paired(by_recipe[self.champion], by_recipe[recipe], self.overlap, confidence, rules.compare_from)
                if gain.verdict is not Verdict.UNKNOWN and self.looks[-1:] != [era]:
                    self.looks.append(era)
                if gain.verdict is Verdict.BETTER:
                    found.append((gain.mean, recipe, f"{recipe} was better over {gain.eras} eras"))
        return max(found)[1:] if found else None

    def _refitted(self, moment: Moment, change: Change) -> None:
        """Fits every recipe that is compared, and has it scored until the schedule's next refit at the latest."""
        eras = ahead(self.policy, self.moments, moment.number)
        self.ahead.update({recipe: self.scored(recipe, moment.number, eras) for recipe in self.policy.recipes})
        self.fits.extend((recipe, moment.number) for recipe in self.policy.recipes)
        self.changes.append(change)
        if change.is_promotion:
            self.looks.clear()


def played(
    policy: Policy, moments: Sequence[Moment], scored: Scored, alarm: Alarm, overlap: int, validated: Sequence[float]
) -> Played:
    """The policy, played through the moments.

    A schedule waits until its eras have passed at a moment, so that a fit predicts less than `every` eras and a step.
    `validated`: what the first model had scored out of fold, which charts hold its live scores against. Where that is
    less than a baseline takes, the first live eras complete it.
    """
    lacking = max(0, LEAST_EFFECTIVE * overlap - len(validated))
    begin = moments[0].predicted[0] + lacking
    return _Playing(policy, moments, scored, alarm, overlap, validated, begin).played()


def ahead(policy: Policy, moments: Sequence[Moment], number: int) -> list[int]:
    """The eras that a fit at this moment may have to predict: until the schedule's next refit, at the latest."""
    later = moments[number:]
    begin = later[0].predicted[0]
    waits = [at for at in later if policy.every is None or at.predicted[0] - begin < policy.every]
    return [era for moment in waits for era in moment.predicted]


def planned(policy: Policy, moments: Sequence[Moment]) -> list[int]:
    """The moments at which the policy refits by its schedule alone."""
    found: list[int] = []
    for moment in moments:
        era = moment.predicted[0]
        if not found or (policy.every is not None and era - moments[found[-1]].predicted[0] >= policy.every):
            found.append(moment.number)
    return found
