"""What the numbers of one era are: each metric by numerai-tools, over all models of the era at once.

A metric is data: its name, its function, and what it needs beside predictions and target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numerai_tools import scoring as numerai
from numerai_tools import signals as numerai_signals

from eraflow.errors import InputError
from eraflow.scoring.era import COVERED, MIN_ROWS, Block, EraRows, blocks, refuse_unpredicted, varies

TOP_BOTTOM = 200


@dataclass(frozen=True)
class Metric:
    """Something that an era says of its models.

    `needs` names what of `EraRows` must be there beside predictions and target. With `over` there is one value for each
    column or key of that part (a benchmark model, a feature set), whose name goes into the metric's. An era with fewer
    than `least_rows` known targets does not have it.
    """

    name: str
    of: Callable[[Block, str], pd.Series]
    needs: tuple[str, ...] = ()
    over: str | None = None
    least_rows: int = 0

    def names(self, rows: EraRows) -> dict[str, str]:
        """Part -> the metric's name for it; the part is empty where there is one value only."""
        parts = list(getattr(rows, self.over)) if self.over else [""]
        return {part: self.name.format(part) for part in parts}


def score_era(rows: EraRows, metrics: Mapping[str, Metric] | None = None) -> pd.DataFrame:
    """`model, metric, value, detail`: every metric whose needs are met, of every model; no rows without a known target.

    A value is NaN with fewer than `MIN_ROWS` scored rows, where predictions or target are constant on them, or where
    a reference is not known for four fifths of them. `detail` names the feature of a largest exposure, else it is None.

    Raises
    ------
    InputError
        If an id occurs twice, or numerai-tools refuses the values: a model without a prediction for a fifth of the
        rows, say.
    """
    chosen = METRICS if metrics is None else metrics
    told = [
        row
        for block in blocks(rows)
        for metric in chosen.values()
        if len(block.target) >= metric.least_rows and all(block.has(name) for name in metric.needs)
        for row in _told(block, metric)
    ]
    return pd.DataFrame(told, columns=["model", "metric", "value", "detail"])


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
    return _pair("numerai_corr", predictions, target)


def spearman(predictions: pd.Series, target: pd.Series) -> float:
    """Rank correlation of one era, ties averaged; null and errors as in `numerai_corr`."""
    return _pair("spearman", predictions, target)


def pearson(predictions: pd.Series, target: pd.Series) -> float:
    """Linear correlation of one era; null and errors as in `numerai_corr`."""
    return _pair("pearson", predictions, target)


def _told(block: Block, metric: Metric) -> Iterator[tuple[Any, str, float, str | None]]:
    """`model, metric, value, detail` of one metric, with NaN for models that cannot be scored."""
    scorable = block.scorable
    for part, name in metric.names(block.rows).items():
        try:
            value = metric.of(scorable, part) if scorable.predictions.shape[1] else block.nothing
        except AssertionError as refusal:
            raise InputError(
                f"numerai-tools cannot score these values ({refusal}); look at the range of the target, and whether "
                "its rows are predicted"
            ) from refusal
        details = value.attrs.get("detail", {})
        for model in block.predictions.columns:
            # One that was scorable and has no value does not have the metric, as in a first era churn.
            if model in value.index or model not in scorable.predictions.columns:
                yield model, name, float(value.get(model, np.nan)), details.get(model)


def _pair(metric: str, predictions: pd.Series, target: pd.Series) -> float:
    known = target[target.notna()]
    scored = score_era(EraRows(predictions.to_frame("model"), target), {metric: METRICS[metric]})
    refuse_unpredicted(int(predictions.isna().reindex(known.index, fill_value=False).sum()), len(known))
    return float(scored["value"].iloc[0]) if len(scored) else float("nan")


# Metrics: predictions and target


def _numerai_corr(block: Block, _: str) -> pd.Series:
    """The steps of numerai-tools' `numerai_corr`, with predictions that other metrics use as well."""
    return _corr(block)


def _top_bottom(block: Block, _: str) -> pd.Series:
    """CORR of the 200 highest and the 200 lowest predictions; NaN for a model that has no 400."""
    return _corr(block, TOP_BOTTOM) if len(block.predictions) >= 2 * TOP_BOTTOM else block.nothing


def _corr(block: Block, top_bottom: int | None = None) -> pd.Series:
    centred = numerai.center(block.target)[block.scored_target.index]  # on all rows, then those that are predicted
    target = numerai.power(centred.to_frame("target"), 1.5)["target"]
    return _series(block.powered.apply(lambda p: numerai.pearson_correlation(target, p, top_bottom)))


def _spearman(block: Block, _: str) -> pd.Series:
    target = numerai.tie_kept_rank(block.scored_target)
    return _series(block.ranked.apply(lambda p: numerai.pearson_correlation(target, p)))


def _pearson(block: Block, _: str) -> pd.Series:
    return _series(block.predictions.apply(lambda p: numerai.pearson_correlation(block.scored_target, p)))


def _hit_rate(block: Block, _: str) -> pd.Series:
    """Share of the rows off the target's median whose prediction is on the same side of its own; on it: one half."""
    target, predictions = block.scored_target.to_numpy(), block.predictions.to_numpy()
    side = np.sign(target - np.median(target))
    if not side.any():
        return block.nothing
    agree = np.sign(predictions - np.median(predictions, axis=0)).T @ side / np.abs(side).sum()
    return pd.Series((agree + 1) / 2, index=block.predictions.columns)


# Metrics: other models


def _mmc(block: Block, _: str) -> pd.Series:
    return _contribution(block, block.rows.meta_model)


def _bmc(block: Block, benchmark: str) -> pd.Series:
    return _contribution(block, block.rows.benchmarks[benchmark])


def _contribution(block: Block, reference: pd.Series) -> pd.Series:
    """The steps of numerai-tools' `correlation_contribution`, with predictions that other metrics use as well."""
    known = block.covered(reference)
    if known is None:
        return block.nothing
    other, part = _both(block, known)
    normal = numerai.gaussian(numerai.tie_kept_rank(other.to_frame())).iloc[:, 0].to_numpy()
    unlike = numerai.orthogonalize(part.normal.to_numpy(), normal)
    return _series(numerai.contribution_scores(unlike, part.scored_target, part.predictions))


def _cwmm(block: Block, _: str) -> pd.Series:
    """Correlation with the meta model as Numerai computes it: predictions as in CORR, the meta model as it is.

    Source: Numerai's answer in forum.numer.ai/t/7297.
    """
    return _correlation_with(block, block.rows.meta_model)


def _corr_with(block: Block, benchmark: str) -> pd.Series:
    return _correlation_with(block, block.rows.benchmarks[benchmark])


def _corr_with_example(block: Block, _: str) -> pd.Series:
    return _correlation_with(block, block.rows.example)


def _correlation_with(block: Block, reference: pd.Series) -> pd.Series:
    known = block.covered(reference)
    if known is None:
        return block.nothing
    other, part = _both(block, known)
    return _series(part.powered.apply(lambda p: numerai.pearson_correlation(p, other)))


def _both(block: Block, reference: pd.Series) -> tuple[pd.Series, Block]:
    """Reference and block on the rows that both have."""
    at = block.predictions.index.intersection(reference.index)
    return reference[at], block.at(at)


# Metrics: features


def _fnc(block: Block, features: str) -> pd.Series:
    """CORR of what a regression on the features leaves; NaN where there are as many features as rows."""
    neutral_to = block.rows.features[features].loc[block.predictions.index]
    if neutral_to.shape[1] + 1 >= len(neutral_to):
        return block.nothing
    return _series(numerai.feature_neutral_corr(block.predictions, neutral_to, block.target))


def _max_exposure(block: Block, features: str) -> pd.Series:
    """Largest absolute correlation with a feature; `detail` names it."""
    exposures = block.exposures[features].abs()
    if exposures.empty:
        return block.nothing
    largest = exposures.max(axis=1)
    largest.attrs["detail"] = exposures.idxmax(axis=1).to_dict()
    return largest


def _exposure_rms(block: Block, features: str) -> pd.Series:
    """Root mean square of the correlations with the features that are not constant."""
    exposures = block.exposures[features]
    return np.sqrt((exposures**2).mean(axis=1)) if not exposures.empty else block.nothing


# Metrics: the era before


def _churn(block: Block, _: str) -> pd.Series:
    """1 less the rank correlation with the predictions of the era before; NaN where too few ids are in both."""
    return _against_previous(block, numerai_signals.churn)


def _turnover(block: Block, _: str) -> pd.Series:
    """Half the summed change of weights: predictions as in CORR, centred, of absolute sum 1 over the ids of both."""

    def of(now: pd.Series, before: pd.Series) -> float:
        both = pd.DataFrame({"now": now, "before": before})
        weights = numerai.weight_normalize(numerai.center(numerai.tie_kept_rank__gaussianize__pow_1_5(both)))
        return float(numerai_signals.turnover(weights["now"], weights["before"]))

    return _against_previous(block, of)


def _against_previous(block: Block, of: Callable[[pd.Series, pd.Series], float]) -> pd.Series:
    """Of the models that have predictions of the era before."""
    found, previous = {}, block.rows.previous
    for model in block.predictions.columns.intersection(previous.columns[previous.notna().any().to_numpy()]):
        found[model] = float("nan")
        both = block.predictions.index.intersection(previous[model].dropna().index)
        now, before = block.predictions.loc[both, model], previous.loc[both, model]
        if len(both) >= max(MIN_ROWS, COVERED * len(block.predictions)) and varies(now) and varies(before):
            found[model] = of(now, before)
    return pd.Series(found, dtype=float)


# Metrics: Signals' neutralisers


def _neutral_corr(block: Block, _: str) -> pd.Series:
    neutral_to = block.covered(block.rows.neutralizers)
    if neutral_to is None:
        return block.nothing
    return _series(numerai.neutral_correlation(block.predictions, neutral_to, block.target))


def _neutral_contribution(block: Block, _: str) -> pd.Series:
    neutral_to, meta_model = block.covered(block.rows.neutralizers), block.covered(block.rows.meta_model)
    if neutral_to is None or meta_model is None:
        return block.nothing
    return _series(numerai.neutral_contribution(block.predictions, meta_model, neutral_to, block.target))


def _alpha(block: Block, _: str) -> pd.Series:
    neutral_to, weights = block.covered(block.rows.neutralizers), block.covered(block.rows.weights)
    if neutral_to is None or weights is None:
        return block.nothing
    target, predictions = block.scored_target, block.predictions
    # numerai-tools takes these four as they are, so that all must be of the same rows.
    at = predictions.index.intersection(neutral_to.index).intersection(weights.index)
    return _series(numerai.alpha(predictions.loc[at], neutral_to.loc[at], weights[at], target[at]))


def _series(found: Any) -> pd.Series:
    """What numerai-tools, which has no types, returns: a value a model."""
    return pd.Series(found)


def metric_of(name: str) -> str | None:
    """The key in METRICS of what is scored under this name (`fnc` of `fnc_small`); None where nothing is."""
    if name in METRICS:
        return name if METRICS[name].over is None else None
    keys = (key for key, metric in METRICS.items() if metric.over and name.startswith(f"{key}_"))
    return max(keys, key=len, default=None)


METRICS: Mapping[str, Metric] = {
    metric.name.removesuffix("_{}"): metric
    for metric in (
        Metric("numerai_corr", _numerai_corr),
        Metric("spearman", _spearman),
        Metric("pearson", _pearson),
        Metric(f"top_bottom_{TOP_BOTTOM}_corr", _top_bottom, least_rows=2 * TOP_BOTTOM),
        Metric("hit_rate", _hit_rate),
        Metric("mmc", _mmc, ("meta_model",)),
        Metric("cwmm", _cwmm, ("meta_model",)),
        Metric("bmc_{}", _bmc, ("benchmarks",), over="benchmarks"),
        Metric("corr_with_{}", _corr_with, ("benchmarks",), over="benchmarks"),
        Metric("corr_with_example_preds", _corr_with_example, ("example",)),
        Metric("fnc_{}", _fnc, ("features",), over="features"),
        Metric("max_exposure_{}", _max_exposure, ("features",), over="features"),
        Metric("exposure_rms_{}", _exposure_rms, ("features",), over="features"),
        Metric("churn", _churn, ("previous",)),
        Metric("turnover", _turnover, ("previous",)),
        Metric("neutral_corr", _neutral_corr, ("neutralizers",)),
        Metric("neutral_contribution", _neutral_contribution, ("neutralizers", "meta_model")),
        Metric("alpha", _alpha, ("neutralizers", "weights")),
    )
}
