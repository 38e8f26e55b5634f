"""What the eras say together, in pandas: per-era frames grow with eras, not with rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from eraflow.scoring.intervals import CONFIDENCE, mean_interval

ERAS_A_YEAR = 52
WINDOWS = (20, 52, 200)  # last eras that are summarised by themselves
PAYOUT = "payout"
MEASURES = (
    "mean", "std", "sharpe", "sortino", "calmar", "smart_sharpe", "autocorrelation", "max_drawdown", "drawdown_eras",
    "positive_share", "best_era", "worst_era", "apy", "interval",
)  # fmt: skip

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Payout:
    """What an era pays on a stake: the weighted sum of some metrics times a factor, cut off at a limit either way."""

    weights: Mapping[str, float]
    factor: float
    limit: float


def per_era(scored: pd.DataFrame) -> pd.DataFrame:
    """`model, era, metric, value`, sorted: the mean over folds where an era was validated by several.

    Takes the collected rows of `score_eras`, in any order. A fold without a value (NaN) is left out of the mean.
    """
    ordered = scored.sort_values(["model", "era", "metric", "fold"], kind="stable")
    return ordered.groupby(["model", "era", "metric"], sort=True)["value"].mean().reset_index()


def with_payout(scores: pd.DataFrame, payout: Payout) -> pd.DataFrame:
    """The rows and, as metric `payout`, an estimate of what each era would have paid.

    Takes `per_era`, or the rows of `score_eras` by fold. NaN in an era that lacks a value of a metric with a weight;
    no rows for a model that lacks the metric altogether.
    """
    key = [name for name in ("model", "era", "fold") if name in scores]
    paid = {metric: weight for metric, weight in payout.weights.items() if weight}
    weighted = scores[scores["metric"].isin(paid)]
    complete = weighted.groupby("model")["metric"].nunique() == len(paid)
    weighted = weighted[weighted["model"].map(complete).astype(bool)] if paid else weighted
    if weighted.empty:
        return scores
    wide = weighted.pivot(index=key, columns="metric", values="value")
    total = (wide[list(paid)] * pd.Series(paid)).sum(axis=1, skipna=False) * payout.factor
    paying = total.clip(-payout.limit, payout.limit).rename("value").reset_index().assign(metric=PAYOUT)
    both = pd.concat([scores, paying], ignore_index=True)[list(scores.columns)]
    return both.sort_values(["model", "era", "metric"], kind="stable", ignore_index=True)


def summarise(
    per_era: pd.DataFrame, overlap: Mapping[str, int] | int, by_fold: pd.DataFrame | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Model → metric → summary of its eras, in plain Python numbers ready for JSON; what is undefined is None.

    Each summary has `eras` (with a value), `eras_without_value` (constant predictions, or a reference that is not
    known), `effective_eras` (eras over overlap) and `confidence`; in the metric's unit `mean`, `std` (ddof 0),
    `max_drawdown` (of the cumulative sum, positive) and `interval` of the mean ([low, high]); per era, not annualised,
    `sharpe` (mean over std), `sortino` (mean over the root mean square of what is below 0) and `smart_sharpe` (see
    `autocorrelation_penalty`); `calmar` (mean of a year over `max_drawdown`), `autocorrelation` (lag one),
    `positive_share`; as era numbers `best_era`, `worst_era` (the first on a tie) and `drawdown_eras` ([of the highest
    level before it, None where that is the start; of its lowest]); `apy`, of `payout` only: see `annual_yield`.

    Below it `last_20`, `last_52` and `last_200` are the same of the last eras, where there are more than these, and
    `folds` by the number of the fold.

    Parameters
    ----------
    per_era : `model, era, metric, value`, as `per_era` gives it.
    overlap : number of these eras that one label spans, at least 1 (4 for 20 days and 12 for 60 over weekly eras, 1 for
        20 days over every fourth era); one number, or one for each model.
    by_fold : `model, era, fold, metric, value`: with it there are `folds`.
    """
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for model, metric, values in _series(per_era):
        spanned = overlap if isinstance(overlap, int) else overlap[model]
        paid = metric == PAYOUT
        found = _summary(values, spanned, paid)
        for window in WINDOWS:
            if len(values) > window:
                found[f"last_{window}"] = _summary(values.iloc[-window:], spanned, paid)
        summary.setdefault(model, {})[metric] = found
    if by_fold is None:
        return summary
    for fold, group in by_fold.groupby("fold"):
        for model, metric, values in _series(group):
            spanned = overlap if isinstance(overlap, int) else overlap[model]
            folds = summary[model][metric].setdefault("folds", {})
            folds[str(fold)] = _summary(values, spanned, metric == PAYOUT)
    return summary


def max_drawdown(values: Values) -> float:
    """Deepest fall of the cumulative sum below its highest level so far, as a positive number; it starts from 0."""
    return _drawdown(values)[0]


def autocorrelation(values: Values) -> float | None:
    """Correlation of consecutive eras; None with fewer than three, or without variation."""
    before, after = values[:-1], values[1:]
    if len(values) < 3 or np.ptp(before) == 0 or np.ptp(after) == 0:
        return None
    return float(np.corrcoef(before, after)[0, 1])


def autocorrelation_penalty(values: Values) -> float:
    """How many times the deviation of a sum of eras exceeds that of independent ones, were they autoregressive.

    The square root of 1 + 2 sum over k < n of (1 - k / n) |rho|^k, rho the lag-one autocorrelation: the variance of a
    mean of n values of a first-order autoregression over that of independent ones (Lo 2002, The Statistics of Sharpe
    Ratios). With |rho| an alternating series is not rewarded. Numerai's community calls Sharpe over it smart Sharpe.
    """
    rho = autocorrelation(values)
    if rho is None:
        return 1.0
    lags = np.arange(1, len(values))
    return float(np.sqrt(1 + 2 * np.sum((1 - lags / len(values)) * np.abs(rho) ** lags)))


def annual_yield(payouts: Values, overlap: int, eras_a_year: int = ERAS_A_YEAR) -> float | None:
    """Growth of a stake in a year, as a share of it: payouts are staked again once their label is known.

    The geometric mean of 1 + payout, to the power of the rounds that fit one after another into a year (eras a year
    over overlap), less 1. None where an era pays -1 or less.
    """
    if (payouts <= -1).any():
        return None
    return float(np.expm1(np.mean(np.log1p(payouts)) * eras_a_year / overlap))


def largest_exposures(scored: pd.DataFrame) -> pd.DataFrame:
    """`model, era, fold, metric, value, feature`: the largest exposures in the rows of `score_eras`, sorted."""
    found = scored[scored["detail"].notna()].rename(columns={"detail": "feature"})
    return found.sort_values(["model", "era", "fold", "metric"], ignore_index=True)[
        ["model", "era", "fold", "metric", "value", "feature"]
    ]


def _series(frame: pd.DataFrame) -> list[tuple[str, str, pd.Series]]:
    """Model, metric and the values by era, in order."""
    groups = frame.sort_values("era").groupby(["model", "metric"], sort=True)
    return [
        (str(model), str(metric), pd.Series(rows["value"].to_numpy(dtype=float), index=rows["era"].to_numpy()))
        for (model, metric), rows in groups
    ]


def _drawdown(values: Values) -> tuple[float, int, int]:
    """Depth of the deepest fall, and the places of its highest and its lowest level; -1 is the start."""
    level = np.concatenate([[0.0], np.cumsum(values)])
    falls = np.maximum.accumulate(level) - level
    lowest = int(np.argmax(falls))
    return float(falls[lowest]), int(np.argmax(level[: lowest + 1])) - 1, lowest - 1


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0 else None


def _measures(values: Values, eras: npt.NDArray[Any], overlap: int, paid: bool) -> dict[str, Any]:
    mean, std = float(values.mean()), float(values.std())
    sharpe = mean / std if np.ptp(values) > 0 else None
    depth, peak, trough = _drawdown(values)
    interval = mean_interval(values, overlap)
    measures = (
        mean,
        std,
        sharpe,
        _ratio(mean, float(np.sqrt(np.mean(np.minimum(values, 0.0) ** 2)))),
        _ratio(mean * ERAS_A_YEAR, depth),
        None if sharpe is None else sharpe / autocorrelation_penalty(values),
        autocorrelation(values),
        depth,
        [None if peak < 0 else int(eras[peak]), int(eras[trough])] if depth > 0 else None,
        float(np.mean(values > 0)),
        int(eras[values.argmax()]),
        int(eras[values.argmin()]),
        annual_yield(values, overlap) if paid else None,
        list(interval) if interval else None,
    )
    return dict(zip(MEASURES, measures, strict=True))


def _summary(values: pd.Series, overlap: int, paid: bool) -> dict[str, Any]:
    """Summary of one model's metric; values indexed by era, in order."""
    scored = values.dropna()
    numbers, eras = scored.to_numpy(dtype=float), scored.index.to_numpy()
    counts = {
        "eras": len(numbers),
        "eras_without_value": len(values) - len(numbers),
        "effective_eras": len(numbers) / overlap,
        "confidence": CONFIDENCE,
    }
    measures = _measures(numbers, eras, overlap, paid) if len(numbers) else dict.fromkeys(MEASURES)
    return counts | measures
