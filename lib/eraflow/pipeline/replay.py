"""What `jobs/replay.py` does: history moment by moment, so that policies of retraining show what they are worth."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from eraflow import scoring
from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.locks import locked
from eraflow.monitoring import calibration
from eraflow.monitoring.charts import LEAST_EFFECTIVE
from eraflow.monitoring.replaying import Moment, Played, Policy, ahead, moments, planned, played
from eraflow.monitoring.streams import Kind, Limits, judged, paths
from eraflow.pipeline import traded_money
from eraflow.pipeline.cells import Cell, Cells, linked
from eraflow.pipeline.clock import FIT
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.fitting import Fitting
from eraflow.pipeline.folder import CELLS, partition, uri
from eraflow.pipeline.refusals import refuse_kinds
from eraflow.pipeline.run import held_out, splitter
from eraflow.pipeline.train import brought
from eraflow.progress import Progress
from eraflow.reporting import Page, ReportContent
from eraflow.reporting.replayed import replayed_section
from eraflow.scoring.compare import differences
from eraflow.session import local_path
from eraflow.spans import EraSpan
from eraflow.tables import Store
from eraflow.validation import Fold, WalkForward
from eraflow.whole_files import write_bytes, write_csv, write_json

FOLDER = "replays"  # below run.dir
NEVER, REGULAR, POLICY = "never", "regular", "policy"
VALIDATED = "validated"  # beside them: what the first model had scored out of fold


def replay(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Plays history by three policies, and writes what they did and scored; returns lines for the user.

    `never` keeps the first model; `regular` refits it every `replay.refit_every` eras; `policy` refits by
    `retrain.every` and on the monitor's alarms, and where the config has several models promotes the better one. Fits
    are cells. InputError: a setting that cannot be played, or too short a history.
    """
    base = local_path(config.run.dir, "run.dir")
    out = base / FOLDER / config.run.name
    store = Store(spark, config.tables.root, config.tables.wait)
    with locked(out, "run.dir"):
        config = traded_money.settled(spark, config, progress)
        refuse_kinds(config)
        _refuse(config)
        data = brought(store, config, progress)
        with data.training.kept():
            return Replay(config, data, Cells(base / CELLS, progress), out, progress).result()


def _refuse(config: Config) -> None:
    """InputError for what a replay does not play."""
    if config.submission not in config.models:
        raise InputError(
            f"run.submission: {config.submission} is an ensemble, and a replay plays models; name one of "
            f"{', '.join(config.models)}."
        )
    if config.search.model is not None:
        raise InputError("search.model: a replay fits with settings as they stand; set search.model=null.")
    if config.validation.splitter != "walk_forward":
        raise InputError(
            f"validation.splitter is {config.validation.splitter}, which learns from the future of what it validates; "
            "a replay takes walk_forward."
        )


@dataclass(frozen=True)
class Scorer:
    """Fits and scores what policies ask for; each once."""

    config: Config
    data: Dataset
    fitting: Fitting
    folder: Path  # of predictions, as one parquet data set
    progress: Progress
    took: dict[tuple[str, int], float] = field(default_factory=dict)  # seconds of each fit
    kept: dict[tuple[str, str, int], dict[int, float]] = field(default_factory=dict)

    def ask(self, policy: str, wanted: Sequence[tuple[str, Fold, Sequence[int]]]) -> None:
        """Scores recipes that are fitted to folds, for these eras: all in one pass of the scorer."""
        places = []
        for number, (recipe, fold, eras) in enumerate(wanted):
            key = (policy, recipe, fold.number)
            if key in self.kept:
                continue
            self.progress.step(f"{policy}: {recipe} before era {fold.validation[0]}", number, len(wanted))
            purged = self.fitting.fold_of(recipe, fold)
            settings = self.config.models[recipe]
            fit = self.fitting.fitted(settings, purged.train)
            self.took[recipe, fold.number] = float(fit.facts[FIT])
            places.append(self._linked(policy, recipe, fold.number, self.fitting.predicted(fit, settings, list(eras))))
            self.kept[key] = {}
        if places:
            self._score(policy, places)

    def of(self, policy: str, recipe: str, number: int) -> dict[int, float]:
        """The scores by era of what was asked for."""
        return self.kept[policy, recipe, number]

    def _linked(self, policy: str, recipe: str, number: int, predicted: Cell) -> Path:
        place = partition(self.folder / policy, recipe, number)
        linked(predicted.folder, place)
        return place

    def _score(self, policy: str, places: Sequence[Path]) -> None:
        spark, base = self.data.training.table.sparkSession, self.folder / policy
        rows = spark.read.option("basePath", uri(base)).parquet(*map(uri, places))
        metric = self.config.retrain.metric
        # Models x folds x eras rows.
        found = scoring.collected(scoring.score_eras(rows, self.data.references, self.data.asset, (metric,)))
        found = found[(found["metric"] == metric) & found["value"].notna()]
        for recipe, number, era, value in found[["model", "fold", "era", "value"]].itertuples(index=False):
            self.kept[policy, str(recipe), int(number)][int(era)] = float(value)


@dataclass(frozen=True)
class Replay:
    """One replay of a configuration on its data."""

    config: Config
    data: Dataset
    cells: Cells
    out: Path
    progress: Progress

    def result(self) -> tuple[str, ...]:
        """Plays all policies, and writes what they did; returns lines for the user."""
        metric, available = self.config.retrain.metric, scoring.available(self.data.references, self.data.asset)
        if metric not in available:
            names = ", ".join(available)
            raise InputError(f"retrain.metric is {metric}, which these data do not have; there are {names}.")
        shutil.rmtree(self.out / "predictions", ignore_errors=True)  # linked anew
        found = [self._played(policy) for policy in self._policies]
        return self._write(found)

    @cached_property
    def _spans(self) -> Sequence[EraSpan]:
        """Those of the eras that are not held out: a replay selects, and would look at the holdout, too."""
        return held_out(self.config, self.data)[0]

    @cached_property
    def _moments(self) -> list[Moment]:
        rules, asked = self.config.validation, self.config.replay
        walk = WalkForward(1, rules.min_train_eras, rules.window, rules.purge, rules.embargo, asked.step)
        return moments(self._spans, walk, asked.start, self.data.eras.dates)

    @property
    def _recipes(self) -> tuple[str, ...]:
        """The submission, and the other models, which may be promoted."""
        first = self.config.submission
        return (first, *(name for name in self.config.models if name != first))

    @property
    def _policies(self) -> tuple[Policy, ...]:
        rules, first = self.config.retrain, self._recipes[:1]
        return (
            Policy(NEVER, None, recipes=first),
            Policy(REGULAR, self.config.replay.refit_every, recipes=first),
            Policy(POLICY, rules.every, rules.alarms, self._recipes, rules.confidence, rules.compare_from,
                   rules.compare_every),
        )  # fmt: skip

    def _played(self, policy: Policy) -> Played:
        folds = [moment.fold for moment in self._moments]
        scorer = self._scorer

        def scored(recipe: str, number: int, eras: Sequence[int]) -> Mapping[int, float]:
            scorer.ask(policy.name, [(recipe, folds[number], eras)])
            return scorer.of(policy.name, recipe, folds[number].number)

        self.progress.stage(f"policy {policy.name}")
        if not policy.alarms:  # its refits are known beforehand, and are scored together
            refits = planned(policy, self._moments)
            every = [(name, folds[at], ahead(policy, self._moments, at)) for at in refits for name in policy.recipes]
            scorer.ask(policy.name, every)
        validated = self._validated if policy.alarms else []
        alarm = self._alarm if policy.alarms else _no_alarm
        return played(policy, self._moments, scored, alarm, self.data.eras.overlap, validated)

    @cached_property
    def _scorer(self) -> Scorer:
        fitting = Fitting(self.config, self.data, self.cells)
        return Scorer(self.config, self.data, fitting, self.out / "predictions", self.progress)

    @cached_property
    def _validated(self) -> list[float]:
        """What the first model would have scored out of fold at the first moment; none where history is too short."""
        resolved = set(self._moments[0].resolved)
        try:
            folds = splitter(self.config).split([span for span in self._spans if span.era in resolved])
        except InputError:
            self.progress.note("before the first moment nothing can be validated: charts begin with live scores")
            return []
        name = self._recipes[0]
        self._scorer.ask(VALIDATED, [(name, fold, fold.validation) for fold in folds])
        scores: dict[int, float] = {}
        for fold in folds:
            scores |= self._scorer.of(VALIDATED, name, fold.number)
        return [scores[era] for era in sorted(scores)]

    @cached_property
    def _kind(self) -> Kind:
        return Kind(self.data.eras.overlap, 1)

    def _alarm(self, live: Sequence[float], before: Sequence[float]) -> str | None:
        """The monitor's reason to retrain, by scores that are resolved; None where it has none."""
        if not live or len(before) < LEAST_EFFECTIVE * self._kind.weeks:
            return None
        charts = paths(np.array(live), np.array(before), self._kind)
        status = judged(charts, self._limits(len(before) / self._kind.overlap), self.config.retrain.metric)
        return status.reasons[0] if status.level == "retrain" else None

    def _limits(self, labels: float) -> Limits:
        """Those of conf; of a case that it does not name those that a simulation finds for the validation at first."""
        if named := self.config.monitor.limits(self._kind.overlap, self._kind.weekly, labels):
            return Limits(named.rolling, named.cusum, named.drawdown)
        return self._simulated

    @cached_property
    def _simulated(self) -> Limits:
        self.progress.stage("finding the limits of the charts")
        settings = self.config.monitor
        labels = max(LEAST_EFFECTIVE, len(self._validated) / self._kind.overlap)
        return calibration.limits(self._kind, labels, settings.score_alarms)

    def _write(self, found: Sequence[Played]) -> tuple[str, ...]:
        self.progress.stage("writing the replay")
        metric, dates, overlap = self.config.retrain.metric, self.data.eras.dates, self.data.eras.overlap
        rows = [(one.policy.name, era, metric, value) for one in found for era, value in sorted(one.scores.items())]
        per_era = pd.DataFrame(rows, columns=["model", "era", "metric", "value"])
        changes = pd.DataFrame(
            [
                (one.policy.name, change.moment, change.era, dates.get(change.era), change.recipe, change.why)
                for one in found
                for change in one.changes
            ],
            columns=["policy", "moment", "era", "date", "recipe", "why"],
        )
        costs = pd.DataFrame([self._cost(one) for one in found])
        apart = differences(per_era, metric, overlap)
        summary = scoring.summarise(per_era, overlap)
        write_csv(per_era, self.out / "per_era.csv")
        write_csv(changes, self.out / "changes.csv")
        write_csv(costs, self.out / "costs.csv")
        write_csv(apart, self.out / "differences.csv")
        write_json(self.out / "replay.json", self._facts(summary, costs))
        for name, content in Page(self._page(per_era, summary, apart, costs, changes)).files():
            write_bytes(self.out / name, content)
        return (*_lines(summary, costs, apart, metric), f"report: {self.out / 'report.html'}")

    def _cost(self, one: Played) -> dict[str, Any]:
        folds = [moment.fold.number for moment in self._moments]
        seconds = sum(self._scorer.took[recipe, folds[at]] for recipe, at in one.fits)
        return {
            "policy": one.policy.name,
            "what": self._words(one.policy),
            "refits": len(one.changes) - 1,
            "alarms": sum(change.is_alarm for change in one.changes),
            "promotions": sum(change.is_promotion for change in one.changes),
            "fits": len(one.fits),
            "fit_seconds": round(seconds, 1),
        }

    def _words(self, policy: Policy) -> str:
        if policy.every is None and not policy.alarms:
            return "the first model for ever"
        parts = [in_steps(policy.every, self.config.replay.step)] if policy.every is not None else []
        parts += ["refitted when the monitor says retrain"] if policy.alarms else []
        parts += [f"the better of {', '.join(policy.recipes)}"] if len(policy.recipes) > 1 else []
        return ", ".join(parts)

    def _facts(self, summary: Mapping[str, Any], costs: pd.DataFrame) -> dict[str, Any]:
        first, last = self._moments[0], self._moments[-1]
        return {
            "config": self.config.resolved(),
            "tables": {made.name: made.fingerprint for made in self.data.tables},
            "moments": len(self._moments),
            "eras": [first.predicted[0], last.predicted[-1]],
            "overlap": self.data.eras.overlap,
            "summary": summary,
            "costs": costs.to_dict(orient="records"),
        }

    def _page(
        self,
        per_era: pd.DataFrame,
        summary: Mapping[str, Any],
        apart: pd.DataFrame,
        costs: pd.DataFrame,
        changes: pd.DataFrame,
    ) -> ReportContent:
        metric, dates = self.config.retrain.metric, self.data.eras.dates
        days = pd.Series([dates.get(era) for era in per_era["era"]], index=per_era.index, dtype=object)
        shown = self.data.shown()
        facts = {
            "moments": f"{len(self._moments)}, {self.config.replay.step} eras apart",
            "target": self.config.targets.main,
            "labels overlap": f"{self.data.eras.overlap} eras",
        }
        return ReportContent(
            title="eraflow: policies of retraining, replayed",
            run_name=self.config.run.name,
            notes=tuple(shown.notes),
            per_era=per_era.assign(date=days),
            summary=summary,
            folds=None,
            era_dates=dates,
            quality=None,
            facts=facts,
            comparison=apart.assign(metric=metric),
            sections=(replayed_section(costs, changes),),
        )


def in_steps(every: int, step: int) -> str:
    """How often a schedule refits, in words: it waits for the next moment, which are `step` eras apart."""
    real = -(-every // step) * step
    because = "" if real == every else f" (the first moments after {every}, {step} apart)"
    return f"refitted every {real} eras{because}"


def _no_alarm(live: Sequence[float], before: Sequence[float]) -> str | None:
    return None


def _lines(summary: Mapping[str, Any], costs: pd.DataFrame, apart: pd.DataFrame, metric: str) -> list[str]:
    """The replay for a terminal."""
    lines = []
    for row in costs.itertuples(index=False):
        found = summary[str(row.policy)][metric]
        low, high = found["interval"] or (np.nan, np.nan)
        lines.append(
            f"{row.policy} ({row.what}): {metric} {found['mean']:+.4f}{_span(low, high)} over {found['eras']} eras; "
            f"{row.fits} fits, {row.fit_seconds:.0f} s"
        )
    for row in apart.itertuples(index=False):
        lines.append(f"{row.model} less {row.other}: {row.mean:+.4f}{_span(row.low, row.high)} over {row.eras} eras")
    return lines


def _span(low: Any, high: Any) -> str:
    return "" if pd.isna(low) else f" ({low:+.4f} to {high:+.4f})"
