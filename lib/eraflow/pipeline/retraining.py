"""What `jobs/retrain.py` does: a champion refitted on newer data, or replaced by a recipe that is better."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.locks import BusyError, locked
from eraflow.monitoring.champions import ALARM, Champion, Decision
from eraflow.monitoring.promotion import Paired, Ruling, Verdict, Verdicts, at_look, decided
from eraflow.outcome import Code, Outcome
from eraflow.pipeline import traded_money
from eraflow.pipeline.recipes import Recipe, compared, recipe_hash, recipe_of, settings_of_champion, shared, varied
from eraflow.pipeline.repeated import tables_of
from eraflow.pipeline.steps import Versions
from eraflow.pipeline.tracked import tell_champion
from eraflow.pipeline.train import brought, trained
from eraflow.pipeline.watching import FOLDER, last, referenced
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.tables import Store

# What a retraining passes, in order; tests kill it at each. Before "decided" the champion stands.
POINTS = ("brought", "begun", "refitted", "challenged", "compared", "decided", "told", "ended")
PARTS = ("refit", "challenger")  # of what is compared


def nothing_more(_: str) -> None:
    """What happens at a point of a retraining."""


def config_of_champion(
    overlays: Sequence[str], settings: Sequence[str], install: str | None = None, rollback: bool = False,
    history: bool = False, **_: object,
) -> Config:  # fmt: skip
    """The champion's settings, its data where this command says that they lie; else the command's own.

    InputError: there is no such champion, or its data are of another version than the command's.
    """
    if install or rollback or history:
        return load(overlays, settings)
    return settings_of_champion(overlays, settings)


def retrain(
    start: Callable[[], SparkSession],
    config: Config,
    progress: Progress,
    install: str | None = None,
    now: bool = False,
    rollback: bool = False,
    history: bool = False,
    at: Callable[[str], None] = nothing_more,
) -> Outcome:
    """One call of the job, for the champion that `retrain.champion` names. Exit code 3: nothing is due.

    `install` makes a finished run the champion, `rollback` the run before it again, `history` makes every decision
    again from its manifest; these need no Spark but to look at a new champion's validated eras, which its first round
    would have to do before it is sent. `now` does not wait for the schedule or an alarm.
    """
    if sum((install is not None, now, rollback, history)) > 1:
        raise InputError("--install, --now, --rollback and --history are four commands; give one of them.")
    base = local_path(config.run.dir, "run.dir")
    champion = Champion.of(base, config.retrain.champion)
    desk = Retraining(config, base, champion, progress, at)
    if history:
        return desk.history()
    try:
        with locked(champion.folder, "run.dir"):
            if install is not None:
                found = desk.install(install)
                referenced(start, config, progress, install)
                return found
            return desk.roll_back() if rollback else desk.retrained(start, now)
    except BusyError:
        return Outcome(Code.NOTHING_TO_DO, (f"another call is at work below {champion.folder}",))


@dataclass(frozen=True)
class Retraining:
    """One call for one champion. The caller holds the lock of its folder."""

    config: Config
    base: Path  # run.dir
    champion: Champion
    progress: Progress
    at: Callable[[str], None]

    def install(self, run: str) -> Outcome:
        """Makes a finished run the champion. InputError where there is no such run."""
        recipe = recipe_of(self.base, run, "--install")
        if self.champion.decisions and self.champion.run == run:
            return Outcome(Code.DONE, (f"{run} is champion {self.champion.name} already", *self._mlflow_lines()))
        return self._made(Ruling.INSTALL, recipe, "somebody named it")

    def roll_back(self) -> Outcome:
        """Makes the run that was the champion before the champion again. InputError where there was none."""
        runs = self.champion.runs
        if len(runs) < 2:
            raise InputError(
                f"--rollback: {self.champion.run} is the first run that was champion {self.champion.name}."
            )
        recipe = recipe_of(self.base, runs[-2], "--rollback")
        return self._made(Ruling.ROLL_BACK, recipe, f"somebody took {self.champion.run} back")

    def history(self) -> Outcome:
        """All decisions, each made again from its manifest. InputError where one comes out otherwise."""
        found = self.champion.decisions
        if not found:
            return Outcome(Code.NOTHING_TO_DO, (f"there is no champion {self.champion.name} below {self.base} yet",))
        if others := [other for decision in found if (other := decision.again())]:
            raise InputError(f"{self.champion.folder}: {others[0]}; its manifest has been changed, or the rules have.")
        runs = " <- ".join(reversed(self.champion.runs))
        return Outcome(
            Code.DONE, (*map(str, found), f"made again from their manifests: all {len(found)} the same; {runs}")
        )

    def retrained(self, start: Callable[[], SparkSession], now: bool) -> Outcome:
        """Refits, compares and decides, where that is due or was begun; else tells what it waits for."""
        started = time.monotonic()
        store = Store(start(), self.config.tables.root, self.config.tables.wait)
        if stopped := self.champion.attempt:
            self.progress.note(f"going on with attempt {stopped['number']:04}, which was stopped")
        attempt = stopped or self._begun(store, now)
        if isinstance(attempt, Outcome):
            return attempt
        refit = self._refit(store, attempt)
        self.at("refitted")
        wait = self._too_early(refit or self._standing)
        if wait:
            self.progress.note(wait)
        challenger = None if wait else self._challenger(store, attempt, refit)
        self.at("challenged")
        decision = self._decided(attempt, refit, challenger, time.monotonic() - started)
        self.at("decided")
        lines = self._mlflow_lines()
        self.at("told")
        referenced(lambda: store.spark, self.config, self.progress, decision.champion)
        self.champion.end()
        self.at("ended")
        return Outcome(Code.DONE, (*_lines(decision), *([f"  {wait}"] if wait else []), *lines))

    def _begun(self, store: Store, now: bool) -> Mapping[str, Any] | Outcome:
        """A new attempt, noted, where one is due."""
        lines, standing = self._mlflow_lines(), self._standing
        standing.scores(self.config.retrain.metric)  # refused before anything is fitted
        self.progress.stage("bringing data up to date")
        data = brought(store, traded_money.settled(store.spark, self.config, self.progress), self.progress)
        self.at("brought")
        is_newer = dict(standing.tables) != {made.name: made.fingerprint for made in data.tables}
        passed = data.eras.live - self._newest
        due = self._due(passed, data.eras.overlap, is_newer, now)
        if not due:
            waits = f"champion {self.champion.name} is {standing.name}: {self._waits(passed, is_newer)}"
            early = self._too_early(standing)
            return Outcome(Code.NOTHING_TO_DO, (waits, *([early] if early else []), *lines))
        refit = f"{self.champion.name}-{self.champion.next:04}" if is_newer else None
        begun = self.champion.begin({"due": due, "standing": standing.name, "refit": refit})
        self.at("begun")
        return begun

    def _due(self, passed: int, overlap: int, is_newer: bool, now: bool) -> list[str]:
        """Why something is to be done; empty where nothing is.

        An alarm waits until a label of the champion's own can be known: before that nothing new was scored.
        """
        rules, found = self.config.retrain, []
        is_early = self._other is None or self._too_early(self._standing) is not None
        if self._other is not None and not is_early and not self._looks(recipe_hash(self._other)):
            found.append("the challenger's recipe was not compared before")
        if is_newer and rules.every is not None and passed >= rules.every:
            found.append(f"{passed} eras have passed, and retrain.every is {rules.every}")
        if is_newer and rules.alarms and passed > overlap:
            found += self._alarms()
        if now and (is_newer or not is_early):
            found.append("somebody said --now")
        return found

    def _alarms(self) -> list[str]:
        """What the monitor's last call said of slots that the champion fills, where it said `retrain`."""
        monitored = last(local_path(self.config.submit.dir, "submit.dir") / FOLDER)
        of_champion = {slot: one for slot, one in monitored.items() if one.get("run") == self._standing.name}
        return [
            f"{ALARM} of {slot}: {'; '.join(one.get('score_reasons') or one.get('reasons') or ())}"
            for slot, one in of_champion.items()
            if one.get("level") == "retrain"
        ]

    def _waits(self, passed: int, is_newer: bool) -> str:
        every = self.config.retrain.every
        if not is_newer:
            return "its data are the newest that there are"
        if every is None:
            return "retrain.every is null, so that it waits for --now, an alarm or a new challenger"
        return f"{passed} eras have passed since its newest, and retrain.every is {every}"

    def _refit(self, store: Store, attempt: Mapping[str, Any]) -> Recipe | None:
        """The champion's recipe, fitted on newer data; None where there are none."""
        if attempt["refit"] is None:
            return None
        return self._trained(store, self._named(self.config, attempt["refit"]))

    def _challenger(self, store: Store, attempt: Mapping[str, Any], refit: Recipe | None) -> Recipe | None:
        """The other recipe, on the same data; None where none is named."""
        if self._other is None:
            return None
        beside = refit or self._standing
        name = f"{self.champion.name}-{attempt['number']:04}-{recipe_hash(self._other)[:6]}"
        tables = shared(self._other, self.config, tables_of(self.base / beside.name, store))
        return self._trained(store, self._named(self._other, name), tables)

    def _trained(self, store: Store, config: Config, tables: Versions | None = None) -> Recipe:
        """The finished run of these settings; one that is there stays, whatever data have come since then.

        InputError where a run of this name is somebody's own.
        """
        name = config.run.name
        if not (self.base / name / "run.json").exists():
            self.progress.stage(f"training {name}")
            trained(store, config, self.progress, tables=tables)
        found = recipe_of(self.base, name, "retrain.champion: run")
        if found.hash != recipe_hash(config):
            raise InputError(
                f"{self.base / name} holds a run of other settings, and a refit of champion {self.champion.name} would "
                "have this name; rename its folder, or give the champion another name."
            )
        return found

    def _named(self, config: Config, name: str) -> Config:
        """The settings under the name of a run of its own."""
        run = config.run.model_copy(update={"name": name, "submission": config.submission})
        return config.model_copy(update={"run": run})

    def _decided(
        self, attempt: Mapping[str, Any], refit: Recipe | None, challenger: Recipe | None, seconds: float
    ) -> Decision:
        """The decision, which holds once it is written."""
        rules, standing = self.config.retrain, self._standing
        parts: dict[str, tuple[Paired, dict[str, Any]]] = {}
        if refit is not None:
            parts["refit"] = compared(standing, refit, rules.metric, at_look(rules.confidence, 1))
        if challenger is not None:
            # One that had too few eras could promote nothing, and has cost nothing of the error.
            look = 1 + sum(one["found"]["verdict"] != Verdict.UNKNOWN for one in self._looks(challenger.hash))
            confidence = at_look(rules.confidence, look)
            found, kept = compared(refit or standing, challenger, rules.metric, confidence, rules.compare_from)
            parts["challenger"] = found, {**kept, "look": look}
        ruling, why = decided(Verdicts(*(parts[name][0] if name in parts else None for name in PARTS)))
        takes_over = {Ruling.PROMOTE: challenger, Ruling.REFIT: refit, Ruling.KEEP: standing}[ruling] or standing
        beaten = challenger.name if challenger is not None and ruling is not Ruling.PROMOTE else None
        self.at("compared")
        compared_parts = {name: kept for name, (_, kept) in parts.items()}
        facts = {"due": attempt["due"], "compared": compared_parts, "challenger": beaten, "seconds": round(seconds, 1)}
        return self._written(ruling, takes_over, why, attempt["number"], facts)

    def _made(self, ruling: Ruling, recipe: Recipe, why: str) -> Outcome:
        """A decision of somebody's own."""
        decision = self._written(ruling, recipe, why, self.champion.next, {})
        return Outcome(Code.DONE, (*_lines(decision), *self._mlflow_lines()))

    def _written(self, ruling: Ruling, recipe: Recipe, why: str, number: int, facts: Mapping[str, Any]) -> Decision:
        rules, before = self.config.retrain, self.champion.decisions
        manifest: dict[str, Any] = {
            "ruling": str(ruling),
            "why": why,
            "before": before[-1].champion if before else None,
            "champion": recipe.name,
            "challenger": None,
            "due": [],
            "compared": {},
            "rules": {"metric": rules.metric, "confidence": rules.confidence, "every": rules.every},
            "run": recipe.facts(),
            "clock": {"decided": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seconds": facts.get("seconds")},
        }
        kept = {key: value for key, value in facts.items() if key != "seconds"}
        return self.champion.decide(number, {**manifest, **kept})

    def _mlflow_lines(self) -> tuple[str, ...]:
        """What MLflow was told of the newest decision, if it had to be."""
        return tell_champion(self.config.tracking, self.base, self.champion, self.progress)

    @cached_property
    def _standing(self) -> Recipe:
        return recipe_of(self.base, self.champion.run, "retrain.champion: run")

    @property
    def _newest(self) -> int:
        """The newest era that a champion or its refit saw: what stayed out is not made again."""
        manifests = [decision.manifest for decision in self.champion.decisions]
        refits = [one["compared"]["refit"] for one in manifests if "refit" in one["compared"]]
        return max(int(run["live"]) for run in (*(one["run"] for one in manifests), *refits))

    @cached_property
    def _other(self) -> Config | None:
        """The settings of another recipe, where the configuration names one that nobody has taken back."""
        found = varied(self.config, self.config.retrain.challenger)
        if found is not None and recipe_hash(found) in self._taken_back:
            self.progress.note("retrain.challenger was champion and was taken back; --install makes it one again")
            return None
        return found

    @property
    def _taken_back(self) -> set[str]:
        """The recipes of runs that were rolled back."""
        found = self.champion.decisions
        recipes = {decision.champion: str(decision.manifest["run"]["recipe"]) for decision in found}
        return {recipes[str(one.manifest["before"])] for one in found if one.ruling is Ruling.ROLL_BACK}

    def _looks(self, recipe: str) -> list[Mapping[str, Any]]:
        """The comparisons of a recipe with the champion's, since that was promoted or installed."""
        found: list[Mapping[str, Any]] = []
        for decision in self.champion.decisions:
            if decision.ruling in (Ruling.PROMOTE, Ruling.INSTALL):
                found = []
            kept = decision.manifest["compared"].get("challenger")
            found += [kept] if kept is not None and kept["recipe"] == recipe else []
        return found

    def _too_early(self, beside: Recipe) -> str | None:
        """Why the challenger is not compared with this run now, if it is not: the stated rate is one of rare looks."""
        if self._other is None:
            return None
        rules, looks = self.config.retrain, self._looks(recipe_hash(self._other))
        if (eras := len(beside.scores(rules.metric))) < rules.compare_from:
            return (
                f"the challenger waits until {beside.name} has {rules.compare_from} scored eras "
                f"(retrain.compare_from); it has {eras}"
            )
        passed = beside.live - int(looks[-1]["live"]) if looks else rules.compare_every
        if passed >= rules.compare_every:
            return None
        return (
            f"the challenger waits until {rules.compare_every} eras have passed since it was compared "
            f"(retrain.compare_every); {passed} have"
        )


def _lines(decision: Decision) -> tuple[str, ...]:
    """What a user reads of a decision."""
    manifest = decision.manifest
    lines = [f"{decision.ruling}: champion {manifest['name']} is {decision.champion}"]
    lines.append(f"  {manifest['why']}")
    for kept in manifest["compared"].values():
        found = Paired(**{key: value for key, value in kept["found"].items() if key != "verdict"})
        fits, look = kept["fits"], f" (look {kept['look']} at this recipe)" if "look" in kept else ""
        lines.append(f"  {found.said(kept['run'], kept['against']['run'], kept['metric'])}{look}")
        lines.append(f"  {kept['run']}: {fits['fitted']} models fitted, {fits['fitted before']} taken as they were")
    return tuple(lines)
