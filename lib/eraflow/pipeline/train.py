"""The main job: tables, folds, models, out-of-fold scores, live predictions, report; resumable fold by fold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow import scoring, submission
from eraflow.config import Config, fingerprint
from eraflow.errors import InputError
from eraflow.histogram import prediction_histogram
from eraflow.models.base import Fitted, Model, Training
from eraflow.models.lightgbm import LightGbmModel
from eraflow.pipeline import classic, outputs, signals
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.versions import code, software
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.tables import Store, locked
from eraflow.validation import BlockedKFold, CombinatorialPurged, Fold, WalkForward


def train(spark: SparkSession, config: Config, progress: Progress) -> tuple[str, ...]:
    """Runs, resumes, or finds finished the run that `config` describes; returns lines for the user."""
    folder = RunFolder(local_path(config.run.dir, "run.dir") / config.run.name)
    store = Store(spark, config.tables.root)
    with locked(folder.path, "run.dir"), store.lock():
        splitter(config)  # refuses settings that cannot be before anything is built
        data = (classic if config.is_classic else signals).dataset(store, config, progress)
        return _Run(config, store, data, folder, progress).result()


def splitter(config: Config) -> WalkForward | BlockedKFold | CombinatorialPurged:
    """The era splitter that `validation` in the config describes."""
    v = config.validation
    match v.splitter:
        case "walk_forward":
            return WalkForward(v.folds, v.min_train_eras, v.window, v.purge, v.embargo)
        case "blocked_kfold":
            return BlockedKFold(v.folds, v.purge, v.embargo)
        case "combinatorial_purged":
            return CombinatorialPurged(v.folds, v.test_blocks, v.purge, v.embargo)


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
        folds = splitter(self.config).split(data.spans)
        for fold in folds:
            self._sampled(fold.train)
        data.check_live(data.training.rows([data.live_era]).count())
        identity = self._identity(folds)
        if self.folder.claim(fingerprint(identity), identity):
            done = f"{self.folder.path} is finished already; nothing was done."
            return (done, *outputs.headlines(self.folder.path))
        started = time.time()
        model_name = self.config.model.kind
        model: Model = LightGbmModel(self.config.model, self.config.run.seed)
        self._fit_folds(model_name, model, folds)
        self._predict_live(model_name, model, [span.era for span in data.spans])
        scored, unscored = self._score()
        content = outputs.Content(
            config=self.config,
            data=data,
            identity=identity,
            folds=folds,
            scored=scored,
            unscored=unscored,
            predicted=prediction_histogram(self._out_of_fold()).toPandas(),  # models x bins rows
            seconds=time.time() - started,
        )
        outputs.write(self.folder.path, content)
        return outputs.headlines(self.folder.path)

    def _identity(self, folds: Sequence[Fold]) -> dict[str, Any]:
        """What decides the content of the run; where it and its tables are written does not."""
        config = self.config.resolved()
        config["run"] = {"seed": self.config.run.seed}
        config.pop("tables")
        config["signals"].pop("path")
        config["prices"].pop("path")  # the tables' fingerprints know the files
        config["classic"].pop("path")
        return {
            "config": config,
            "folds": fingerprint([asdict(fold) for fold in folds]),
            "tables": self.data.fingerprints(),
            "code": code("models", "validation", "scoring"),
            "software": software(self.store.spark),
        }

    @property
    def _training(self) -> Training:
        return replace(self.data.training, share=self.config.sampling.rows)

    def _sampled(self, eras: Sequence[int]) -> list[int]:
        sampling = self.config.sampling
        if chosen := sampling.eras(eras):
            return chosen
        raise InputError(
            f"sampling leaves none of the eras {eras[0]} to {eras[-1]} to learn from; lower sampling.every, raise "
            "sampling.recent, or give a longer history."
        )

    def _fit_folds(self, name: str, model: Model, folds: Sequence[Fold]) -> None:
        data = self._training
        for fold in folds:
            part = f"{name}-fold-{fold.number}"
            self.progress.step(f"{name}: fold {fold.number} of {len(folds)}", fold.number - 1, len(folds))
            if self.folder.is_done(part):
                self.progress.note(f"{name}: fold {fold.number} was finished before")
                continue
            fitted = model.fit(data, self._sampled(fold.train))
            fitted.save(self.folder.model(name, f"fold-{fold.number}"))
            self._write_predictions(fitted, fold, name)
            self.folder.mark_done(part, {"train_eras": len(fold.train), "validation_eras": len(fold.validation)})
        self.progress.step(f"{name}: all folds", len(folds), len(folds))

    def _write_predictions(self, fitted: Fitted, fold: Fold, name: str) -> None:
        data = self.data.training
        rows = data.rows(fold.validation)
        known = rows.select("id", F.col(data.target).alias("target"))
        # Both sides are the validation rows of one fold, so the join costs no more than reading them twice.
        predicted = fitted.predict(rows).join(known, on="id", how="inner").select("id", "era", "prediction", "target")
        ordered = predicted.repartition(1).sortWithinPartitions("era", "id")
        ordered.write.mode("overwrite").parquet(self.folder.predictions(name, fold.number))

    def _predict_live(self, name: str, model: Model, eras: Sequence[int]) -> None:
        """A model of every era with a known label, and its predictions for the live era as a submission."""
        data, live_era = self._training, self.data.live_era
        if self.folder.is_done(f"{name}-live"):
            return
        self.progress.stage(f"{name}: final model on {len(eras)} eras")
        fitted = model.fit(data, self._sampled(eras))
        fitted.save(self.folder.model(name, "final"))
        live = fitted.predict(data.rows([live_era])).toPandas()  # the rows of one era
        submission.write(self.data.submission(live), self.folder.path / "predictions.csv")
        self.folder.mark_done(f"{name}-live", {"era": live_era, "rows": len(live)})

    def _score(self) -> tuple[pd.DataFrame, dict[str, list[int]]]:
        self.progress.stage("scoring out-of-fold predictions")
        predictions = self._out_of_fold()
        scored = scoring.score_eras(predictions).toPandas()  # folds x eras x metrics rows
        return scored, scoring.unscored_eras(predictions)

    def _out_of_fold(self) -> DataFrame:
        name = self.config.model.kind
        return self.store.spark.read.parquet(self.folder.predictions(name))
