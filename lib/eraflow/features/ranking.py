"""Which levels a training table holds: ranks of an era's values among tickers, by group, neutral, and of products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eraflow.errors import InputError
from eraflow.features.cross_section import Groups, Levels, Matrix, levels, quantiles, residual
from eraflow.features.feature import Feature
from eraflow.features.sets import EXPOSURES, columns, families

SUFFIXES = {"universe": "", "sector": "_in_sector", "country": "_in_country", "neutral": "_neutral"}
SMALLEST_GROUP = 5  # a sector or country with fewer known values has no fifths


@dataclass(frozen=True)
class Ranking:
    """What is ranked, and among whom (conf: features.ranks, neutral_to, interactions).

    `ranks` names the columns that each feature gets: `universe` (FEATURE), `sector` (FEATURE_in_sector), `country`
    (FEATURE_in_country), and `neutral` (FEATURE_neutral: what is left of its normal scores after a regression on those
    of the exposures `neutral_to`). An interaction of A and B (A_x_B) is the product of both quantiles less a half.
    """

    features: Sequence[Feature]
    ranks: Sequence[str] = ("universe",)
    neutral_to: Sequence[str] = ()
    interactions: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        available, exposures = list(columns(self.features)), list(columns(EXPOSURES))
        if unknown := [name for pair in self.interactions for name in pair if name not in available]:
            raise InputError(f"features.interactions: there is no feature {unknown[0]!r} in the set; choose from "
                             f"{', '.join(available)}.")  # fmt: skip
        if unknown := [name for name in self.neutral_to if name not in exposures]:
            raise InputError(f"features.neutral_to: there is no exposure {unknown[0]!r}; choose from "
                             f"{', '.join(exposures)}.")  # fmt: skip
        if ("neutral" in self.ranks) != bool(self.neutral_to):
            raise InputError("features.neutral_to names exposures if, and only if, features.ranks holds 'neutral'.")

    @property
    def names(self) -> list[str]:
        """The columns of the training table, in the order of `levels`."""
        return self._ranked(columns(self.features)) + self._products

    @property
    def families(self) -> dict[str, list[str]]:
        """Family -> its columns in `names`; `interactions` are one of their own."""
        ranked = {family: self._ranked(named) for family, named in families(self.features).items()}
        return ranked | ({"interactions": self._products} if self.interactions else {})

    def _ranked(self, features: Iterable[str]) -> list[str]:
        return [f"{name}{SUFFIXES[rank]}" for rank in self.ranks for name in features]

    @property
    def _products(self) -> list[str]:
        return [f"{one}_x_{other}" for one, other in self.interactions]

    def levels(self, ranked: Matrix, groups: Mapping[str, Groups], exposures: Matrix) -> Levels:
        """One era's levels, tickers x names.

        `ranked`: tickers x features. `groups`: of each ticker its sector and country. `exposures`: tickers x EXPOSURES.
        """
        parts = [self._among(rank, ranked, groups, exposures) for rank in self.ranks]
        if self.interactions:
            place = {name: position for position, name in enumerate(columns(self.features))}
            centred = quantiles(ranked) - 0.5
            products = [centred[:, place[one]] * centred[:, place[other]] for one, other in self.interactions]
            parts.append(levels(np.column_stack(products)))
        return np.hstack(parts)

    def _among(self, rank: str, ranked: Matrix, groups: Mapping[str, Groups], exposures: Matrix) -> Levels:
        if rank == "universe":
            return levels(ranked)
        if rank == "neutral":
            names = list(columns(EXPOSURES))
            to = exposures[:, [names.index(name) for name in self.neutral_to]]
            return levels(np.column_stack([residual(column, None, to) for column in ranked.T]))
        out = levels(np.full_like(ranked, np.nan))
        for group in set(groups[rank]):
            rows = groups[rank] == group
            too_few = (~np.isnan(ranked[rows])).sum(axis=0) < SMALLEST_GROUP
            out[rows] = levels(np.where(too_few, np.nan, ranked[rows]))
        return out
