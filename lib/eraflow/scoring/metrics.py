"""What the numbers of one era are: each of Numerai's metrics, on matrices of all models of the era at once.

A metric is data: its name, its function, and what it needs beside predictions and target. numerai-tools is what tests
hold the numbers to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eraflow.scoring.era import (
    Block,
    Era,
    EraRows,
    Mask,
    Matrix,
    blocks,
    matrices,
    refuse_few,
    refuse_unpredicted,
)
from eraflow.scoring.steps import contribution, correlation, neutral, normal, orthogonal, power, ranked

TOP_BOTTOM = 200

Row = tuple[Any, str, float, str | None]


@dataclass(frozen=True)
class Metric:
    """Something that an era says of its models.

    `needs` names what of `Era` must be there beside predictions and target. With `over` there is one value for each
    key of that part (a benchmark model, a feature set), whose name goes into the metric's. An era with fewer than
    `least_rows` known targets does not have it. `detail` names what gave a value, where something did.
    """

    name: str
    of: Callable[[Block, str], Matrix]
    needs: tuple[str, ...] = ()
    over: str | None = None
    least_rows: int = 0
    detail: Callable[[Block, str], list[str]] | None = None

    def names(self, era: Era) -> dict[str, str]:
        """Part -> the metric's name for it; the part is empty where there is one value only."""
        parts = list(getattr(era, self.over)) if self.over else [""]
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
    era = matrices(rows)
    found = [] if era is None else list(scores(era, METRICS if metrics is None else metrics))
    return pd.DataFrame(found, columns=["model", "metric", "value", "detail"])


def scores(era: Era, metrics: Mapping[str, Metric]) -> Iterator[Row]:
    """`model, metric, value, detail` of an era's matrices; values and errors as in `score_era`."""
    for block in blocks(era):
        for metric in metrics.values():
            if len(era.target) >= metric.least_rows and all(era.has(name) for name in metric.needs):
                yield from _rows(block, metric)


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


def _rows(block: Block, metric: Metric) -> Iterator[Row]:
    """`model, metric, value, detail` of one metric, with NaN for models that cannot be scored."""
    scorable, era = block.scorable, block.era
    some = len(scorable.models) > 0
    for part, name in metric.names(era).items():
        values = dict(zip(scorable.models.tolist(), metric.of(scorable, part).tolist(), strict=True)) if some else {}
        named = metric.detail(scorable, part) if metric.detail and some else []
        details = dict(zip(scorable.models.tolist(), named, strict=False))
        for model in block.models.tolist():
            # One that was not there in the era before does not have what compares with it.
            if "previous" in metric.needs and model in values and not _had_predicted(era, model):
                continue
            yield era.models[model], name, values.get(model, np.nan), details.get(model)


def _had_predicted(era: Era, model: int) -> bool:
    return era.previous is not None and not bool(np.isnan(era.previous[:, model]).all())


def _pair(metric: str, predictions: pd.Series, target: pd.Series) -> float:
    labelled = target[target.notna()]
    scored = score_era(EraRows(predictions.to_frame("model"), target), {metric: METRICS[metric]})
    refuse_unpredicted(int(predictions.isna().reindex(labelled.index, fill_value=False).sum()), len(labelled))
    return float(scored["value"].iloc[0]) if len(scored) else float("nan")


# Metrics: predictions and target


def _numerai_corr(block: Block, _: str) -> Matrix:
    return correlation(block.powered_target, block.powered)


def _top_bottom(block: Block, _: str) -> Matrix:
    """CORR of the 200 highest and the 200 lowest predictions; NaN for a model that has no 400."""
    if len(block.predictions) < 2 * TOP_BOTTOM:
        return block.nothing
    order = np.argsort(block.powered, axis=0, kind="stable")
    ends = np.sort(np.concatenate([order[:TOP_BOTTOM], order[-TOP_BOTTOM:]]), axis=0)
    found = [
        correlation(block.powered_target[rows], block.powered[rows, [at]][:, None]) for at, rows in enumerate(ends.T)
    ]
    return np.concatenate(found)


def _spearman(block: Block, _: str) -> Matrix:
    return correlation(ranked(block.target[:, None])[:, 0], block.ranked)


def _pearson(block: Block, _: str) -> Matrix:
    return correlation(block.target, block.predictions)


def _hit_rate(block: Block, _: str) -> Matrix:
    """Share of the rows off the target's median whose prediction is on the same side of its own; on it: one half."""
    target, predictions = block.target, block.predictions
    side = np.sign(target - np.median(target))
    if not side.any():
        return block.nothing
    agree: Matrix = np.sign(predictions - np.median(predictions, axis=0)).T @ side / np.abs(side).sum()
    return (agree + 1) / 2


# Metrics: other models


def _mmc(block: Block, _: str) -> Matrix:
    return _contribution(block, block.era.meta_model)


def _bmc(block: Block, benchmark: str) -> Matrix:
    return _contribution(block, block.era.benchmarks[benchmark])


def _contribution(block: Block, reference: Matrix | None) -> Matrix:
    """The covariance with the target of what predictions have beside the reference."""
    covered = block.covered(reference)
    if reference is None or covered is None:
        return block.nothing
    part = block.at(block.rows & covered)
    other = normal(ranked(reference[part.rows, None]))[:, 0]
    return contribution(orthogonal(part.normal, other), part.target)


def _cwmm(block: Block, _: str) -> Matrix:
    """Correlation with the meta model as Numerai computes it: predictions as in CORR, the meta model as it is.

    Source: Numerai's answer in forum.numer.ai/t/7297.
    """
    return _correlation_with(block, block.era.meta_model)


def _corr_with(block: Block, benchmark: str) -> Matrix:
    return _correlation_with(block, block.era.benchmarks[benchmark])


def _corr_with_example(block: Block, _: str) -> Matrix:
    return _correlation_with(block, block.era.example)


def _rank_corr_with(block: Block, benchmark: str) -> Matrix:
    return _correlation_with(block, block.era.benchmarks[benchmark], by_rank=True)


def _rank_corr_with_example(block: Block, _: str) -> Matrix:
    return _correlation_with(block, block.era.example, by_rank=True)


def _correlation_with(block: Block, reference: Matrix | None, by_rank: bool = False) -> Matrix:
    """Of predictions as in CORR with the reference as it is, or of the ranks of both."""
    covered = block.covered(reference)
    if reference is None or covered is None:
        return block.nothing
    part = block.at(block.rows & covered)
    if by_rank:
        return correlation(ranked(reference[part.rows, None])[:, 0], part.ranked)
    return correlation(reference[part.rows], part.powered)


# Metrics: features


def _fnc(block: Block, features: str) -> Matrix:
    """CORR of what a regression on the features leaves; NaN where there are as many features as rows."""
    neutral_to = block.era.features[features].values[block.rows]
    if neutral_to.shape[1] + 1 >= len(neutral_to):
        return block.nothing
    left = neutral(block.normal, neutral_to)
    # numerai-tools divides before it ranks, which can make equal what differed by one bit.
    return correlation(block.powered_target, power(normal(ranked(left / left.std(axis=0)))))


def _max_exposure(block: Block, features: str) -> Matrix:
    """Largest absolute correlation with a feature."""
    exposures, names = block.exposures[features]
    return np.abs(exposures).max(axis=1) if names else block.nothing


def _most_exposed(block: Block, features: str) -> list[str]:
    """The feature of the largest exposure of each model."""
    exposures, names = block.exposures[features]
    return [names[at] for at in np.abs(exposures).argmax(axis=1)] if names else []


def _exposure_rms(block: Block, features: str) -> Matrix:
    """Root mean square of the correlations with the features that are not constant."""
    exposures, names = block.exposures[features]
    return np.sqrt((exposures**2).mean(axis=1)) if names else block.nothing


# Metrics: the era before


def _churn(block: Block, _: str) -> Matrix:
    """1 less the rank correlation with the predictions of the era before; NaN where too few ids are in both."""
    return _against_previous(block, lambda ranks: float(1 - correlation(ranks[:, 0], ranks[:, 1:])[0]))


def _turnover(block: Block, _: str) -> Matrix:
    """Half the summed change of weights: predictions as in CORR, centred, of absolute sum 1 over the ids of both."""

    def of(ranks: Matrix) -> float:
        weights = power(normal(ranks))
        weights -= weights.mean(axis=0)
        weights /= np.abs(weights).sum(axis=0)
        return float(np.abs(weights[:, 0] - weights[:, 1]).sum() / 2)

    return _against_previous(block, of)


def _against_previous(block: Block, of: Callable[[Matrix], float]) -> Matrix:
    """Of the models whose predictions can be compared with those of the era before; NaN of the others."""
    return np.array([np.nan if ranks is None else of(ranks) for ranks in block.ranked_with_previous])


# Metrics: Signals' neutralisers


def _neutral_corr(block: Block, _: str) -> Matrix:
    era, covered = block.era, block.covered(block.era.neutralizers)
    if era.neutralizers is None or covered is None:
        return block.nothing
    part = _part(block, covered)
    # Centred over all rows: a correlation does not see it, and neither does a covariance with what is neutral.
    return correlation(part.target, neutral(part.normal, era.neutralizers[part.rows]))


def _neutral_contribution(block: Block, _: str) -> Matrix:
    era, covered, modelled = block.era, block.covered(block.era.neutralizers), block.covered(block.era.meta_model)
    if era.neutralizers is None or era.meta_model is None or covered is None or modelled is None:
        return block.nothing
    part = _part(block, covered & modelled)
    neutralizers = era.neutralizers[part.rows]
    other = neutral(normal(ranked(era.meta_model[part.rows, None])), neutralizers)[:, 0]
    return contribution(orthogonal(neutral(part.normal, neutralizers), other), part.target)


def _part(block: Block, covered: Mask) -> Block:
    """The block of these rows. InputError where numerai-tools refuses that they are so few."""
    part = block.at(block.rows & covered)
    refuse_few(int(part.rows.sum()), len(covered))
    return part


def _alpha(block: Block, _: str) -> Matrix:
    era, covered, weighed = block.era, block.covered(block.era.neutralizers), block.covered(block.era.weights)
    if era.neutralizers is None or era.weights is None or covered is None or weighed is None:
        return block.nothing
    refuse_few(int(block.rows.sum()), len(block.rows))
    rows = block.rows & covered & weighed
    part, neutralizers, weights = block.at(rows), era.neutralizers[rows], era.weights[rows, None]
    neutral_weights = (part.powered - neutralizers @ (neutralizers.T @ (weights * part.powered))) * weights
    covariance: Matrix = (era.target[rows] - era.target[rows].mean()) @ neutral_weights / len(neutral_weights)
    return covariance


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
        Metric("rank_corr_with_{}", _rank_corr_with, ("benchmarks",), over="benchmarks"),
        Metric("rank_corr_with_example_preds", _rank_corr_with_example, ("example",)),
        Metric("fnc_{}", _fnc, ("features",), over="features"),
        Metric("max_exposure_{}", _max_exposure, ("features",), over="features", detail=_most_exposed),
        Metric("exposure_rms_{}", _exposure_rms, ("features",), over="features"),
        Metric("churn", _churn, ("previous",)),
        Metric("turnover", _turnover, ("previous",)),
        Metric("neutral_corr", _neutral_corr, ("neutralizers",)),
        Metric("neutral_contribution", _neutral_contribution, ("neutralizers", "meta_model")),
        Metric("alpha", _alpha, ("neutralizers", "weights")),
    )
}
