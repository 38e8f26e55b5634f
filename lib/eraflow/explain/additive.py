"""A model of several members, or a blend of models, as the weighted sum of its members' predictions.

Members count by ranks made normal within an era, and no sum of attributions is exact for ranks. A sum of predictions,
each over its own deviation, is close to it: how close is measured era by era (`fidelity`). A model of one member is its
prediction itself, and its attributions add up to that exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from eraflow.ensembles.neutral import exposures, filled, neutral_to
from eraflow.errors import InputError
from eraflow.explain.attribution import Attribution, attribution
from eraflow.models.blend import FittedBlend
from eraflow.models.fitted import Fitted
from eraflow.models.levels import Eras, Levels, Matrix, Vector
from eraflow.models.member import Member, Names

FOLLOWS = "model: it follows tickers through time, and a row alone does not tell what it reads; it is not explained."


@dataclass(frozen=True)
class Part:
    """A member: `scale` times its prediction counts in model number `model`; `places` are its columns among all."""

    member: Member
    attribution: Attribution
    scale: float
    model: int
    places: tuple[int, ...]


@dataclass(frozen=True)
class Additive:
    """A sum over parts: `names` are the columns that any of them reads.

    `weights` of the models, by era where they differ; the last ones known hold for other eras.
    """

    model: Fitted | FittedBlend
    names: Names
    parts: tuple[Part, ...]
    weights: Mapping[int, Vector]

    @classmethod
    def of(
        cls, model: Fitted | FittedBlend, background: Levels, eras: Eras, weights: Mapping[int, Vector] | None = None
    ) -> Additive:
        """By rows such as the model is used on. InputError where a member follows tickers through time."""
        models = list(model.models.values()) if isinstance(model, FittedBlend) else [model]
        if any(one.follows_tickers for one in models):
            raise InputError(FOLLOWS)
        names = tuple(dict.fromkeys(chain.from_iterable(one.feature_names for one in models)))
        place = {name: at for at, name in enumerate(names)}
        several = len(models) > 1 or len(models[0].members) > 1
        parts = []
        for number, one in enumerate(models):
            predicted = [member.values(background, eras, one.missing) for member in one.members]
            scales = [1.0 / (np.std(values) or 1.0) for values in predicted]
            together = sum(
                (scale * values for scale, values in zip(scales, predicted, strict=True)), np.zeros(len(eras))
            )
            whole = 1.0 / (np.std(together) or 1.0)
            for member, scale in zip(one.members, scales, strict=True):
                values = attribution(member.estimator, member.columns(background, eras), one.missing)
                places = tuple(place[name] for name in member.feature_names(one.inputs))
                parts.append(Part(member, values, float(scale * whole) if several else 1.0, number, places))
        given = np.array(model.weights) if isinstance(model, FittedBlend) else np.ones(1)
        return cls(model, names, tuple(parts), weights or {0: given})

    @property
    def is_exact(self) -> bool:
        """Whether its sum is the prediction itself."""
        return len(self.parts) == 1 and not self.is_sampled and not isinstance(self.model, FittedBlend)

    @property
    def is_sampled(self) -> bool:
        return any(part.attribution.is_sampled for part in self.parts)

    @property
    def is_neutral(self) -> bool:
        """Whether something is taken off its blend, for which an era's rows have to come together."""
        return isinstance(self.model, FittedBlend) and self.model.proportion > 0

    @property
    def missing(self) -> int:
        first = next(iter(self.model.models.values())) if isinstance(self.model, FittedBlend) else self.model
        return first.missing

    def levels(self, levels: Levels, eras: Eras) -> Levels:
        """Rows x `names`: the levels that attributions are of."""
        out = np.full((len(levels), len(self.names)), self.missing, dtype=np.int8)
        for part in self.parts:
            out[:, list(part.places)] = part.member.columns(levels, eras)
        return out

    def contributions(self, levels: Levels, eras: Eras) -> Matrix:
        """Rows x `names`: what each column adds to the sum of a row, over the sum's base; the rows are whole eras.

        Of a blend that is neutralised the same part is taken off each column's: what is taken off their sum.
        """
        return self._neutral(self.added(levels, eras), levels, eras)

    def added(self, levels: Levels, eras: Eras) -> Matrix:
        """The same before anything is taken off a blend, of any rows: of a few of an era all would be taken off."""
        out, weights = np.zeros((len(levels), len(self.names))), self.row_weights(eras)
        for part in self.parts:
            values = part.attribution.values(part.member.columns(levels, eras))
            out[:, list(part.places)] += values * (part.scale * weights[:, [part.model]])
        return out

    def sums(self, levels: Levels, eras: Eras) -> Vector:
        """The sum that is explained, of rows that need not be whole eras; nothing is taken off it."""
        total, weights = np.zeros(len(levels)), self.row_weights(eras)
        for part in self.parts:
            values = part.member.values(levels, eras, self.missing)
            total += values * part.scale * weights[:, part.model]
        return total

    def predictions(self, levels: Levels, eras: Eras) -> Vector:
        """What the model itself predicts, of whole eras; an ensemble by the weights of each."""
        if not isinstance(self.model, FittedBlend):
            return self.model.portable().values(levels, eras)
        out = np.empty(len(levels))
        for era in np.unique(eras):
            rows = np.flatnonzero(eras == era)
            blended = replace(self.model, weights=tuple(self.row_weights(eras[rows[:1]])[0].tolist()))
            out[rows] = blended.portable().values(levels[rows], eras[rows])
        return out

    def gap(self, levels: Levels, eras: Eras) -> float:
        """The largest difference between a row's contributions and base together and the sum that is explained."""
        left = self.added(levels, eras).sum(axis=1) - self.sums(levels, eras)
        return float(np.abs(left + self.bases(eras)).max(initial=0.0))

    def bases(self, eras: Eras) -> Vector:
        """What each row's contributions are added to."""
        of_models = np.zeros(len(next(iter(self.weights.values()))))
        for part in self.parts:
            of_models[part.model] += part.attribution.base * part.scale
        return np.asarray(self.row_weights(eras) @ of_models)

    def row_weights(self, eras: Eras) -> Matrix:
        """Rows x models: what each model weighs in the row's era."""
        last = self.weights[max(self.weights)]
        held = {era: self.weights.get(era, last) for era in np.unique(eras).tolist()}
        return np.stack([held[era] for era in eras.tolist()]) if len(eras) else np.zeros((0, len(last)))

    def _neutral(self, values: Matrix, levels: Levels, eras: Eras) -> Matrix:
        model = self.model
        if not isinstance(model, FittedBlend) or not model.proportion:
            return values
        places = [at for at, name in enumerate(model.inputs) if model.neutral_to is None or name in model.neutral_to]
        out = np.empty_like(values)
        for era in np.unique(eras):
            rows = np.flatnonzero(eras == era)
            columns = filled(levels[rows][:, places], self.missing)
            if model.riskiest is not None:
                total = values[rows].sum(axis=1, keepdims=True)
                columns = columns[:, np.argsort(-np.abs(exposures(total, columns))[0], kind="stable")[: model.riskiest]]
            out[rows] = neutral_to(values[rows], columns, model.proportion)
        return out
