"""What the algebra of series says, in the terms of Window functions: `Frame`, `DecayedMean`, `RunningSum` and `Lag`.

`plan` makes a chain of Window operators of what comes out; how each statistic is put together is in `window_forms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from eraflow.features import window_forms as forms
from eraflow.features.series import (
    BAR,
    Apply,
    Constant,
    Exponential,
    FadingSum,
    Input,
    Lag,
    Rolling,
    RunningSum,
    Series,
    Smoothed,
    observed,
)
from eraflow.features.window_forms import Frame


def lowered(outputs: Mapping[str, Series]) -> dict[str, Series]:
    """The outputs by name, in what `plan` knows; each series is rewritten once."""
    made: dict[Series, Series] = {}

    def of(node: Series) -> Series:
        if node not in made:
            made[node] = _lowered(node, of)
        return made[node]

    return {name: of(node) for name, node in outputs.items()}


def _lowered(node: Series, of: Callable[[Series], Series]) -> Series:
    match node:
        case Input() | Constant():
            return node
        case Apply(arguments=arguments):
            return replace(node, arguments=tuple(map(of, arguments)))
        case Lag(source=Rolling(form="months") as source, bars=bars):
            return forms.earlier(of(source), bars)
        case Lag(source=source) | RunningSum(source=source):
            return replace(node, source=of(source))
        case Smoothed(source=source, alpha=alpha, first=first, bars=bars):
            return forms.recursive_mean(of(source), alpha, first, bars)
        case FadingSum(source=source, bars=bars):
            return forms.fading_sum(of(source), bars)
        case Exponential(source=source, count=count, indicator=indicator):
            return _exponential(node, of(source), count and of(count), indicator and of(indicator))
        case Rolling(source=source, other=other, indicator=indicator):
            return _rolling(node, of(source), other and of(other), indicator and of(indicator))
    raise TypeError(f"{type(node).__name__} is no series of the algebra")


def _rolling(node: Rolling, x: Series, other: Series | None, indicator: Series | None) -> Series:
    bars = node.bars
    match node.statistic, node.form:
        case "mean", "lags":
            return forms.total([x.lag(k) for k in range(bars)]) / bars
        case "mean_distance", _:
            return forms.mean_distance(x, bars)
        case "mean", "parts":
            return forms.moments_of_parts(x, bars)[0]
        case "variance", "parts":
            return forms.moments_of_parts(x, bars)[1] / (bars - node.ddof)
        case ("mean" | "variance") as name, "sums":
            return forms.moments_by_sums(x, bars, indicator or observed(x))[name == "variance"]
        case ("mean" | "variance" | "covariance") as name, "months":
            return forms.of_months(name, x, bars, x if other is None else other)
        case "mean", "shared":
            return forms.shared_mean(x, bars)
        case (("variance" | "covariance"), "shared"):
            return forms.shared_covariance(x, x if other is None else other, bars)
        case "max", ("parts" | "shared") as form:
            return forms.highest(x, bars, forms.SHARED[0] if form == "shared" else None)
        case "min", ("parts" | "shared") as form:
            return -forms.highest(-x, bars, forms.SHARED[0] if form == "shared" else None)
        case "skewness", _:
            return forms.skewness(x, bars)
        case "quantile", _:
            return forms.quantile(x, bars, node.share)
        case "rank", _:
            return forms.rank(x, bars)
        case "place_of_max", _:
            return forms.place_of_max(x, bars)
        case ("min" | "max" | "mean") as aggregate, "frame":
            return Frame(x, bars, aggregate)
    raise ValueError(f"no window for the statistic {node.statistic} in the form {node.form}")


def _exponential(node: Exponential, x: Series, count: Series | None, indicator: Series | None) -> Series:
    decay = 1.0 - node.alpha
    if count is not None:
        weights = forms.weights_since(decay, count)
    else:
        weights = forms.weights_where(indicator or observed(x), decay)
    if node.statistic == "mean" and count == BAR + 1:  # x is known at every bar
        return forms.DecayedMean(x, decay, weights.total)
    return forms.exponential_moment(x, decay, weights, node.statistic)
