"""Pairs of features whose effects depend on each other: exact SHAP interaction values of trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from eraflow.explain.additive import Additive
from eraflow.explain.attribution import OfTrees
from eraflow.models.levels import Matrix
from eraflow.models.sample import Sample


def interactions(models: Mapping[int, Additive], samples: Mapping[int, Sample], chosen: Sequence[str]) -> pd.DataFrame:
    """`first, second, size, mean`: the effect of each pair beyond both its features', the largest mean |effect| first.

    Of the trees of a model: linear members have none, and those of other kinds are left out.
    """
    size, rows = np.zeros((2, len(chosen), len(chosen))), 0
    for fold, sample in samples.items():
        values = _values(models[fold], sample, chosen)
        size[0] += 2 * np.abs(values).sum(axis=0)  # both halves
        size[1] += 2 * values.sum(axis=0)
        rows += len(sample.eras)
    found = [
        (chosen[one], chosen[two], size[0, one, two] / rows, size[1, one, two] / rows)
        for one in range(len(chosen))
        for two in range(one + 1, len(chosen))
    ]
    frame = pd.DataFrame(found, columns=["first", "second", "size", "mean"])
    frame = frame[frame["size"] > 0]
    return frame.sort_values(["size", "first", "second"], ascending=[False, True, True], ignore_index=True)


def _values(model: Additive, rows: Sample, chosen: Sequence[str]) -> Matrix:
    """Rows x chosen x chosen."""
    out = np.zeros((len(rows.eras), len(chosen), len(chosen)))
    weights = model.row_weights(rows.eras)
    for part in model.parts:
        if not isinstance(part.attribution, OfTrees):
            continue
        place = {model.names[at]: column for column, at in enumerate(part.places)}
        here = [at for at, name in enumerate(chosen) if name in place]
        if len(here) < 2:
            continue
        columns = part.member.columns(model.this_week(rows.levels), rows.eras)
        wanted = [place[chosen[at]] for at in here]
        values = part.attribution.forest.interactions(columns, model.missing, wanted)
        out[:, np.array(here)[:, None], np.array(here)] += values * (part.scale * weights[:, [part.model], None])
    return out
