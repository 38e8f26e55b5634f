"""Small frames behind a report's charts: from scores by era and folds to what each chart draws."""

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import pandas as pd

from eraflow.reporting.palette import DIVERGING, FOLD_PARTS

ROLLING_ERAS = 20
BLOCK = 50
_HISTOGRAM_BINS = 24


class Fold(Protocol):
    """One split of the eras; every tuple holds era numbers."""

    @property
    def number(self) -> int: ...
    @property
    def train(self) -> tuple[int, ...]: ...
    @property
    def validation(self) -> tuple[int, ...]: ...
    @property
    def purged(self) -> tuple[int, ...]: ...
    @property
    def embargoed(self) -> tuple[int, ...]: ...


def score_frame(per_era: pd.DataFrame, metric: str, window: int = ROLLING_ERAS) -> pd.DataFrame:
    """Known scores of one metric: model, era, date, value, rolling, cumulative, drawdown, by model and era.

    `rolling` is the mean of the last `window` scored eras of the model, null before there are that many.
    `drawdown` is cumulative less its highest level so far, starting from 0: its minimum is minus the max drawdown.
    """
    scored = per_era.loc[(per_era["metric"] == metric) & per_era["value"].notna(), ["model", "era", "date", "value"]]
    parts = []
    for model in scored["model"].unique():
        part = scored[scored["model"] == model].sort_values("era").reset_index(drop=True)
        cumulative = part["value"].cumsum()
        parts.append(
            part.assign(
                rolling=part["value"].rolling(window, min_periods=window).mean(),
                cumulative=cumulative,
                drawdown=cumulative - cumulative.cummax().clip(lower=0),
            )
        )
    empty = scored.iloc[:0].assign(rolling=[], cumulative=[], drawdown=[])
    return pd.concat(parts, ignore_index=True) if parts else empty


def heat_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Where each era stands in a heat map: model, era, date, value, row, place; takes `score_frame`.

    A row is a year and a place its ISO week, where every era has a date and no week has two; else rows are blocks of
    `BLOCK` era numbers.
    """
    frame = scores[["model", "era", "date", "value"]]
    if not frame.empty and frame["date"].notna().all():
        weeks = [date.isocalendar() for date in frame["date"]]
        dated = frame.assign(row=[str(week.year) for week in weeks], place=[week.week for week in weeks])
        if not dated.duplicated(["model", "row", "place"]).any():
            return dated
    first = (frame["era"] - 1) // BLOCK * BLOCK + 1
    rows = [f"{start} to {start + BLOCK - 1}" for start in first]
    return frame.assign(row=rows, place=frame["era"] - first + 1)


def heat_bounds(values: pd.Series) -> list[float]:
    """Bounds between the colours of a heat map, symmetric around 0, the outermost near the 95th percentile."""
    outermost = float(values.abs().quantile(0.95)) or 1.0
    step = nice_step(outermost / 2.5, (1, 2, 3, 4, 5, 6, 8, 10))
    half = len(DIVERGING) // 2
    return [round(step * (place + 0.5), 12) for place in range(-half, half)]


def bin_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Eras by value in bins that all models share and 0 bounds: model, low, high, eras; takes `score_frame`."""
    if scores.empty:
        return pd.DataFrame(columns=["model", "low", "high", "eras"])
    low, high = float(scores["value"].min()), float(scores["value"].max())
    step = nice_step((high - low) / _HISTOGRAM_BINS or abs(high) / _HISTOGRAM_BINS or 1.0)
    edges = step * np.arange(math.floor(low / step), math.floor(high / step) + 2)
    parts = [
        pd.DataFrame(
            {"model": model, "low": edges[:-1], "high": edges[1:], "eras": np.histogram(part["value"], edges)[0]}
        )
        for model, part in scores.groupby("model", sort=False)
    ]
    filled = pd.concat(parts, ignore_index=True)
    return filled[filled["eras"] > 0].reset_index(drop=True)


def spread_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Where the eras of each model lie: model, mean and the percentiles p5, p25, p50, p75, p95."""
    columns = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
    grouped = scores.groupby("model", sort=False)["value"]
    quantiles = {name: grouped.quantile(level) for name, level in columns.items()}
    return pd.DataFrame({"mean": grouped.mean(), **quantiles}).reset_index()


def both_ways(comparison: pd.DataFrame) -> pd.DataFrame:
    """Pairs of models as they are and, where there is more than one pair, turned round: each model is once the other.

    The first model of the frame is the first that the others are held against.
    """
    if comparison.groupby("metric").size().max() == 1 or comparison.empty:
        return comparison
    turned = comparison.rename(columns={"model": "other", "other": "model"})
    turned = turned.assign(mean=-comparison["mean"], low=-comparison["high"], high=-comparison["low"])
    if "better_share" in comparison:
        turned["better_share"] = 1 - comparison["better_share"]
    return pd.concat([turned[list(comparison)], comparison], ignore_index=True)


def field(number: int) -> str:
    """Name of the column of the model of this number."""
    return f"m{number}"


def wide_frame(scores: pd.DataFrame, column: str, models: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """One row for each era with a column m0, m1, ... for each of `models` that was scored, and which model each is."""
    wide = scores.pivot(index="era", columns="model", values=column)
    fields = {field(number): str(model) for number, model in enumerate(models) if model in wide.columns}
    wide = wide[[model for model in models if model in wide.columns]].set_axis(list(fields), axis="columns")
    dates = scores.drop_duplicates("era").set_index("era")["date"]
    return wide.assign(date=dates.reindex(wide.index)).reset_index(), fields


def contiguous_runs(eras: Iterable[int], calendar: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) of each unbroken stretch of eras, neighbours being neighbours in the sorted calendar."""
    position = {era: index for index, era in enumerate(calendar)}
    runs: list[tuple[int, int]] = []
    for era in sorted(set(eras)):
        if runs and position[era] == position[runs[-1][1]] + 1:
            runs[-1] = (runs[-1][0], era)
        else:
            runs.append((era, era))
    return runs


def fold_frame(folds: Sequence[Fold], era_dates: Mapping[int, datetime.date]) -> pd.DataFrame:
    """One row per contiguous run of a fold: fold, part, first, last, eras, dates."""
    named = (era for fold in folds for era in (*fold.train, *fold.purged, *fold.embargoed, *fold.validation))
    calendar = sorted({*named, *era_dates})
    position = {era: index for index, era in enumerate(calendar)}
    rows = [
        (fold.number, part, first, last, position[last] - position[first] + 1, _dates_text(first, last, era_dates))
        for fold in folds
        for part, eras in zip(FOLD_PARTS, (fold.train, fold.purged, fold.embargoed, fold.validation), strict=True)
        for first, last in contiguous_runs(eras, calendar)
    ]
    return pd.DataFrame(rows, columns=["fold", "part", "first", "last", "eras", "dates"])


def era_step(eras: Sequence[int]) -> int:
    """Smallest distance between two eras of a sorted list; 1 if there is none."""
    return min((later - earlier for earlier, later in pairwise(eras)), default=1)


def nice_step(least: float, factors: Sequence[float] = (1, 2, 2.5, 5, 10)) -> float:
    """The smallest of the factors, up to 10, times a power of ten that is not below `least`, which is positive."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in factors if factor * power >= least * (1 - 1e-9))


def _dates_text(first: int, last: int, era_dates: Mapping[int, datetime.date]) -> str | None:
    if first not in era_dates or last not in era_dates:
        return None
    return f"{era_dates[first]:%Y-%m-%d} to {era_dates[last]:%Y-%m-%d}"
