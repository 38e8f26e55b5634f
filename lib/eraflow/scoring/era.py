"""One era as metrics see it: matrices of the rows with a known target, models of the same rows together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from eraflow.errors import InputError
from eraflow.scoring.steps import correlations, normal, power, ranked

MIN_ROWS = 3  # with two rows every correlation is 1, -1 or undefined
COVERED = 0.8  # share of the rows that both sides must know, as numerai-tools has it

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


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
class Levels:
    """Features of an era: rows x features, and their names."""

    values: Matrix
    names: tuple[str, ...]


@dataclass(frozen=True)
class Era:
    """One era as matrices, whose rows are the ids with a known target, in order; parts and NaN as in `EraRows`."""

    models: tuple[Any, ...]
    predictions: Matrix  # rows x models
    target: Matrix
    meta_model: Matrix | None = None
    benchmarks: Mapping[str, Matrix] = field(default_factory=dict)
    previous: Matrix | None = None  # rows x models
    features: Mapping[str, Levels] = field(default_factory=dict)
    neutralizers: Matrix | None = None
    weights: Matrix | None = None
    example: Matrix | None = None

    def has(self, name: str) -> bool:
        """Whether something beside predictions and target is there."""
        part = getattr(self, name)
        return part is not None and len(part) > 0


@dataclass(frozen=True)
class Block:
    """Models that predict the same rows of an era: the numbers of both."""

    era: Era
    models: npt.NDArray[np.intp]
    rows: Mask

    @cached_property
    def predictions(self) -> Matrix:
        """Rows x models, without NaN."""
        return self.era.predictions[np.ix_(self.rows, self.models)]

    @cached_property
    def target(self) -> Matrix:
        """The target of the predicted rows. InputError where Numerai refuses that so few are predicted."""
        refuse_few(int(self.rows.sum()), len(self.rows))
        return self.era.target[self.rows]

    @cached_property
    def powered_target(self) -> Matrix:
        """The target as CORR sees it: centred over all rows, to a power."""
        refuse_few(int(self.rows.sum()), len(self.rows))
        return power((self.era.target - self.era.target.mean())[self.rows, None])[:, 0]

    @cached_property
    def ranked(self) -> Matrix:
        """Predictions as ranks between 0 and 1, ties kept."""
        return ranked(self.predictions)

    @cached_property
    def normal(self) -> Matrix:
        """Predictions as normal quantiles of their ranks: made once, since most metrics begin with them."""
        return normal(self.ranked)

    @cached_property
    def powered(self) -> Matrix:
        """`normal` to the power of 1.5, its sign kept: predictions as CORR sees them."""
        return power(self.normal)

    def at(self, rows: Mask) -> Block:
        """The block of these of its predicted rows."""
        key = rows.tobytes()
        if key not in self._parts:
            self._parts[key] = Block(self.era, self.models, rows)
        return self._parts[key]

    @cached_property
    def _parts(self) -> dict[bytes, Block]:
        """Blocks of fewer rows: references that know the same rows share one."""
        return {self.rows.tobytes(): self}

    @cached_property
    def scorable(self) -> Block:
        """Without models whose predictions are constant; without any where too few rows or a constant target remain."""
        scored = varying(self.predictions)
        if len(self.predictions) < MIN_ROWS or not varying(self.era.target[self.rows, None])[0]:
            scored[:] = False
        return self if scored.all() else Block(self.era, self.models[scored], self.rows)

    @cached_property
    def exposures(self) -> dict[str, tuple[Matrix, tuple[str, ...]]]:
        """By feature set, models x features: correlations of predictions with features that vary, and their names."""
        return {name: self._exposures(part) for name, part in self.era.features.items()}

    def _exposures(self, part: Levels) -> tuple[Matrix, tuple[str, ...]]:
        values = part.values[self.rows]
        kept = varying(values)
        names = part.names if kept.all() else tuple(name for name, has in zip(part.names, kept, strict=True) if has)
        return correlations(self.predictions, values[:, kept]), names

    @cached_property
    def ranked_with_previous(self) -> list[Matrix | None]:
        """By model the ranks of its predictions and of those of the era before, on the ids of both; None of too few."""
        found: list[Matrix | None] = []
        for at, model in enumerate(self.models.tolist()):
            before = np.full(len(self.rows), np.nan) if self.era.previous is None else self.era.previous[:, model]
            before = before[self.rows]
            shared = ~np.isnan(before)
            both = np.column_stack([self.predictions[shared, at], before[shared]])
            enough = len(both) >= max(MIN_ROWS, COVERED * len(shared)) and varying(both).all()
            found.append(ranked(both) if enough else None)
        return found

    def covered(self, reference: Matrix | None) -> Mask | None:
        """Rows whose reference is known; None where it is constant, or Numerai would refuse it as too short."""
        if reference is None:
            return None
        is_observed: Mask = np.logical_not(np.isnan(reference.reshape(len(reference), -1)).any(axis=1))
        count, predicted, both = int(is_observed.sum()), int(self.rows.sum()), int((is_observed & self.rows).sum())
        if both < COVERED * max(predicted, count) or count < COVERED * len(is_observed):
            return None
        if reference.ndim == 1 and not varying(reference[is_observed, None])[0]:
            return None
        return is_observed

    @property
    def nothing(self) -> Matrix:
        return np.full(len(self.models), np.nan)


def matrices(rows: EraRows) -> Era | None:
    """The era's rows in the order of their ids; None without a known target. InputError where an id occurs twice."""
    parts = (rows.predictions, rows.target, rows.meta_model, rows.benchmarks, rows.previous, rows.example)
    if not all(part.index.is_unique for part in parts):
        raise InputError("an id occurs twice among the predictions of one era; keep one row for each id")
    target = rows.target.dropna().sort_index()
    if target.empty:
        return None

    def placed(part: pd.Series | pd.DataFrame) -> Matrix | None:
        return part.reindex(target.index).to_numpy(dtype=float) if len(part) else None

    models = tuple(rows.predictions.columns)
    return Era(
        models,
        rows.predictions.reindex(target.index).to_numpy(dtype=float),
        target.to_numpy(dtype=float),
        placed(rows.meta_model),
        {str(name): rows.benchmarks[name].reindex(target.index).to_numpy(dtype=float) for name in rows.benchmarks},
        placed(rows.previous.reindex(columns=list(models))) if len(rows.previous) else None,
        {name: Levels(part.reindex(target.index).to_numpy(dtype=float), tuple(map(str, part.columns)))
         for name, part in rows.features.items()},
        placed(rows.neutralizers),
        placed(rows.weights),
        placed(rows.example),
    )  # fmt: skip


def blocks(era: Era) -> Iterator[Block]:
    """The models of an era by the rows that they predict; those without any are left out."""
    predicted = ~np.isnan(era.predictions)
    patterns: dict[bytes, list[int]] = {}
    for model in np.flatnonzero(predicted.any(axis=0)).tolist():  # others were there in the era before only
        patterns.setdefault(predicted[:, model].tobytes(), []).append(model)
    for models in patterns.values():
        yield Block(era, np.array(models, dtype=np.intp), predicted[:, models[0]])


def filled(levels: npt.NDArray[np.int8], missing: int) -> Matrix:
    """Rows x features of packed levels as floats, a missing level as its feature's mean; one never known is 0."""
    values = levels.astype(np.float64)
    unknown = levels == missing
    if unknown.any():
        values[unknown] = 0.0
        counts = np.maximum((~unknown).sum(axis=0), 1)
        values = np.where(unknown, values.sum(axis=0) / counts, values)
    return values


def refuse_unpredicted(missing: int, scored: int) -> None:
    """Raises InputError where scored rows have no prediction."""
    if missing:
        raise InputError(f"{missing} of {scored} scored rows have no prediction; predict every row that has a target")


def refuse_few(shared: int, rows: int) -> None:
    """Raises InputError where so few rows are known to both sides that numerai-tools would not score them."""
    if shared < COVERED * rows:
        raise InputError(
            f"numerai-tools cannot score these values (must have >= {COVERED:.0%} overlapping ids, has {shared} of "
            f"{rows}); look at whether the rows with a target are predicted"
        )


def varying(columns: Matrix) -> Mask:
    """Which columns are not constant."""
    if not len(columns):
        return np.zeros(columns.shape[1], dtype=bool)
    varied: Mask = columns.max(axis=0) > columns.min(axis=0)
    return varied
