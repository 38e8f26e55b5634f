"""The rows of one era as metrics see them: known targets only, numbered by their ids, models of the same rows together.

Rows are numbered because numerai-tools sorts its index in nearly every step, and text sorts slowly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numerai_tools import scoring as numerai

from eraflow.errors import InputError

MIN_ROWS = 3  # with two rows every correlation is 1, -1 or undefined
COVERED = 1 - numerai.DEFAULT_MAX_FILTERED_INDEX_RATIO  # share of the rows that both sides must know


def _no_series() -> pd.Series:
    return pd.Series(dtype=float)


@dataclass(frozen=True)
class EraRows:
    """The rows of one era, by id (any order, each once); a column of `predictions` is a model.

    NaN: no prediction, target, reference or neutraliser is known. Features have none (see `filled`). `previous` are the
    predictions of the era before, by the same ids, where ids persist. What is empty is not there.
    """

    predictions: pd.DataFrame
    target: pd.Series
    meta_model: pd.Series = field(default_factory=_no_series)
    benchmarks: pd.DataFrame = field(default_factory=pd.DataFrame)
    previous: pd.DataFrame = field(default_factory=pd.DataFrame)
    features: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # by the name of their set
    neutralizers: pd.DataFrame = field(default_factory=pd.DataFrame)
    weights: pd.Series = field(default_factory=_no_series)
    example: pd.Series = field(default_factory=_no_series)  # Numerai's example predictions


@dataclass(frozen=True)
class Block:
    """Models that predict the same rows of an era, those with a known target; rows are numbered by their ids' order."""

    predictions: pd.DataFrame  # no NaN; its index is part of the target's
    target: pd.Series  # no NaN
    rows: EraRows  # of the same index as the target

    def has(self, name: str) -> bool:
        """Whether something beside predictions and target is there."""
        return len(getattr(self.rows, name)) > 0

    @cached_property
    def scored_target(self) -> pd.Series:
        """The target of the predicted rows. AssertionError where numerai-tools refuses that so few are predicted."""
        target: pd.Series = numerai.filter_sort_index(self.target, self.predictions)[0]
        return target

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """Predictions as ranks between 0 and 1, ties kept."""
        return pd.DataFrame(numerai.tie_kept_rank(self.predictions))

    @cached_property
    def normal(self) -> pd.DataFrame:
        """Predictions as normal quantiles of their ranks: made once, since most metrics begin with them."""
        return pd.DataFrame(numerai.gaussian(self.ranked))

    @cached_property
    def powered(self) -> pd.DataFrame:
        """`normal` to the power of 1.5, its sign kept: predictions as CORR sees them."""
        return pd.DataFrame(numerai.power(self.normal, 1.5))

    def at(self, index: pd.Index) -> Block:
        """The block of these of its predicted rows."""
        if index.equals(self.predictions.index):
            return self
        return replace(self, predictions=self.predictions.loc[index])

    @cached_property
    def scorable(self) -> Block:
        """Without models whose predictions are constant; without any where too few rows or a constant target remain."""
        scored = self.predictions.loc[:, varying(self.predictions)]
        if len(self.predictions) < MIN_ROWS or not varies(self.target[self.predictions.index]):
            scored = scored.iloc[:, :0]
        return self if scored.shape[1] == self.predictions.shape[1] else replace(self, predictions=scored)

    @cached_property
    def exposures(self) -> dict[str, pd.DataFrame]:
        """By feature set, models by features: the correlations of predictions with the features that vary."""
        sets = self.rows.features.items()
        return {name: correlations(self.predictions, part.loc[self.predictions.index]) for name, part in sets}

    def covered(self, reference: Any) -> Any:
        """The reference where it is known; None where it is constant, or numerai-tools would refuse it as too short."""
        known = reference.dropna()
        if isinstance(known, pd.Series) and not varies(known):
            return None
        for side in (self.predictions.index, self.target.index):
            if len(side.intersection(known.index)) < COVERED * max(len(side), len(known)):
                return None
        return known

    @property
    def nothing(self) -> pd.Series:
        return pd.Series(np.nan, index=self.predictions.columns)


def blocks(rows: EraRows) -> Iterator[Block]:
    """The models of an era by the rows that they predict; none without a known target. InputError: an id twice."""
    parts = (rows.predictions, rows.target, rows.meta_model, rows.benchmarks, rows.previous, rows.example)
    if not all(part.index.is_unique for part in parts):
        raise InputError("an id occurs twice among the predictions of one era; keep one row for each id")
    known = rows.target.rename("target").dropna().sort_index().astype(float)
    if known.empty:
        return
    at = known.index

    def placed(part: Any) -> Any:
        return part.reindex(at).set_axis(range(len(at)), axis=0) if len(part) else part

    numbered = EraRows(
        placed(rows.predictions).astype(float),
        known.set_axis(range(len(at))),
        placed(rows.meta_model),
        placed(rows.benchmarks),
        placed(rows.previous),
        {name: placed(features) for name, features in rows.features.items()},
        placed(rows.neutralizers),
        placed(rows.weights),
        placed(rows.example),
    )
    there = numbered.predictions.notna()
    patterns: dict[bytes, list[Any]] = {}
    for model in there.columns[there.any().to_numpy()]:  # others were there in the era before only
        patterns.setdefault(there[model].to_numpy().tobytes(), []).append(model)
    for models in patterns.values():
        predictions = numbered.predictions[models]
        yield Block(predictions[there[models[0]]], numbered.target, numbered)


def filled(levels: npt.NDArray[np.int8], missing: int, names: tuple[str, ...]) -> pd.DataFrame:
    """Rows x features of packed levels as floats, a missing level as its feature's mean; one never known is 0."""
    values = levels.astype(np.float64)
    unknown = levels == missing
    if unknown.any():
        values[unknown] = 0.0
        known = np.maximum((~unknown).sum(axis=0), 1)
        values = np.where(unknown, values.sum(axis=0) / known, values)
    return pd.DataFrame(values, columns=list(names))


def refuse_unpredicted(missing: int, scored: int) -> None:
    """Raises InputError where scored rows have no prediction."""
    if missing:
        raise InputError(f"{missing} of {scored} scored rows have no prediction; predict every row that has a target")


def varying(frame: pd.DataFrame) -> pd.Series:
    """Which columns are not constant."""
    return frame.max() > frame.min()


def varies(values: pd.Series) -> bool:
    """Whether the values are not all the same."""
    return bool(values.max() > values.min())


def correlations(predictions: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Models by features, by one product of matrices; constant features are left out."""
    features = features.loc[:, varying(features)]
    x, y = (side.to_numpy() - side.to_numpy().mean(axis=0) for side in (predictions, features))
    norms = np.outer(np.sqrt((x**2).sum(axis=0)), np.sqrt((y**2).sum(axis=0)))
    return pd.DataFrame(x.T @ y / norms, index=predictions.columns, columns=features.columns)
