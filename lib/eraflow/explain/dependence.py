"""How the explained sum moves with one feature, or two, as they are set to each level: partial dependence.

Friedman 2001. Rows keep their other levels, so where features go together some of these rows do not exist. Of a model
that follows tickers a feature is set so in all the weeks that a row holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from eraflow.explain.additive import Additive
from eraflow.models.levels import Matrix
from eraflow.models.lightgbm_rows import LEVELS
from eraflow.models.sample import Sample

THIRDS = ("early", "middle", "late")


def dependence(
    models: Mapping[int, Additive], samples: Mapping[int, Sample], features: Sequence[str], inputs: Sequence[str]
) -> pd.DataFrame:
    """`feature, third, level, effect`: the mean sum of each third of the eras, less that over all levels.

    `models` and `samples` are by fold; each row is judged by the model that has not seen it.
    """
    third = _thirds(samples)
    rows = []
    for feature in features:
        values = _set(models, samples, [inputs.index(feature)])
        for number, name in enumerate(THIRDS):
            part = values[third == number]
            if len(part):
                effect = part.mean(axis=0) - part.mean()
                rows += [(feature, name, level, float(effect[level])) for level in range(LEVELS)]
    return pd.DataFrame(rows, columns=["feature", "third", "level", "effect"])


def pair_dependence(
    models: Mapping[int, Additive], samples: Mapping[int, Sample], pair: Sequence[str], inputs: Sequence[str]
) -> pd.DataFrame:
    """`third, first, second, effect`: the same for both features of a pair at once, over all combinations of levels."""
    third = _thirds(samples)
    values = _set(models, samples, [inputs.index(feature) for feature in pair])
    rows = []
    for number, name in enumerate(THIRDS):
        part = values[third == number]
        if len(part):
            effect = part.mean(axis=0) - part.mean()
            both = product(range(LEVELS), repeat=2)
            rows += [(name, *levels, float(value)) for levels, value in zip(both, effect, strict=True)]
    return pd.DataFrame(rows, columns=["third", "first", "second", "effect"])


def _set(models: Mapping[int, Additive], samples: Mapping[int, Sample], places: Sequence[int]) -> Matrix:
    """Rows of all folds x combinations of levels: the sum with the features at these places set so."""
    parts = []
    for fold in sorted(samples):
        sample, columns, width = samples[fold], [], models[fold].width
        for levels in product(range(LEVELS), repeat=len(places)):
            changed = sample.levels.copy()
            for week in range(0, changed.shape[1], width):
                changed[:, [week + place for place in places]] = levels
            columns.append(models[fold].sums(changed, sample.eras))
        parts.append(np.column_stack(columns))
    return np.concatenate(parts)


def _thirds(samples: Mapping[int, Sample]) -> np.ndarray:
    """Of each row of all folds the number of its third of the eras."""
    eras = np.concatenate([samples[fold].eras for fold in sorted(samples)])
    distinct, place = np.unique(eras, return_inverse=True)
    return np.asarray(place * len(THIRDS) // len(distinct))
