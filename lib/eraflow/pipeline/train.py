"""The main job: tables, folds, models, out-of-fold scores, live predictions, report; resumable fold by fold."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from eraflow import disk, models, registry, retention, scoring, search, tracking
from eraflow.causes import first_line, refusal
from eraflow.config import Config, fingerprint
from eraflow.config.models import AnyModel, L2gmom, LevelsModel, Sequences, Tokens
from eraflow.definitions import written_in
from eraflow.errors import InputError, PartFailedError
from eraflow.histogram import prediction_histogram
from eraflow.models import Fitted, sequence
from eraflow.pipeline import classic, outputs, repeated, signals, traded_money
from eraflow.pipeline.clock import FIT, LIVE, PREDICT, timed
from eraflow.pipeline.dataset import Dataset, versions
from eraflow.pipeline.ensembling import Ensembling, build
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.live import FINAL, predict_live
from eraflow.pipeline.searching import Searching
from eraflow.pipeline.versions import git_revision, software
from eraflow.predictions import of_models
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.spans import EraSpan
from eraflow.tables import Store, locked
from eraflow.validation import BlockedKFold, CombinatorialPurged, Fold, WalkForward, hold_out, purged, watched_block

# Code that decides what a run finds, so that one begun by other code is not gone on with.
DECIDING = ("models", "registry", "graphs", "ensembles", "validation", "scoring", "search", "batches",
            "spans", "predictions", "pipeline/train", "pipeline/searching", "pipeline/ensembling")  # fmt: skip


def train(spark: SparkSession, config: Config, progress: Progress, repeat: str | None = None) -> tuple[str, ...]:
    """Runs, resumes, or finds finished the run that `config` describes; returns lines for the user.

    With `repeat` it is the run of that name again: by its settings and on the versions of the tables that it had read.
    """
    past = repeated.past_run(config, repeat) if repeat else None
    config = past.config if past else config
    folder = RunFolder(local_path(config.run.dir, "run.dir") / config.run.name)
    store = Store(spark, config.tables.root, config.tables.wait)
    with locked(folder.path, "run.dir"):
        if config.tracking.enabled:
            tracking.required()
        if config.search.model is not None:
            search.required()
        config = traded_money.settled(spark, config, progress)
        _refuse_kinds(config)
        splitter(config)  # refuses settings that cannot be before anything is built
        tables = past.tables(store) if past else None
        data = (classic if config.is_classic else signals).dataset(store, config, progress, tables)
        if past:
            past.refuse_others(data)
        with data.training.kept():
            return _Run(config, store, data, folder, progress).result()


def _refuse_kinds(config: Config) -> None:
    """Tells a model that this machine cannot learn, or these data, before anything is built."""
    for name, model in config.models.items():
        if isinstance(model, Sequences | Tokens | L2gmom):
            sequence.required(model.kind)
        if config.is_classic and isinstance(model, Sequences | L2gmom):
            raise InputError(
                f"models.{name}: {model.kind} follows tickers through time, which Classic's ids do not tell; take "
                "tokens or another kind."
            )


def splitter(config: Config) -> WalkForward | BlockedKFold | CombinatorialPurged:
    """The era splitter that `validation` in the config describes."""
    v = config.validation
    match v.splitter:
        case "walk_forward":
            return WalkForward(v.folds, v.min_train_eras, v.window, v.purge, v.embargo, v.period)
        case "blocked_kfold":
            return BlockedKFold(v.folds, v.purge, v.embargo)
        case "combinatorial_purged":
            return CombinatorialPurged(v.folds, v.test_blocks, v.purge, v.embargo)


def open_holdout(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Scores the finished run that `config` describes on the eras that no fold has seen; returns lines for the user.

    The first time models are fitted on the eras before them, purged; after that only the count of openings grows, since
    each look lets the holdout select a little more.
    """
    folder = RunFolder(local_path(config.run.dir, "run.dir") / config.run.name)
    store = Store(spark, config.tables.root, config.tables.wait)
    with locked(folder.path, "run.dir"):
        config = traded_money.settled(spark, config, progress)
        tables = repeated.tables_of(folder.path, store)  # what has become known since then is no part of it
        data = (classic if config.is_classic else signals).dataset(store, config, progress, tables)
        with data.training.kept():
            return _Run(config, store, data, folder, progress).holdout()


@dataclass(frozen=True)
class _Run:
    config: Config
    store: Store
    data: Dataset
    folder: RunFolder
    progress: Progress

    def result(self) -> tuple[str, ...]:
        # Before anything is fitted or claimed: what cannot be split or submitted leaves no trace.
        data = self.data
        seen, _ = self._held_out
        folds = splitter(self.config).split(seen)
        self._refuse_settings(folds)
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
        predictions = self._out_of_fold(failed)
        scored, unscored = self._score(predictions)
        self.progress.stage("following portfolios of the predictions")
        strategy = data.strategy(predictions)
        self.progress.stage("writing the report")
        content = outputs.Content(
            config=self.config,
            data=data,
            identity=identity,
            folds=folds,
            scored=scored,
            unscored=unscored,
            failed={name: first_line(error) for name, error in failed.items()},
            strategy=strategy,
            predicted=prediction_histogram(predictions).toPandas(),  # models x bins rows
            seconds=time.time() - started,
        )
        outputs.write(self.folder.path, content)
        self.progress.note("report written")
        if failed:
            raise PartFailedError(content.failed, outputs.headlines(self.folder.path))
        self._track(identity)
        return outputs.headlines(self.folder.path)

    def holdout(self) -> tuple[str, ...]:
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
            own = self._own(name, fold)
            self.progress.stage(f"{name}: model of {len(own.train)} eras for the holdout")
            searched = self._searching.settings(name, "holdout", own.train)
            fitted = self._fit(searched, own.train, f"{name}-holdout")
            self._write_predictions(fitted, own, self.folder.holdout(name))
            self.folder.mark_done(f"{name}-holdout", {"eras": len(fold.validation)})
        ensembling = Ensembling(self.store.spark, self.data, self.folder)
        for name, settings in self.config.ensembles.items():
            self.progress.stage(f"{name}: ensemble for the holdout")
            ensembling.holdout(build(name, settings, self.config.validation.purge), fold)
        predictions = self.store.spark.read.parquet(self.folder.holdout())
        scores = scoring.score_eras(predictions, self.data.references, self.data.asset)
        return outputs.write_holdout(self.folder, self.config, self.data.eras.overlap, scoring.collected(scores), fold)

    def _refuse_settings(self, folds: Sequence[Fold]) -> None:
        """Tells what would fail after all models are fitted."""
        known = set(self.data.training.feature_names)
        named = [(f"ensembles.{name}.neutral_to", own.neutral_to) for name, own in self.config.ensembles.items()]
        for key, features in named:
            if unknown := [feature for feature in features if feature not in known]:
                raise InputError(f"{key} names {unknown[0]!r}, which is no feature of the training table; mend it.")
        for name, model in self.config.models.items():
            parts = [self._own(name, fold).train for fold in folds]
            for eras in (*parts, self.data.eras.known):
                self._parts(model, eras)
            if name == self.config.search.model:
                for eras in (*parts, self._seen):
                    self._refuse_search(model, eras)
            self._refuse_features(name, model)

    def _refuse_features(self, name: str, model: AnyModel) -> None:
        """Tells features that a model asks for and cannot have."""
        table = self.data.training
        has = tuple(compress(table.feature_names, table.taken(model.features, f"models.{name}.features")))
        if unknown := [feature for feature in model.named_features if feature not in has]:
            where = "the training table" if unknown[0] not in table.feature_names else f"models.{name}.features"
            raise InputError(f"models.{name} names {unknown[0]!r}, which is no feature of {where}; mend it.")
        kept = len(has) if model.selection.by == "all" else model.selection.count(len(has))
        if isinstance(model, LevelsModel) and model.network and (fault := model.network.fault(kept)):
            raise InputError(f"models.{name}.network.{fault}; lower it.")

    def _refuse_search(self, model: AnyModel, eras: Sequence[int]) -> None:
        self._searching.metrics()
        for fold in self._searching.folds(model, eras):
            self._parts(model, fold.train)

    @property
    def _seen(self) -> list[int]:
        """The eras that are not held out: a search of the final model's settings would look at the holdout, too."""
        return [span.era for span in self._held_out[0]]

    @property
    def _held_out(self) -> tuple[tuple[EraSpan, ...], Fold | None]:
        """What folds may see, and the fold that validates the eras which are held back, if any are."""
        rules, eras = self.config.validation, self.data.eras
        count = rules.holdout if rules.holdout_from is None else eras.since(rules.holdout_from)
        return hold_out(eras.spans, count, rules.purge)

    @property
    def _searching(self) -> Searching:
        return Searching(self.config, self.data, self.folder, self.progress, self._fit)

    def _track(self, identity: Mapping[str, Any]) -> None:
        settings = self.config.tracking
        told = f"tracked-{fingerprint(settings)}"  # another store is told of it, too
        if settings.enabled and not self.folder.is_done(told):
            self.progress.stage("telling MLflow")
            base = local_path(self.config.run.dir, "run.dir")
            tags = {"git_revision": git_revision() or "", "tables": json.dumps(identity["tables"])}
            tags[tracking.FINGERPRINT] = fingerprint(identity, self.config.run.name)
            tracking.track(settings, base, self.folder.path, self.config.run.name, identity["config"], tags)
            self.folder.mark_done(told, {})

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
            "references": list(self.data.reference_files),
            "software": software(self.store.spark),
        }

    def _fit_models(self, folds: Sequence[Fold]) -> dict[str, Exception]:
        """Every model, fold by fold; returns the failures of those that could not be finished, by name."""
        failed: dict[str, Exception] = {}
        for name in self.config.models:
            try:
                self._fit_folds(name, folds)
                self._predict_live(name)
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

    def _fit(self, settings: AnyModel, eras: Sequence[int], part: str | None = None, final: bool = False) -> Fitted:
        """A model of the eras that sampling and early stopping leave; one of a `part` of the run is gone on with.

        A network that is `final` learns again from the eras that it has watched, too.
        """
        chosen, watched = self._parts(settings, eras)
        work = self.folder.work(part) if part else None
        model = registry.build(settings, self.data.training.target, self.config.run.seed, work)
        sampling = self.config.sampling
        training = replace(self.data.training, share=sampling.rows, half_life=sampling.half_life)
        return model.fit(training, chosen, watched, self._sampled(eras) if final and watched else ())

    def _learned(self, settings: AnyModel, eras: Sequence[int], final: bool = False) -> list[int]:
        """The eras that such a model has learned."""
        return self._sampled(eras) if final and settings.learns_by_epochs else self._parts(settings, eras)[0]

    def _parts(self, settings: AnyModel, eras: Sequence[int]) -> tuple[list[int], list[int]]:
        """Eras to learn from, and those at their end that are watched where a model stops early."""
        chosen = self._sampled(eras)
        if not settings.watched_eras:
            return chosen, []
        span_of = {span.era: span for span in self.data.spans(settings.targets)}
        return watched_block([span_of[era] for era in chosen], settings.watched_eras, self.config.validation.purge)

    def _sampled(self, eras: Sequence[int]) -> list[int]:
        sampling = self.config.sampling
        if chosen := sampling.eras(eras):
            return chosen
        raise InputError(
            f"sampling leaves none of the eras {eras[0]} to {eras[-1]} to learn from; lower sampling.every, raise "
            "sampling.recent, or give a longer history."
        )

    def _own(self, name: str, fold: Fold) -> Fold:
        """The fold as a model sees it: purged by the labels that it learns, too; what is validated is common to all."""
        targets = self.config.models[name].targets
        try:
            return purged(fold, self.data.spans(targets), self.config.validation.purge) if targets else fold
        except InputError as error:
            raise InputError(f"models.{name}.targets: {error}") from None

    def _fit_folds(self, name: str, folds: Sequence[Fold]) -> None:
        for fold in (self._own(name, common) for common in folds):
            part = f"{name}-fold-{fold.number}"
            self.progress.step(f"{name}: fold {fold.number} of {len(folds)}", fold.number - 1, len(folds))
            if self.folder.is_done(part):
                self.progress.note(f"{name}: fold {fold.number} was finished before")
                continue
            took: dict[str, float] = {}
            with timed(took, FIT):
                settings = self._searching.settings(name, f"fold-{fold.number}", fold.train)
                fitted = self._fit(settings, fold.train, part)
            learned = self._learned(settings, fold.train)
            self._save(fitted, settings, learned, self.folder.model(name, f"fold-{fold.number}"))
            with timed(took, PREDICT):
                self._write_predictions(fitted, fold, self.folder.predictions(name, fold.number))
            self.folder.mark_done(part, {"train_eras": len(learned), "validation_eras": len(fold.validation), **took})
        self.progress.step(f"{name}: all folds", len(folds), len(folds))

    def _write_predictions(self, fitted: Fitted, fold: Fold, place: str) -> None:
        ordered = self.data.training.predicted(fitted, fold.validation).repartition(1).sortWithinPartitions("era", "id")
        ordered.write.mode("overwrite").parquet(place)

    def _predict_live(self, name: str) -> None:
        """A model of all eras with a known label (trees leave out those that they watch), and its live predictions."""
        part, took = f"{name}-{LIVE}", dict[str, float]()
        if self.folder.is_done(part):
            return
        eras, live_era = self.data.eras.known, self.data.eras.live
        learned = self._learned(self.config.models[name], eras, final=True)
        self.progress.stage(f"{name}: final model on {len(learned)} eras")
        with timed(took, FIT):
            settings = self._searching.settings(name, FINAL, self._seen)
            fitted = self._fit(settings, eras, part, final=True)
        learned = self._learned(settings, eras, final=True)  # a search may have found another watch
        self._save(fitted, settings, learned, self.folder.model(name, FINAL))
        with timed(took, PREDICT):
            rows = predict_live(self.data, self.folder, name, submit=name == self.config.submission)
        self.folder.mark_done(part, {"era": live_era, "rows": rows, **took})

    def _save(self, fitted: Fitted, settings: AnyModel, learned: Sequence[int], place: Path) -> None:
        """Writes the model with what it has learned from."""
        facts = {
            "kind": settings.kind,
            "settings": settings.model_dump(mode="json"),
            "eras": {"first": min(learned), "last": max(learned), "count": len(learned)},
            "tables": versions(self.data.tables),
        }
        models.save(replace(fitted, facts=facts, live=self.data.eras.live), place)

    def _out_of_fold(self, failed: Collection[str]) -> DataFrame:
        """Out-of-fold predictions of every model and ensemble but those that failed."""
        names = [name for name in (*self.config.models, *self.config.ensembles) if name not in failed]
        return of_models(self.store.spark.read.parquet(self.folder.predictions()), names)

    def _score(self, predictions: DataFrame) -> tuple[pd.DataFrame, dict[str, list[int]]]:
        self.progress.stage("scoring out-of-fold predictions")
        scores = scoring.score_eras(predictions, self.data.references, self.data.asset)
        scored = scoring.collected(scores)  # models x folds x eras x metrics rows
        return scored, scoring.unscored_eras(predictions)
