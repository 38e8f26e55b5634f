"""Features chosen inside a fold: a model learns from these alone and predicts from whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import functions as F

from eraflow.config.models import LightGbm, Selection
from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.models.levels import Eras, Vector
from eraflow.models.lightgbm import LightGbmModel
from eraflow.models.premia import premia
from eraflow.models.sample import Sample, sampled
from eraflow.models.steps import Chosen
from eraflow.models.trees import LightGbmTrees
from eraflow.shapley.forest import Forest

SAMPLE = 10_000  # rows that are held against blocks which have not learned them
TINY = 1e-300  # so that nothing is divided by 0


@dataclass(frozen=True)
class Selecting:
    """The choice of the best features by `config`, and of those in `always`, which are kept whatever they are worth."""

    config: Selection
    always: tuple[str, ...]
    seed: int

    def choose(self, training: Training, eras: Sequence[int]) -> Chosen:
        """What is kept by the labelled rows of `eras` alone."""
        keep = self.config.count(len(training.feature_names))
        if self.config.by == "exposure":
            scores = exposure_sharpes(training, eras)
        else:
            scores = by_blocks(training, eras, self.config, keep, self.seed)
        forced = np.array([name in self.always for name in training.feature_names])
        places = np.sort(np.lexsort((np.arange(len(scores)), -scores, ~forced))[:keep])
        return Chosen(tuple(places.tolist()), tuple(scores[places].tolist()))


def by_blocks(training: Training, eras: Sequence[int], config: Selection, keep: int, seed: int) -> Vector:
    """Of each feature in how many blocks it is among the `keep` best, plus its mean share of what they are worth.

    A small LightGBM learns each of `config.blocks` consecutive parts of the eras, whose rows all weigh the same. After
    Meinshausen & Buhlmann 2010, Stability Selection, with blocks of time in place of random halves. What a feature is
    worth there: `stability` its gain; `shap` its mean |SHAP| in rows of other blocks, whose labels share no day with
    this one's; `permutation` what the correlation with the target within those rows' eras loses when it is permuted
    among the rows of each era, nothing where it gains. InputError where there are fewer eras than blocks, or none to
    judge a block by.
    """
    if len(eras) < config.blocks:
        raise InputError(
            f"model: selection.blocks is {config.blocks}, but there are only {len(eras)} eras to learn from; lower it."
        )
    even = replace(training, half_life=None)
    rows = None if config.by == "stability" else _sample(even, eras)
    reach = training.reach.get(training.target, 0)  # labels of so many eras before and after share days with a block's
    scores = np.zeros(len(training.feature_names))
    for number, block in enumerate(np.array_split(np.array(eras), config.blocks)):
        small = LightGbmModel(_small(config), seed).fit(even, block.tolist())
        if rows is None:
            worth = small.booster.feature_importance("gain")
        else:
            others = _others(rows, block, reach)
            missing = training.missing
            worth = (
                _sizes(small, others, missing)
                if config.by == "shap"
                else _losses(small, others, missing, np.random.default_rng([seed, number]))
            )
        best = np.lexsort((np.arange(len(worth)), -worth))[:keep]
        scores[best] += worth[best] > 0
        scores += worth / max(worth.sum(), TINY) / config.blocks
    return scores


def _sample(training: Training, eras: Sequence[int]) -> Sample:
    """SAMPLE rows of these eras with a known target."""
    rows = training.labelled(eras).select("id", "era", "features", F.col(training.target).alias("target"))
    return sampled(rows, SAMPLE, len(training.feature_names))


def _others(rows: Sample, block: Eras, reach: int) -> Sample:
    """The rows of other blocks, purged of eras whose labels share days with this one's."""
    found = rows.without(int(block[0]) - reach, int(block[-1]) + reach)
    if not len(found.eras):
        raise InputError(
            f"model: no row to judge a block of selection.blocks by is {reach} eras away from its eras {block[0]} to "
            f"{block[-1]}; raise selection.blocks, or choose selection.by=stability."
        )
    return found


def _sizes(small: LightGbmTrees, rows: Sample, missing: int) -> Vector:
    """Of each feature its mean |SHAP|."""
    values = Forest.of_lightgbm(small.text).shapley(rows.levels, missing)
    return np.asarray(np.abs(values).mean(axis=0))


def _losses(small: LightGbmTrees, rows: Sample, missing: int, draw: np.random.Generator) -> Vector:
    """Of each feature that the trees read what the correlation within eras loses without it, at least 0."""
    losses, order = np.zeros(rows.levels.shape[1]), np.empty(len(rows.eras), dtype=np.int64)
    # Among the rows of an era, and the same for all features: one shuffle is as good as another.
    order[np.argsort(rows.eras, kind="stable")] = np.lexsort((draw.random(len(order)), rows.eras))
    whole = _correlation(small.values(rows.levels, missing), rows)
    for place in np.flatnonzero(small.booster.feature_importance("split")):
        changed = rows.levels.copy()
        changed[:, place] = rows.levels[order, place]
        losses[place] = max(0.0, whole - _correlation(small.values(changed, missing), rows))
    return losses


def _correlation(values: Vector, rows: Sample) -> float:
    """Of values and the target, each less its mean in the row's era."""
    _, era, count = np.unique(rows.eras, return_inverse=True, return_counts=True)
    one, other = (each - (np.bincount(era, each) / count)[era] for each in (values, rows.target))
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0


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
        engine="auto",
    )  # fmt: skip
