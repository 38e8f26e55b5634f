"""What the eras say of features together: importance with intervals, stability over folds, drift, expected signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from eraflow.config.explain import ExpectedSign
from eraflow.explain.eras import Measures
from eraflow.models.levels import Matrix, Vector
from eraflow.scoring import mean_interval

TINY = 1e-300  # so that nothing is divided by 0
TOP = 20  # features whose places in the folds are compared
AGREES, CONTRADICTS, UNTOLD = "agrees", "contradicts", "cannot be told"


def importance(folds: Mapping[int, Measures], training: Mapping[int, Measures], overlap: int) -> pd.DataFrame:
    """A row for each feature, the largest mean |SHAP| first.

    `feature, share` (of the sum of all mean |SHAP|), `size, size_low, size_high, direction, direction_low,
    direction_high, earned, earned_low, earned_high` (means over the validated eras with overlap-aware intervals, NaN
    without one), `training_earned` (mean over eras of the training parts), `top_folds` (in how many folds it is among
    the first 20), `early, middle, late` (its share of the size in each third of the eras), `error` (the standard error
    of one sampled value, typically; 0 where values are exact).
    """
    every, before = _together(folds), _together(training)
    size, names = every.size, every.names
    frame = pd.DataFrame({"feature": list(names), "share": size.mean(axis=0) / max(size.mean(axis=0).sum(), TINY)})
    for name in ("size", "direction", "earned"):
        frame[[name, f"{name}_low", f"{name}_high"]] = means(getattr(every, name), overlap)
    earned = dict(zip(before.names, means(before.earned, overlap)[:, 0].tolist(), strict=True))
    frame["training_earned"] = frame["feature"].map(earned)
    frame["top_folds"] = sum(_is_top(one.size.mean(axis=0)) for one in _aligned(folds, names))
    for name, part in zip(("early", "middle", "late"), np.array_split(size, 3), strict=True):
        frame[name] = part.mean(axis=0) / max(part.mean(axis=0).sum(), TINY) if len(part) else np.nan
    frame["error"] = np.sqrt((every.error**2).mean(axis=0))
    return frame.sort_values(["size", "feature"], ascending=[False, True], ignore_index=True)


def group_sizes(folds: Mapping[int, Measures], overlap: int) -> pd.DataFrame:
    """`group, size, low, high`: mean |sum of a group's contributions| over the eras, largest first."""
    every = _together(folds)
    frame = pd.DataFrame(means(every.grouped, overlap), columns=["size", "low", "high"])
    frame.insert(0, "group", list(every.groups))
    return frame.sort_values(["size", "group"], ascending=[False, True], ignore_index=True)


def stability(folds: Mapping[int, Measures]) -> float:
    """The mean rank correlation of mean |SHAP| between two folds; NaN of a single fold."""
    names = _together(folds).names
    if len(folds) < 2 or len(names) < 3:
        return float("nan")
    ranks = np.stack([rankdata(one.size.mean(axis=0)) for one in _aligned(folds, names)])
    near = np.corrcoef(ranks)
    return float(near[np.triu_indices(len(ranks), 1)].mean())


def fidelity(folds: Mapping[int, Measures], overlap: int) -> tuple[float, float, float]:
    """The mean rank correlation of what is explained with what is predicted, and its interval (NaN without one)."""
    mean, low, high = means(_together(folds).fidelity[:, None], overlap)[0].tolist()
    return mean, low, high


def permutation_importance(losses: pd.DataFrame, overlap: int) -> pd.DataFrame:
    """`model, unit, metric, eras, loss, low, high` of `losses`: means over eras with overlap-aware intervals."""
    rows = []
    for (model, metric, unit), group in losses.groupby(["model", "metric", "unit"], sort=False):
        values = group.sort_values("era")["loss"].dropna().to_numpy(dtype=np.float64)
        mean, low, high = means(values[:, None], overlap)[0]
        rows.append((model, unit, metric, len(values), mean, low, high))
    return pd.DataFrame(rows, columns=["model", "unit", "metric", "eras", "loss", "low", "high"])


def verdicts(importance: pd.DataFrame, expected: Mapping[str, ExpectedSign]) -> pd.DataFrame:
    """`feature, expected, why, direction, low, high, share, verdict` of the expected features that a model reads.

    `agrees`, `contradicts`: the interval of the direction lies on one side of 0; else it cannot be told.
    """
    rows = []
    for row in importance[importance["feature"].isin(expected)].to_dict(orient="records"):
        expectation, low, high = expected[str(row["feature"])], row["direction_low"], row["direction_high"]
        seen = 1 if low > 0 else -1 if high < 0 else 0
        verdict = UNTOLD if seen == 0 else AGREES if seen == expectation.sign else CONTRADICTS
        rows.append(
            (row["feature"], expectation.sign, expectation.why, row["direction"], low, high, row["share"], verdict)
        )
    columns = ["feature", "expected", "why", "direction", "low", "high", "share", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def by_era(folds: Mapping[int, Measures], names: Sequence[str]) -> pd.DataFrame:
    """`era, feature, size`: mean |SHAP| of these features in each era; the mean over folds of an era in several."""
    every = _together(folds)
    place = [every.names.index(name) for name in names]
    wide = pd.DataFrame(every.size[:, place], index=every.eras, columns=list(names))
    return wide.rename_axis("era").reset_index().melt("era", var_name="feature", value_name="size")


def means(values: Matrix, overlap: int) -> Matrix:
    """Columns x (mean, low, high) of eras x columns in their order; NaN where there is no interval, or no value."""
    out = np.full((values.shape[1], 3), np.nan)
    for column in range(values.shape[1]):
        finite = values[~np.isnan(values[:, column]), column]
        if len(finite):
            out[column] = (finite.mean(), *(mean_interval(finite, overlap) or (np.nan, np.nan)))
    return out


def _together(folds: Mapping[int, Measures]) -> Measures:
    """All folds as one: eras in order x the columns and groups of any fold, 0 where a fold reads no such.

    Of an era that several folds have validated it is their mean.
    """
    names = tuple(dict.fromkeys(name for one in folds.values() for name in one.names))
    every = _aligned(folds, names)
    eras, place = np.unique(np.concatenate([one.eras for one in every]), return_inverse=True)

    def mean(kind: str) -> Matrix:
        values = np.concatenate([getattr(one, kind) for one in every])
        total = np.zeros((len(eras), *values.shape[1:]))
        np.add.at(total, place, values)
        count = np.bincount(place).reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(total / count)

    kinds = ("size", "direction", "earned", "grouped", "error", "fidelity")
    return Measures(names, every[0].groups, eras, *map(mean, kinds))


def _aligned(folds: Mapping[int, Measures], names: Sequence[str]) -> list[Measures]:
    """Each fold over the same columns and groups."""
    groups = tuple(dict.fromkeys(group for one in folds.values() for group in one.groups))
    out = []
    for one in (folds[fold] for fold in sorted(folds)):
        size, direction, earned, error = (
            _placed(part, one.names, names) for part in (one.size, one.direction, one.earned, one.error)
        )
        grouped = _placed(one.grouped, one.groups, groups)
        out.append(Measures(tuple(names), groups, one.eras, size, direction, earned, grouped, error, one.fidelity))
    return out


def _placed(values: Matrix, held: Sequence[str], names: Sequence[str]) -> Matrix:
    """The columns by these names, 0 where there is none."""
    place = {name: at for at, name in enumerate(held)}
    out = np.zeros((len(values), len(names)))
    for at, name in enumerate(names):
        if name in place:
            out[:, at] = values[:, place[name]]
    return out


def _is_top(size: Vector) -> Vector:
    top = np.zeros(len(size))
    best = np.argsort(-size, kind="stable")[:TOP]
    top[best] = size[best] > 0
    return top
