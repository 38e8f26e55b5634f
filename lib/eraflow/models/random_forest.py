"""Random forest, grown by LightGBM: trees on samples of rows and features, averaged instead of added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eraflow.config.models import LightGbm, RandomForest
from eraflow.models.base import Training
from eraflow.models.lightgbm import LightGbmModel
from eraflow.models.trees import LightGbmTrees


@dataclass(frozen=True)
class RandomForestModel:
    """LightGBM's `rf` boosting: each tree on its own `bagging_fraction` of the rows."""

    config: RandomForest
    seed: int

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> LightGbmTrees:
        """Fits on the rows of `eras` with a known target. InputError where there are too few of them."""
        shared = self.config.model_dump(exclude={"kind"})
        grown = LightGbm(
            kind="lightgbm",
            learning_rate=1.0,  # trees are averaged, so there is nothing to slow down
            bagging_freq=1,
            early_stopping_rounds=0,
            early_stopping_eras=1,
            objective="regression",
            monotone={},
            interactions=(),
            **shared,
        )
        return LightGbmModel(grown, self.seed, boosting="rf").fit(training, eras)
