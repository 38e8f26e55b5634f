"""How well predictions did, era by era, and what the eras say together.

Spark scores (one grouped map over model, era and fold); what comes back grows with eras, not with rows, and is
summarised in pandas.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numerai_tools import scoring as numerai
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import stats

from eraflow.errors import InputError

MIN_ROWS = 3  # with two rows every correlation is 1, -1 or undefined
MIN_EFFECTIVE_ERAS = 10  # below this many labels without overlap no interval is shown
CONFIDENCE = 0.95
KNOWN = "target is not null and not isnan(target)"
KEY = ["model", "era", "fold"]
MEASURES = ("mean", "std", "sharpe", "max_drawdown", "positive_share", "best_era", "worst_era", "interval")
SCORES = "model string, era int, fold int, metric string, value double"

Metric = Callable[[pd.Series, pd.Series], float]


def numerai_corr(predictions: pd.Series, target: pd.Series) -> float:
    """Numerai's CORR of one era, as numerai-tools computes it.

    Parameters
    ----------
    predictions, target : indexed by id, in any order. Rows whose target is unknown are not scored.

    Returns
    -------
    The correlation, or NaN with fewer than `MIN_ROWS` scored rows or where predictions or target are constant on them.

    Raises
    ------
    InputError
        If an id occurs twice, a scored row has no prediction, or numerai-tools refuses the values.
    """
    return _correlation(predictions, target, lambda p, t: float(numerai.numerai_corr(p.to_frame(), t).iloc[0]))


def spearman(predictions: pd.Series, target: pd.Series) -> float:
    """Rank correlation of one era, ties averaged; null and errors as in `numerai_corr`."""
    return _correlation(predictions, target, lambda p, t: float(numerai.spearman_correlation(t, p)))


def pearson(predictions: pd.Series, target: pd.Series) -> float:
    """Linear correlation of one era; null and errors as in `numerai_corr`."""
    return _correlation(predictions, target, lambda p, t: float(numerai.pearson_correlation(t, p)))


METRICS: Mapping[str, Metric] = {"numerai_corr": numerai_corr, "spearman": spearman, "pearson": pearson}


def score_eras(predictions: DataFrame) -> DataFrame:
    """`model, era, fold, metric, value`: every metric of every model, era and fold that has known targets.

    Parameters
    ----------
    predictions : `id string, era int, fold int, model string, prediction double, target float`, the target null or NaN
        where it is not known yet. An era without any known target gives no row; a value is NaN as in `numerai_corr`.
    """
    columns = predictions.select(*KEY, "id", "prediction", "target")
    known = columns.where(KNOWN)
    return known.groupBy(*KEY).applyInPandas(_score_group, SCORES)


def unscored_eras(predictions: DataFrame) -> dict[str, list[int]]:
    """Model → its sorted eras that have predictions but no known target; models without such eras are left out."""
    eras = predictions.groupBy("model", "era").agg(F.max(F.expr(KNOWN)).alias("known")).where("not known")
    found: dict[str, list[int]] = {}
    for row in sorted(eras.select("model", "era").collect()):  # at most models x eras rows
        found.setdefault(row["model"], []).append(row["era"])
    return found


def per_era(scored: pd.DataFrame) -> pd.DataFrame:
    """`model, era, metric, value`, sorted: the mean over folds where an era was validated by several.

    Takes the collected rows of `score_eras`, in any order. A fold without a value (NaN) is left out of the mean.
    """
    ordered = scored.sort_values(["model", "era", "metric", "fold"], kind="stable")
    return ordered.groupby(["model", "era", "metric"], sort=True)["value"].mean().reset_index()


def summarise(per_era: pd.DataFrame, overlap: Mapping[str, int] | int) -> dict[str, dict[str, dict[str, Any]]]:
    """Model → metric → summary of its eras, in plain Python numbers ready for JSON; what is undefined is None.

    Each summary has `eras` (with a value), `eras_without_value` (constant predictions), `effective_eras` (eras over
    overlap), `mean`, `std` (ddof 0), `sharpe` (mean over std, per era, not annualised), `max_drawdown` (of the
    cumulative sum, positive), `positive_share`, `best_era`, `worst_era` (era numbers, the first on a tie), `interval`
    of the mean ([low, high]) and its `confidence`.

    Parameters
    ----------
    per_era : `model, era, metric, value`, as `per_era` gives it.
    overlap : number of these eras that one label spans, at least 1 (4 for 20 days and 12 for 60 over weekly eras, 1 for
        20 days over every fourth era); one number, or one for each model.
    """
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for (model, metric), eras in per_era.sort_values("era").groupby(["model", "metric"], sort=True):
        spanned = overlap if isinstance(overlap, int) else overlap[str(model)]
        values = pd.Series(eras["value"].to_numpy(dtype=float), index=eras["era"].to_numpy())
        summary.setdefault(str(model), {})[str(metric)] = _summary(values, spanned)
    return summary


def max_drawdown(values: npt.NDArray[np.float64]) -> float:
    """Deepest fall of the cumulative sum below its highest level so far, as a positive number; it starts from 0."""
    level = np.concatenate([[0.0], np.cumsum(values)])
    return float(np.max(np.maximum.accumulate(level) - level))


def mean_interval(
    values: npt.NDArray[np.float64], overlap: int, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Interval for the mean of consecutive eras whose labels overlap.

    Equal-weighted cosine long-run variance with t quantiles: the mean of the squares of the first n type-II cosine
    transforms of the values, n degrees of freedom, n = 0.4 T^(2/3) (Lazarus, Lewis, Stock & Watson 2018, equation 4).
    That rule does not know the overlap: 95 % intervals cover 92 % at T = 120 with an overlap of 12, 72 % at T = 600
    with 60. So n is at most T / (2 overlap), which keeps the cosines slower than the labels: 94 % in both.

    Parameters
    ----------
    values : the value of each era in order, shape (T,), finite.
    overlap : eras that one label spans, at least 1.

    Returns
    -------
    (low, high), or None below `MIN_EFFECTIVE_ERAS` = 10 eras without overlap (T / overlap), or without any variation.
    """
    if overlap < 1:
        raise InputError(f"a label spans {overlap} eras; the overlap must be at least 1")
    eras = len(values)
    if eras / overlap < MIN_EFFECTIVE_ERAS or np.ptp(values) == 0:
        return None
    cosines = min(int(0.4 * eras ** (2 / 3)), eras // (2 * overlap))
    mean = float(np.mean(values))
    angles = np.pi * np.outer(np.arange(1, cosines + 1), np.arange(eras) + 0.5) / eras
    transforms = np.sqrt(2 / eras) * np.cos(angles) @ (values - mean)
    half = float(stats.t.ppf((1 + confidence) / 2, cosines) * np.sqrt(np.mean(transforms**2) / eras))
    return mean - half, mean + half


def _correlation(predictions: pd.Series, target: pd.Series, metric: Metric) -> float:
    """The metric on the rows with a known target, sorted by id; NaN where it is undefined."""
    if not (predictions.index.is_unique and target.index.is_unique):
        raise InputError("an id occurs twice among the predictions of one era; keep one row for each id")
    rows = (
        pd.DataFrame({"prediction": predictions, "target": target}).dropna(subset="target").sort_index().astype(float)
    )
    if missing := int(rows["prediction"].isna().sum()):
        raise InputError(
            f"{missing} of {len(rows)} scored rows have no prediction; predict every row that has a target"
        )
    if len(rows) < MIN_ROWS or rows["prediction"].nunique() < 2 or rows["target"].nunique() < 2:
        return float("nan")
    try:
        return metric(rows["prediction"], rows["target"])
    except AssertionError as refusal:
        raise InputError(
            f"numerai-tools cannot score these values ({refusal}); look at the range of the target"
        ) from refusal


def _score_group(rows: pd.DataFrame) -> pd.DataFrame:
    """Every metric of the rows of one model, era and fold, whatever their order."""
    rows = rows.set_index("id").sort_index()
    key = rows[KEY].iloc[0].to_dict()
    try:
        values = [metric(rows["prediction"], rows["target"]) for metric in METRICS.values()]
    except InputError as error:
        raise InputError(f"model {key['model']}, era {key['era']}, fold {key['fold']}: {error}") from error
    return pd.DataFrame({**key, "metric": list(METRICS), "value": values})


def _summary(values: pd.Series, overlap: int) -> dict[str, Any]:
    """Summary of one model's metric; values indexed by era, in order."""
    scored = values.dropna()
    numbers, eras = scored.to_numpy(dtype=float), scored.index.to_numpy()
    counts = {
        "eras": len(numbers),
        "eras_without_value": len(values) - len(numbers),
        "effective_eras": len(numbers) / overlap,
        "confidence": CONFIDENCE,
    }
    if not len(numbers):
        return counts | dict.fromkeys(MEASURES)
    mean, std = float(numbers.mean()), float(numbers.std())
    interval = mean_interval(numbers, overlap)
    measures = (
        mean,
        std,
        mean / std if np.ptp(numbers) > 0 else None,
        max_drawdown(numbers),
        float(np.mean(numbers > 0)),
        int(eras[numbers.argmax()]),
        int(eras[numbers.argmin()]),
        list(interval) if interval else None,
    )
    return counts | dict(zip(MEASURES, measures, strict=True))
