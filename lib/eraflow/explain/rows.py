"""Why a row is predicted as it is: what raises and what lowers it most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from eraflow.explain.additive import Additive
from eraflow.models.levels import Eras, Levels, Matrix
from eraflow.models.sample import Sample

ROWS_AT_ONCE = 1_000


def why(
    model: Additive, ids: Sequence[str], levels: Levels, eras: Eras, count: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`id, place, feature, level, contribution, error`: of each row the `count` features that raise or lower it most.

    `place` is 1, 2, … for those that raise it, -1, -2, … for those that lower it; a feature that does neither is none
    of them. `level` is null where it is not known, `error` is the standard error of what is sampled: of a blend from
    which something is taken off before that. And `id, base, sum`: where the contributions of each row begin and end,
    the highest sum first.
    """
    parts, totals = [], []
    for part in _parts(model, len(ids)):
        if model.is_sampled:
            values, errors = model.with_errors(levels[part], eras[part])
        else:
            values = model.contributions(levels[part], eras[part])
            errors = np.zeros_like(values)
        parts.append(_largest(values, errors, model, ids[part], model.levels(levels[part], eras[part]), count))
        totals.append(values.sum(axis=1))
    base = model.bases(eras)
    sums = pd.DataFrame({"id": list(ids), "base": base, "sum": base + np.concatenate(totals)})
    sums = sums.sort_values(["sum", "id"], ascending=[False, True], ignore_index=True)
    return pd.concat(parts, ignore_index=True), sums


def contributions(
    models: Mapping[int, Additive], samples: Mapping[int, Sample], features: Sequence[str], count: int
) -> pd.DataFrame:
    """`feature, level, contribution, error` of some rows of each fold, `count` together, by the fold's model.

    Of a blend that is neutralised before anything is taken off.
    """
    frames = []
    for fold, sample in samples.items():
        model, most = models[fold], -(-count // len(samples))
        some = few(model, sample, most)
        values, errors = (part[:most] for part in model.with_errors(some.levels, some.eras))
        read = model.levels(some.levels, some.eras)[:most]
        for feature in (name for name in features if name in model.names):
            place = model.names.index(feature)
            level = pd.array(read[:, place], dtype="Int8")
            level[read[:, place] == model.missing] = pd.NA
            columns = {"level": level, "contribution": values[:, place], "error": errors[:, place]}
            frames.append(pd.DataFrame({"feature": feature, **columns}))
    found = pd.concat(frames, ignore_index=True)
    order = found["feature"].map({name: at for at, name in enumerate(features)})
    return found.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)


def few(model: Additive, sample: Sample, count: int) -> Sample:
    """So many of the rows; of a model that reads whole eras one era."""
    chosen = sample.eras == sample.eras[0] if model.reads_whole_eras else np.arange(len(sample.eras)) < count
    return Sample(sample.levels[chosen], sample.eras[chosen], sample.target[chosen])


def _parts(model: Additive, rows: int) -> list[slice]:
    """Rows that are worked out at once: an era's together where something is taken off their blend."""
    at_once = max(1, rows if model.is_neutral or model.reads_whole_eras else ROWS_AT_ONCE)
    return [slice(begin, begin + at_once) for begin in range(0, rows, at_once)]


def _largest(
    values: Matrix, errors: Matrix, model: Additive, ids: Sequence[str], read: Levels, count: int
) -> pd.DataFrame:
    """As `why` has them, of the contributions of some rows and the levels that these are of."""
    held, rows = np.array(model.names, dtype=object), np.arange(len(ids))[:, None]
    count = min(count, len(model.names))
    frames = []
    for sign in (1, -1):
        order = np.argsort(-sign * values, axis=1, kind="stable")[:, :count]
        shares, level = values[rows, order], read[rows, order]
        frame = pd.DataFrame(
            {
                "id": np.repeat(np.array(ids, dtype=object), count),
                "place": np.tile(sign * np.arange(1, count + 1), len(ids)),
                "feature": held[order].ravel(),
                "level": pd.array(level.ravel(), dtype="Int8"),
                "contribution": shares.ravel(),
                "error": errors[rows, order].ravel(),
            }
        )
        frame.loc[(level == model.missing).ravel(), "level"] = pd.NA
        frames.append(frame[sign * frame["contribution"] > 0])
    both = pd.concat(frames, ignore_index=True)
    row_of = {name: at for at, name in enumerate(ids)}
    order = np.lexsort((-both["contribution"], both["id"].map(row_of)))
    return both.iloc[order].reset_index(drop=True)
