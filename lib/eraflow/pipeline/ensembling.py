"""The ensembles of a run: from its models' out-of-fold and live predictions to those of the blend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from eraflow.config import ensembles as config_ensembles
from eraflow.ensembles import weights
from eraflow.ensembles.ensemble import Ensemble
from eraflow.ensembles.neutralisation import Features
from eraflow.models.saved import Blend, save_blend
from eraflow.pipeline.clock import ENSEMBLE, FIT, PREDICT, timed
from eraflow.pipeline.dataset import Dataset, versions
from eraflow.pipeline.folder import RunFolder, partition, uri
from eraflow.pipeline.live import FINAL, predict_live
from eraflow.predictions import of_eras, of_models
from eraflow.validation import Fold
from eraflow.whole_files import write_csv


def build(name: str, settings: config_ensembles.Ensemble, purge: int | None) -> Ensemble:
    """The ensemble that a part of the configuration describes; a `purge` of the folds holds for its weights too."""
    fitted: Mapping[str, Callable[[], weights.Weighting]] = {
        "equal": lambda: weights.equal,
        "inverse_variance": lambda: weights.inverse_variance,
        "non_negative": lambda: weights.non_negative,
        "greedy": lambda: weights.greedy(settings.rounds),
        "ridge": lambda: weights.ridge(settings.penalty),
    }
    given = settings.weights
    weigh = fitted[given]() if isinstance(given, str) else weights.fixed(given)
    # Weights that are given need no earlier eras.
    least = 0 if isinstance(given, dict) else settings.min_eras
    return Ensemble(
        name,
        settings.models,
        weigh,
        least,
        purge=purge or 0,
        proportion=settings.neutralise,
        chosen=settings.neutral_to or None,
        riskiest=settings.riskiest,
    )


@dataclass(frozen=True)
class Ensembling:
    """What the ensembles of one run read and write."""

    spark: SparkSession
    data: Dataset
    folder: RunFolder

    def run(self, ensemble: Ensemble, submit: bool) -> None:
        """Writes the ensemble's out-of-fold predictions, its weights by era, and its live predictions."""
        part, took = f"{ensemble.name}-{ENSEMBLE}", dict[str, float]()
        if self.folder.is_done(part):
            return
        every = self._read(self.folder.out_of_fold)
        predictions = of_models(every, ensemble.models)
        wanted = [*self.data.eras.spans, self.data.eras.live_span]
        with timed(took, FIT):
            by_era = ensemble.weights(predictions, wanted, self.data.eras.spans)
        self.folder.live(ensemble.name).parent.mkdir(parents=True, exist_ok=True)
        self._write_weights(ensemble, by_era)
        eras = [row["era"] for row in predictions.select("era").distinct().collect()]  # one row an era
        with timed(took, PREDICT):
            mixed = ensemble.predict(predictions, by_era, self._features(self.data.training.rows(eras)))
            ordered = mixed.drop("model").repartition("fold").sortWithinPartitions("fold", "era", "id")
            target = partition(self.folder.out_of_fold, ensemble.name)
            ordered.write.mode("overwrite").partitionBy("fold").parquet(uri(target))
            self._save(ensemble, by_era[self.data.eras.live])
            predict_live(self.data, self.folder, ensemble.name, submit)
        self.folder.mark_done(part, {"models": list(ensemble.models), **took})

    def holdout(self, ensemble: Ensemble, fold: Fold) -> None:
        """Writes the ensemble's predictions of the held-out eras, which its models have predicted.

        All of them are blended by the weights of the first: fitted on out-of-fold predictions of the eras that `fold`
        trains on, whose labels had ended by then.
        """
        if self.folder.is_done(f"{ensemble.name}-holdout"):
            return
        trained = set(fold.train)
        span_of = {span.era: span for span in self.data.eras.spans}
        every = self._read(self.folder.out_of_fold)
        earlier = of_eras(of_models(every, ensemble.models), fold.train)
        first = span_of[fold.validation[0]]
        spans = [span for span in self.data.eras.spans if span.era in trained]
        weights = ensemble.weights(earlier, [first], spans)[first.era]
        by_era = dict.fromkeys(fold.validation, weights)
        self._write_weights(ensemble, {first.era: weights}, "holdout_weights.csv")
        predictions = of_models(self._read(self.folder.held_out), ensemble.models)
        mixed = ensemble.predict(predictions, by_era, self._features(self.data.training.rows(fold.validation)))
        ordered = mixed.drop("model", "fold").repartition(1).sortWithinPartitions("era", "id")
        ordered.write.mode("overwrite").parquet(uri(partition(self.folder.held_out, ensemble.name, 0)))
        self.folder.mark_done(f"{ensemble.name}-holdout", {"weights_from_eras": len(spans)})

    def _write_weights(
        self, ensemble: Ensemble, by_era: Mapping[int, weights.Vector], name: str = "weights.csv"
    ) -> None:
        rows = [
            (era, model, weight)
            for era, of_era in by_era.items()
            for model, weight in zip(ensemble.models, of_era, strict=True)
        ]
        table = pd.DataFrame(rows, columns=["era", "model", "weight"])
        write_csv(table, self.folder.model(ensemble.name, name))

    def _save(self, ensemble: Ensemble, weights: weights.Vector) -> None:
        """Writes the ensemble of the final models, by the weights of the live era."""
        places = {model: self.folder.model(model, FINAL) for model in ensemble.models}
        facts = {"kind": "ensemble", "tables": versions(self.data.tables)}
        neutral = (ensemble.proportion, ensemble.chosen, ensemble.riskiest)
        save_blend(Blend(places, weights.tolist(), *neutral, facts), self.folder.model(ensemble.name, FINAL))

    def _read(self, predictions: Path) -> DataFrame:
        return self.spark.read.parquet(uri(predictions))

    def _features(self, rows: DataFrame) -> Features:
        return Features(rows, self.data.training.feature_names, self.data.training.missing)
