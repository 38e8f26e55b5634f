"""A run: its cells, put together in its folder, blended and scored; or its holdout."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame

from eraflow import disk, retention
from eraflow.causes import first_line, refusal
from eraflow.config import Config, fingerprint
from eraflow.definitions import written_in
from eraflow.errors import InputError, PartFailedError
from eraflow.histogram import prediction_histogram
from eraflow.models.saved import stamp
from eraflow.pipeline import outputs
from eraflow.pipeline.cells import Cell, Cells, linked
from eraflow.pipeline.clock import LIVE, PREDICT, timed
from eraflow.pipeline.content import Content
from eraflow.pipeline.dataset import Dataset, versions
from eraflow.pipeline.ensembling import Ensembling, build
from eraflow.pipeline.explaining import Explaining, wanted
from eraflow.pipeline.fitting import Fitting
from eraflow.pipeline.folder import FITTED, RunFolder, partition, uri
from eraflow.pipeline.live import FINAL, predict_live
from eraflow.pipeline.refusals import Refusals
from eraflow.pipeline.scored import Against, Scored, scored
from eraflow.pipeline.searching import Searching
from eraflow.pipeline.side_by_side import side_by_side
from eraflow.pipeline.tracked import tell_run
from eraflow.pipeline.versions import git_revision, software
from eraflow.predictions import of_models
from eraflow.progress import Progress
from eraflow.reporting.explained_frames import Explained
from eraflow.session import local_path
from eraflow.spans import EraSpan
from eraflow.tables import Store
from eraflow.validation import BlockedKFold, CombinatorialPurged, Fold, WalkForward, hold_out

# Code that decides what a run finds, so that a finished one is not taken for one of other code.
DECIDING = ("models", "registry", "graphs", "shapley", "ensembles", "validation", "scoring", "search", "batches",
            "spans", "predictions", "pipeline/run", "pipeline/scored", "pipeline/fitting", "pipeline/searching",
            "pipeline/ensembling")  # fmt: skip


def splitter(config: Config) -> WalkForward | BlockedKFold | CombinatorialPurged:
    """The era splitter that `validation` in the config describes."""
    v = config.validation
    folds = v.folds or 1  # a period takes their place
    match v.splitter:
        case "walk_forward":
            return WalkForward(folds, v.min_train_eras, v.window, v.purge, v.embargo, v.period)
        case "blocked_kfold":
            return BlockedKFold(folds, v.purge, v.embargo)
        case "combinatorial_purged":
            return CombinatorialPurged(folds, v.test_blocks, v.purge, v.embargo)


def held_out(config: Config, data: Dataset) -> tuple[tuple[EraSpan, ...], Fold | None]:
    """What folds may see, and the fold that validates the eras which are held back, if any are."""
    rules, eras = config.validation, data.eras
    count = rules.holdout if rules.holdout_from is None else eras.since(rules.holdout_from)
    return hold_out(eras.spans, count, rules.purge)


@dataclass(frozen=True)
class Run:
    """One run of a configuration on a data set."""

    config: Config
    store: Store
    data: Dataset
    folder: RunFolder
    cells: Cells
    progress: Progress

    def result(self) -> tuple[str, ...]:
        """Trains, scores and reports, or finds that finished; returns lines for the user."""
        # Before anything is fitted or claimed: what cannot be split or submitted leaves no trace.
        data = self.data
        seen, _ = self._held_out
        folds = splitter(self.config).split(seen)
        Refusals(self.config, data, self._fitting, self._searching, self._seen).check(folds)
        data.check_live()
        identity = self._identity(folds)
        if self.folder.claim(fingerprint(identity), identity):
            self._track(identity)  # it may have been refused, or not been asked for
            done = f"{self.folder.path} is finished already; nothing was done."
            return (done, *outputs.headlines(self.folder.path))
        retention.pin(self.store, self.folder.path, data.tables)
        self.progress.log_in(self.folder.log)
        started = time.time()
        failed = self._fit_models(folds)
        if len(failed) == len(self.config.models):
            raise next(iter(failed.values()))
        failed |= self._blend(failed)
        content = self._content(identity, folds, failed, started)
        outputs.write(self.folder.path, content)
        self.progress.note("report written")
        if failed:
            raise PartFailedError(content.failed, outputs.headlines(self.folder.path))
        self._track(identity)
        return outputs.headlines(self.folder.path)

    def holdout(self) -> tuple[str, ...]:
        """Fits to what folds have seen, scores what they have not; returns lines for the user."""
        seen, fold = self._held_out
        if fold is None:
            raise InputError("validation.holdout is 0: this run has held no eras back; set it before a run is trained.")
        identity = self._identity(splitter(self.config).split(seen))
        if not self.folder.holds(identity):
            raise InputError(
                f"{self.folder.path} is no finished run of this configuration and these data; give the --config and "
                "--set that it was trained with, or train it first."
            )
        self.progress.log_in(self.folder.log)
        for name in self.config.models:
            if self.folder.is_done(f"{name}-holdout"):
                continue
            self.progress.stage(f"{name}: model of {len(fold.train)} eras for the holdout")
            fit, predicted = self._validated(name, "holdout", self._fitting.fold_of(name, fold), self._fitting)
            linked(predicted.folder, partition(self.folder.held_out, name, fold.number))
            self._mark(f"{name}-holdout", fit, predicted)
        ensembling = Ensembling(self.store.spark, self.data, self.folder)
        for name, settings in self.config.ensembles.items():
            self.progress.stage(f"{name}: ensemble for the holdout")
            ensembling.holdout(build(name, settings, self.config.validation.purge), fold)
        found = self._scored(self.store.spark.read.parquet(uri(self.folder.held_out)))
        return outputs.write_holdout(self.folder, self.config, self.data.eras.overlap, found, fold)

    @property
    def _seen(self) -> list[int]:
        """The eras that are not held out: a search of the final model's settings would look at the holdout, too."""
        return [span.era for span in self._held_out[0]]

    @property
    def _held_out(self) -> tuple[tuple[EraSpan, ...], Fold | None]:
        return held_out(self.config, self.data)

    @cached_property
    def _fitting(self) -> Fitting:
        return Fitting(self.config, self.data, self.cells)

    @property
    def _searching(self) -> Searching:
        return Searching(self.config, self.data, self._fitting, self.folder, self.progress)

    def _track(self, identity: Mapping[str, Any]) -> None:
        settings = self.config.tracking
        mark = f"tracked-{fingerprint(settings)}"  # another store is told of it, too
        if settings.enabled and not self.folder.is_done(mark):
            self.progress.stage("telling MLflow")
            base = local_path(self.config.run.dir, "run.dir")
            tell_run(settings, base, self.config.run.name, identity, git_revision())
            self.folder.mark_done(mark, {})

    def _identity(self, folds: Sequence[Fold]) -> dict[str, Any]:
        """What decides the content of the run; where it and its tables are written does not."""
        config = self.config.decisive()
        config["run"] = {"seed": self.config.run.seed, "submission": self.config.submission}
        config.pop("tracking")
        config.pop("tables")
        config["signals"].pop("path")
        config["prices"].pop("path")  # the tables' fingerprints know the files
        config["classic"].pop("path")
        config["classic"].pop("dataset")
        return {
            "config": config,
            "folds": fingerprint([asdict(fold) for fold in folds]),
            "tables": {made.name: made.fingerprint for made in self.data.tables},
            "code": written_in(*DECIDING),
            "references": [self.data.live_hash, *self.data.reference_files],
            "software": software(self.store.spark),
        }

    def _fit_models(self, folds: Sequence[Fold]) -> dict[str, Exception]:
        """Every model, fold by fold; returns the failures of those that could not be finished, by name."""
        failed: dict[str, Exception] = {}
        for name in self.config.models:
            try:
                self._fit_model(name, folds)
            except Exception as error:  # one model's failure does not cost the others
                if len(self.config.models) == 1 or disk.is_full(error):  # no other model would fare better
                    raise
                failed[name] = refusal(error) or error
                self.progress.failed(name, failed[name])
        return failed

    def _blend(self, failed: Mapping[str, Exception]) -> dict[str, Exception]:
        """Every ensemble whose models were finished; returns the failures of the others, by name."""
        lost: dict[str, Exception] = {}
        for name, settings in self.config.ensembles.items():
            self.progress.stage(f"{name}: ensemble of {', '.join(settings.models)}")
            try:
                if without := [model for model in settings.models if model in failed]:
                    raise InputError(f"its model {without[0]} failed.")
                ensembling = Ensembling(self.store.spark, self.data, self.folder)
                ensembling.run(
                    build(name, settings, self.config.validation.purge), submit=name == self.config.submission
                )
            except Exception as error:
                lost[name] = refusal(error) or error
                self.progress.failed(name, lost[name])
        return lost

    def _fit_model(self, name: str, folds: Sequence[Fold]) -> None:
        """The model of each fold and the final one, those side by side that learn by one thread each."""
        purged = [self._fitting.fold_of(name, common) for common in folds]
        left = [fold for fold in purged if not self.folder.is_done(f"{name}-fold-{fold.number}")]
        at_once = 1 if name == self.config.search.model else self._fitting.at_once(self.config.models[name])
        fitting = replace(self._fitting, alone=at_once == 1)
        with side_by_side(self.store.spark, at_once) as begun:
            is_left = not self.folder.is_done(f"{name}-{LIVE}")
            final = begun(self._final, name, fitting) if is_left else None  # first, since it takes longest
            validated = {
                fold.number: begun(self._validated, name, f"fold-{fold.number}", fold, fitting) for fold in left
            }
            for number in (fold.number for fold in purged):
                self.progress.step(f"{name}: fold {number} of {len(folds)}", number - 1, len(folds))
                if number not in validated:
                    self.progress.note(f"{name}: fold {number} was finished before")
                    continue
                fit, predicted = validated[number]()
                self._put_together(name, f"fold-{number}", fit)
                linked(predicted.folder, partition(self.folder.out_of_fold, name, number))
                self._mark(f"{name}-fold-{number}", fit, predicted)
            self.progress.step(f"{name}: all folds", len(folds), len(folds))
            if final:
                self._predict_live(name, final)

    def _validated(self, name: str, place: str, fold: Fold, fitting: Fitting) -> tuple[Cell, Cell]:
        """The model of a fold's training part, and its predictions of what the fold validates."""
        settings = self._searching.settings(name, place, fold.train)
        fit = fitting.fitted(settings, fold.train)
        self._note(fit, f"{name}: the model of {place} was fitted before")
        return fit, fitting.predicted(fit, settings, fold.validation)

    def _final(self, name: str, fitting: Fitting) -> Cell:
        """A model of all eras with a known label (trees leave out those that they watch)."""
        settings = self._searching.settings(name, FINAL, self._seen)
        fit = fitting.fitted(settings, self.data.eras.labelled, final=True)
        self._note(fit, f"{name}: the final model was fitted before")
        return fit

    def _predict_live(self, name: str, final: Callable[[], Cell]) -> None:
        """The live predictions of the final model."""
        took: dict[str, float] = {}
        learned = self._fitting.parts(self.config.models[name], self.data.eras.labelled, final=True).every
        self.progress.stage(f"{name}: final model on {len(learned)} eras")
        fit = final()
        self._put_together(name, FINAL, fit)
        with timed(took, PREDICT):
            rows = predict_live(self.data, self.folder, name, submit=name == self.config.submission)
        self._mark(f"{name}-{LIVE}", fit, era=self.data.eras.live, rows=rows, **took)

    def _put_together(self, name: str, place: str, fit: Cell) -> None:
        """Puts a model into the run's folder, with what the run knows of it beside."""
        linked(fit.folder, self.folder.model(name, place))
        facts = {"tables": versions(self.data.tables), "live": self.data.eras.live, "data": self.data.model_facts}
        stamp(self.folder.model(name, place), facts)

    def _note(self, fit: Cell, before: str) -> None:
        if not fit.is_new:
            self.progress.note(before)

    def _mark(self, part: str, *cells: Cell, **facts: float) -> None:
        """A part is done: by which cells, whether this run has made the first of them, and what these tell."""
        for cell in cells:
            facts |= cell.facts
        self.folder.mark_done(part, {"cells": [cell.key for cell in cells], FITTED: cells[0].is_new, **facts})

    def _content(
        self, identity: Mapping[str, Any], folds: Sequence[Fold], failed: Mapping[str, Exception], started: float
    ) -> Content:
        """What is known at the end."""
        predictions = self._out_of_fold(failed)
        found = self._scored(predictions)
        self.progress.stage("writing the report")
        return Content(
            config=self.config,
            data=self.data,
            identity=identity,
            folds=folds,
            scored=found,
            failed={name: first_line(error) for name, error in failed.items()},
            predicted=prediction_histogram(predictions).toPandas(),  # models x bins rows
            trials=self._searching.trials(),
            explained=self._explained(folds, failed),
            seconds=time.time() - started,
        )

    def _explained(self, folds: Sequence[Fold], failed: Collection[str]) -> Sequence[Explained]:
        """What models live on, where the report is to tell it.

        A failure costs the report's section, and not the run.
        """
        if not self.config.explain.enabled:
            return ()
        explaining = Explaining(self.config, self.data, self.folder, folds, self.progress)
        names = [name for name in wanted(self.config) if name not in failed]
        try:
            return explaining.explained(names)
        except Exception as error:
            if disk.is_full(error):
                raise
            self.progress.failed("explanation", refusal(error) or error)
            return ()

    def _out_of_fold(self, failed: Collection[str]) -> DataFrame:
        """Out-of-fold predictions of every model and ensemble but those that failed."""
        names = [name for name in (*self.config.models, *self.config.ensembles) if name not in failed]
        return of_models(self.store.spark.read.parquet(uri(self.folder.out_of_fold)), names)

    def _scored(self, predictions: DataFrame) -> Scored:
        return scored(predictions, Against.of(self.data, self.config), self.progress)
