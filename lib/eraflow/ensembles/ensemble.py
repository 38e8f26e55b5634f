"""An ensemble as a run uses it: weights for each era, its predictions blended and, if asked for, made neutral."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.ensembles.blending import blended, moments
from eraflow.ensembles.neutralisation import Features, neutralise
from eraflow.ensembles.weights import Vector, Weighting, weights_by_era
from eraflow.spans import EraSpan


@dataclass(frozen=True)
class Ensemble:
    """`weigh` of `models` where at least `least` earlier eras are known, equal weights elsewhere.

    `purge` eras before an era are not known to it, whatever their labels. Models of one kind that learned different
    targets are members like any others: a target ensemble. One member alone is a model to be made neutral. `proportion`
    of what the features `chosen` (None: all), or the `riskiest` of them, explain is taken off the blend's normal
    scores, 0 for nothing.
    """

    name: str
    models: tuple[str, ...]
    weigh: Weighting
    least: int
    purge: int = 0
    proportion: float = 0.0
    chosen: tuple[str, ...] | None = None
    riskiest: int | None = None

    def weights(self, predictions: DataFrame, wanted: Sequence[EraSpan], spans: Sequence[EraSpan]) -> dict[int, Vector]:
        """Each wanted era's weights in the order of `models`, from out-of-fold predictions (`blending.moments`)."""
        return weights_by_era(moments(predictions, self.models), wanted, spans, self.weigh, self.least, self.purge)

    def predict(self, predictions: DataFrame, weights: Mapping[int, Vector], features: Features) -> DataFrame:
        """`id, era, fold, model, prediction, target` under the ensemble's name, of every era of `predictions`.

        `features` hold the rows of these eras.
        """
        mixed = blended(predictions, self.models, weights).withColumn("model", F.lit(self.name))
        if not self.proportion:
            return mixed
        return neutralise(mixed, features, self.proportion, self.chosen, self.riskiest)
