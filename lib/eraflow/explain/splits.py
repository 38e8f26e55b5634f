"""What trees themselves count: the gain of a feature's splits, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from eraflow.explain.additive import Additive
from eraflow.models.trees import LightGbmTrees, SparkTrees


def splits(models: Sequence[Additive]) -> pd.DataFrame:
    """`feature, gain, splits` of models side by side, such as the folds': a share of all gain, and a mean count.

    A forest of Spark ML tells no gain. Empty where no member has trees.
    """
    gains, counts = dict[str, list[float]](), dict[str, list[float]]()
    grown = 0
    for model, part in ((one, part) for one in models for part in one.parts):
        names = [model.names[place] for place in part.places]
        match part.member.estimator:
            case LightGbmTrees() as trees:
                gain = trees.booster.feature_importance("gain")
                count = trees.booster.feature_importance("split")
            case SparkTrees() as trees:
                gain = np.full(len(names), np.nan)
                count = np.bincount(trees.feature[trees.feature >= 0], minlength=len(names))
            case _:
                continue
        grown += 1
        for name, gained, times in zip(names, gain / max(gain.sum(), 1e-300), count, strict=True):
            gains.setdefault(name, []).append(float(gained))
            counts.setdefault(name, []).append(float(times))
    rows = [(name, sum(gains[name]) / grown, sum(counts[name]) / grown) for name in gains]
    return pd.DataFrame(rows, columns=["feature", "gain", "splits"])
