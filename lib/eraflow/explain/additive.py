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
from eraflow.explain.attribution import Attribution, OfWalks, Sampling, attribution, is_exact
from eraflow.explain.histories import columns, is_whole, reads_whole_eras, values, weeks_of
from eraflow.models.blend import FittedBlend
from eraflow.models.fitted import Fitted
from eraflow.models.levels import Eras, Levels, Matrix, Vector
from eraflow.models.member import Member, Names, by_era, mean_rank


@dataclass(frozen=True)
class Part:
    """A member: `scale` times its prediction counts in model number `model`; `places` are its columns among all.

    Where families stand for its features, these are the columns, and have no level.
    """

    member: Member
    attribution: Attribution
    scale: float
    model: int
    places: tuple[int, ...]
    is_grouped: bool = False

    def values(self, read: Levels, eras: Eras) -> tuple[Matrix, Matrix | None]:
        """Rows x columns, and the standard errors of what is sampled; `read` is what the member reads."""
        if not isinstance(self.attribution, OfWalks):
            return self.attribution.values(read), None
        if not self.attribution.walks.together:
            return self.attribution.with_errors(read)
        found, errors = np.empty((2, len(read), len(self.places)))
        for era in np.unique(eras):
            rows = np.flatnonzero(eras == era)
            found[rows], errors[rows] = self.attribution.with_errors(read[rows])
        return found, errors


@dataclass(frozen=True)
class Additive:
    """A sum over parts: `names` are the columns that any of them reads.

    `weights` of the models, by era where they differ; the last ones known hold for other eras. Levels are those of
    `weeks` weeks side by side (`eraflow.explain.histories`), of models that know rows alone one. Where it
    `reads_whole_eras`, all rows of an era come together.
    """

    model: Fitted | FittedBlend
    names: Names
    parts: tuple[Part, ...]
    weights: Mapping[int, Vector]
    weeks: int = 1
    reads_whole_eras: bool = False

    @classmethod
    def of(
        cls,
        model: Fitted | FittedBlend,
        background: Levels,
        eras: Eras,
        weights: Mapping[int, Vector] | None = None,
        sampling: Sampling | None = None,
    ) -> Additive:
        """By rows such as the model is used on, of as many weeks as it reads."""
        models, sampling = _models(model), sampling or Sampling()
        width = len(model.inputs)
        players = {id(member): _columns(member, one, sampling) for one in models for member in one.members}
        names = tuple(dict.fromkeys(chain.from_iterable(players.values())))
        place = {name: at for at, name in enumerate(names)}
        several = len(models) > 1 or len(models[0].members) > 1
        parts = []
        for number, one in enumerate(models):
            predicted = [values(member, background, eras, one.missing, width) for member in one.members]
            scales = [1.0 / (np.std(values) or 1.0) for values in predicted]
            together = sum(
                (scale * values for scale, values in zip(scales, predicted, strict=True)), np.zeros(len(eras))
            )
            whole = 1.0 / (np.std(together) or 1.0)
            for member, scale in zip(one.members, scales, strict=True):
                read, chosen = columns(member, background, eras, width), players[id(member)]
                found = attribution(member, read, eras, one.missing, chosen, sampling.pairs)
                places = tuple(place[name] for name in chosen)
                is_grouped = any(len(held) > 1 for held in chosen.values())
                parts.append(Part(member, found, float(scale * whole) if several else 1.0, number, places, is_grouped))
        given = np.array(model.weights) if isinstance(model, FittedBlend) else np.ones(1)
        return cls(model, names, tuple(parts), weights or {0: given}, weeks_of(model), reads_whole_eras(model))

    @property
    def is_exact(self) -> bool:
        """Whether its sum is the prediction itself."""
        return len(self.parts) == 1 and not isinstance(self.model, FittedBlend)

    @property
    def is_sampled(self) -> bool:
        return any(part.attribution.is_sampled for part in self.parts)

    @property
    def is_neutral(self) -> bool:
        """Whether something is taken off its blend, for which an era's rows have to come together."""
        return isinstance(self.model, FittedBlend) and self.model.proportion > 0

    @property
    def missing(self) -> int:
        return _models(self.model)[0].missing

    @property
    def width(self) -> int:
        """Features of a week."""
        return len(self.model.inputs)

    @property
    def walked_together(self) -> Names:
        """Those of `names` that stand for several features."""
        return tuple(dict.fromkeys(self.names[at] for part in self.parts if part.is_grouped for at in part.places))

    def this_week(self, levels: Levels) -> Levels:
        """Rows x features of the rows' own week."""
        return levels[:, -self.width :]

    def levels(self, levels: Levels, eras: Eras) -> Levels:
        """Rows x `names`: the levels that attributions are of, where they follow tickers those of the row's week."""
        out = np.full((len(levels), len(self.names)), self.missing, dtype=np.int8)
        for part in self.parts:
            if not part.is_grouped:
                out[:, list(part.places)] = part.member.columns(self.this_week(levels), eras)
        return out

    def contributions(self, levels: Levels, eras: Eras) -> Matrix:
        """Rows x `names`: what each column adds to the sum of a row, over the sum's base; the rows are whole eras.

        Of a blend that is neutralised the same part is taken off each column's: what is taken off their sum.
        """
        return self._neutral(self.added(levels, eras), levels, eras)

    def added(self, levels: Levels, eras: Eras) -> Matrix:
        """The same before anything is taken off a blend, of any rows: of a few of an era all would be taken off."""
        return self.with_errors(levels, eras)[0]

    def with_errors(self, levels: Levels, eras: Eras) -> tuple[Matrix, Matrix]:
        """What is `added`, and the standard error of each value: 0 of what is not sampled."""
        out, weights = np.zeros((len(levels), len(self.names))), self.row_weights(eras)
        variance = np.zeros_like(out)
        for part in self.parts:
            found, errors = part.values(columns(part.member, levels, eras, self.width), eras)
            scale, places = part.scale * weights[:, [part.model]], list(part.places)
            out[:, places] += found * scale
            if errors is not None:
                variance[:, places] += (errors * scale) ** 2
        return out, np.sqrt(variance)

    def sums(self, levels: Levels, eras: Eras) -> Vector:
        """The sum that is explained, of rows that need not be whole eras; nothing is taken off it."""
        total, weights = np.zeros(len(levels)), self.row_weights(eras)
        for part in self.parts:
            predicted = values(part.member, levels, eras, self.missing, self.width)
            total += predicted * part.scale * weights[:, part.model]
        return total

    def predictions(self, levels: Levels, eras: Eras) -> Vector:
        """What the model itself predicts, of whole eras; an ensemble by the weights of each."""
        each = [self._predicted(one, levels, eras) for one in _models(self.model)]
        if not isinstance(self.model, FittedBlend):
            return each[0]
        out, together = np.empty(len(levels)), np.column_stack(each)
        for era in np.unique(eras):
            rows = np.flatnonzero(eras == era)
            blended = replace(self.model, weights=tuple(self.row_weights(eras[rows[:1]])[0].tolist()))
            out[rows] = blended.mixed(together[rows], self.this_week(levels[rows]), eras[rows])
        return out

    def _predicted(self, model: Fitted, levels: Levels, eras: Eras) -> Vector:
        """What one of its models predicts, as it does in Spark."""
        found = np.column_stack([values(one, levels, eras, model.missing, self.width) for one in model.members])
        return found[:, 0] if found.shape[1] == 1 else by_era(lambda rows: mean_rank(found[rows]), eras)

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

    def _neutral(self, added: Matrix, levels: Levels, eras: Eras) -> Matrix:
        model = self.model
        if not isinstance(model, FittedBlend) or not model.proportion:
            return added
        places = [at for at, name in enumerate(model.inputs) if model.neutral_to is None or name in model.neutral_to]
        out, levels = np.empty_like(added), self.this_week(levels)
        for era in np.unique(eras):
            rows = np.flatnonzero(eras == era)
            exposed = filled(levels[rows][:, places], self.missing)
            if model.riskiest is not None:
                total = added[rows].sum(axis=1, keepdims=True)
                exposed = exposed[:, np.argsort(-np.abs(exposures(total, exposed))[0], kind="stable")[: model.riskiest]]
            out[rows] = neutral_to(added[rows], exposed, model.proportion)
        return out


def _models(model: Fitted | FittedBlend) -> list[Fitted]:
    return list(model.models.values()) if isinstance(model, FittedBlend) else [model]


def _columns(member: Member, model: Fitted, sampling: Sampling) -> dict[str, list[int]]:
    """By name what a member's values are of: each of its features or, where these are sampled and many, families."""
    names = member.feature_names(model.inputs)
    if is_exact(member):
        return {name: [at] for at, name in enumerate(names)}
    return sampling.players(names, is_whole(member))
