"""Models beside each other: paired differences, and what the best of many trials is worth."""

from __future__ import annotations

from itertools import combinations
from math import e, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from eraflow.scoring.intervals import mean_interval

EULER = 0.5772156649015329
MOST_BLOCKS = 16  # 12,870 ways to choose half of them
MIN_TRIALS = 2

Values = npt.NDArray[np.float64]


def differences(per_era: pd.DataFrame, metric: str, overlap: int) -> pd.DataFrame:
    """`model, other, eras, mean, low, high, better_share`: two models over the eras of both; best mean first.

    `mean` is model less other, `low` and `high` its 95 % interval, which allows for overlap and is NaN where there is
    none (`mean_interval`); `better_share` is the share of the eras in which the model is better.
    """
    wide = by_era(per_era, metric)
    ordered = list(wide.mean().sort_values(ascending=False, kind="stable").index)
    rows = []
    for model, other in combinations(ordered, 2):
        apart = (wide[model] - wide[other]).dropna().to_numpy()
        interval = mean_interval(apart, overlap) if len(apart) else None
        low, high = interval or (np.nan, np.nan)
        mean, better = (apart.mean(), (apart > 0).mean()) if len(apart) else (np.nan, np.nan)
        rows.append((model, other, len(apart), mean, low, high, better))
    return pd.DataFrame(rows, columns=["model", "other", "eras", "mean", "low", "high", "better_share"])


def leaderboard(per_era: pd.DataFrame, metric: str, overlap: int, trials: int) -> pd.DataFrame:
    """`model, eras, mean, low, high, sharpe, deflated`, best mean first; `deflated` as in `deflated_sharpe`.

    `trials` is how many models were tried in all, those that are not shown too; it counts for at least the models here.
    """
    wide = by_era(per_era, metric)
    series = {str(model): wide[model].dropna().to_numpy() for model in wide}
    sharpes = {model: sharpe(values) for model, values in series.items()}
    rows = []
    for model, values in series.items():
        low, high = mean_interval(values, overlap) or (np.nan, np.nan)
        deflated = deflated_sharpe(values, list(sharpes.values()), max(trials, len(series)), overlap)
        rows.append((model, len(values), values.mean(), low, high, sharpes[model], deflated))
    columns = ["model", "eras", "mean", "low", "high", "sharpe", "deflated"]
    board = pd.DataFrame(rows, columns=columns)
    return board.sort_values(["mean", "model"], ascending=[False, True], ignore_index=True)


def by_era(per_era: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Eras by models: the values of one metric."""
    return per_era[per_era["metric"] == metric].pivot(index="era", columns="model", values="value")


def sharpe(values: Values) -> float:
    """Mean over standard deviation (ddof 0); NaN without variation."""
    return float(values.mean() / values.std()) if len(values) and np.ptp(values) > 0 else float("nan")


def expected_best_sharpe(sharpes: list[float], trials: int, effective: float) -> float:
    """Sharpe that the best of so many worthless trials is expected to show, from the spread of those that are known.

    sd (1 - g) q(1 - 1/N) + sd g q(1 - 1/(N e)), q the normal quantile, g Euler's constant (Bailey & Lopez de Prado
    2014, The Deflated Sharpe Ratio, equation 1). 0 where there is one trial. The spread is never less than what a
    worthless trial of so many effective eras varies by itself: trials that are shown may be each other's twins.
    """
    finite = np.array([x for x in sharpes if np.isfinite(x)])
    if trials < MIN_TRIALS:
        return 0.0
    alone = 1 / sqrt(effective)
    spread = max(finite.std(ddof=1), alone) if len(finite) >= MIN_TRIALS else alone
    quantiles = (1 - EULER) * stats.norm.ppf(1 - 1 / trials) + EULER * stats.norm.ppf(1 - 1 / (trials * e))
    return float(spread * quantiles)


def deflated_sharpe(values: Values, sharpes: list[float], trials: int, overlap: int) -> float:
    """Probability that a model's true Sharpe is above 0, given that it was chosen among so many trials.

    The probabilistic Sharpe ratio against `expected_best_sharpe`, which allows for skewness and fat tails (Bailey &
    Lopez de Prado 2014, equation 2). Eras with overlapping labels count as eras over overlap. NaN without variation,
    or below three such eras.
    """
    observed, effective = sharpe(values), len(values) / overlap
    if not np.isfinite(observed) or effective < 3:
        return float("nan")
    skew, kurtosis = stats.skew(values), stats.kurtosis(values, fisher=False)
    spread = 1 - skew * observed + (kurtosis - 1) / 4 * observed**2
    above = (
        (observed - expected_best_sharpe(sharpes, trials, effective)) * sqrt(effective - 1) / sqrt(max(spread, 1e-12))
    )
    return float(stats.norm.cdf(above))


def overfitting_probability(per_era: pd.DataFrame, metric: str, overlap: int) -> float | None:
    """Probability that the model which is best on one half of the time is below the median of the models on the other.

    Combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado & Zhu 2017, The Probability of Backtest
    Overfitting): the eras that all models have are cut into blocks, at most 16 and none shorter than the overlap; every
    choice of half of them is one sample, judged by Sharpe. None below two models, or four blocks.
    """
    values = by_era(per_era, metric).dropna().to_numpy(dtype=float)
    blocks = 2 * (min(MOST_BLOCKS, len(values) // max(overlap, 2)) // 2)
    if values.shape[1] < MIN_TRIALS or blocks < 4:
        return None
    parts = np.array_split(values, blocks)
    moments = np.array([(np.full(values.shape[1], len(x)), x.sum(axis=0), (x**2).sum(axis=0)) for x in parts])
    chosen = np.zeros((sum(1 for _ in combinations(range(blocks), blocks // 2)), blocks))
    for row, places in enumerate(combinations(range(blocks), blocks // 2)):
        chosen[row, list(places)] = 1.0
    inside = _sharpes(np.einsum("sb,bkm->skm", chosen, moments))
    outside = _sharpes(np.einsum("sb,bkm->skm", 1 - chosen, moments))
    best = np.take_along_axis(outside, inside.argmax(axis=1)[:, None], axis=1)
    # Ties share a rank, as equal models do.
    rank = ((outside < best).sum(axis=1) + 0.5 * ((outside == best).sum(axis=1) + 1)) / (values.shape[1] + 1)
    return float(np.mean(rank <= 0.5))


def _sharpes(moments: npt.NDArray[Any]) -> Values:
    count, total, squares = moments[:, 0], moments[:, 1], moments[:, 2]
    mean = total / count
    return np.asarray(mean / np.sqrt(np.maximum(squares / count - mean**2, 1e-300)))
