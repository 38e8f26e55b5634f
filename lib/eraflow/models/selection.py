"""Features chosen inside a fold: a model learns from these alone and predicts from whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eraflow.config.models import LightGbm, Selection
from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.models.levels import Vector
from eraflow.models.lightgbm import LightGbmModel
from eraflow.models.premia import premia
from eraflow.models.steps import Chosen


@dataclass(frozen=True)
class Selecting:
    """The choice of the best features by `config`, and of those in `always`, which are kept whatever they are worth."""

    config: Selection
    always: tuple[str, ...]
    seed: int

    def choose(self, training: Training, eras: Sequence[int]) -> Chosen:
        """What is kept by the labelled rows of `eras` alone."""
        keep = self.config.count(len(training.feature_names))
        if self.config.by == "stability":
            scores = stability(training, eras, self.config, keep, self.seed)
        else:
            scores = exposure_sharpes(training, eras)
        forced = np.array([name in self.always for name in training.feature_names])
        places = np.sort(np.lexsort((np.arange(len(scores)), -scores, ~forced))[:keep])
        return Chosen(tuple(places.tolist()), tuple(scores[places].tolist()))


def stability(training: Training, eras: Sequence[int], config: Selection, keep: int, seed: int) -> Vector:
    """Of each feature in how many blocks it is among the `keep` of most gain, plus its mean share of the gain.

    A small LightGBM learns each of `config.blocks` consecutive parts of the eras, whose rows all weigh the same. After
    Meinshausen & Buhlmann 2010, Stability Selection, with blocks of time in place of random halves. InputError where
    there are fewer eras than blocks.
    """
    if len(eras) < config.blocks:
        raise InputError(
            f"model: selection.blocks is {config.blocks}, but there are only {len(eras)} eras to learn from; lower it."
        )
    even = replace(training, half_life=None)
    scores = np.zeros(len(training.feature_names))
    for block in np.array_split(np.array(eras), config.blocks):
        small = LightGbmModel(_small(config), seed).fit(even, block.tolist())
        gains = small.booster.feature_importance("gain")
        best = np.lexsort((np.arange(len(gains)), -gains))[:keep]
        scores[best] += gains[best] > 0
        scores += gains / gains.sum() / config.blocks
    return scores


def exposure_sharpes(training: Training, eras: Sequence[int]) -> Vector:
    """Of each feature the mean correlation with the target over its deviation, from era to era, without its sign.

    Eras count by their weights, those in which a feature does not vary not at all. Times the root of the share of eras
    that are left, as in a t statistic: few eras are steady by chance.
    """
    found, weights = premia(training, eras, mutual_eras=0), training.weights(eras)
    each = np.array([weights[era] for era in found.eras.tolist()])[:, None]
    weight = each * (found.correlations != 0.0)
    total = weight.sum(axis=0)
    counted = np.where(total > 0.0, total, 1.0)
    mean = (weight * found.correlations).sum(axis=0) / counted
    deviation = np.sqrt((weight * (found.correlations - mean) ** 2).sum(axis=0) / counted)
    sharpes: Vector = np.abs(mean) / np.where(deviation > 0.0, deviation, np.inf) * np.sqrt(total / each.sum())
    return sharpes


def _small(config: Selection) -> LightGbm:
    """Quick trees that see each feature a few times."""
    return LightGbm(
        kind="lightgbm", preset=None, targets=(), seeds=1, features=(), selection=config, network=None,
        trees=config.trees, learning_rate=0.1,
        max_depth=5, num_leaves=31, feature_fraction=0.3, bagging_fraction=1.0, bagging_freq=0, min_data_in_leaf=50,
        early_stopping_rounds=0, early_stopping_eras=1, objective="regression", monotone={}, interactions=(),
    )  # fmt: skip
