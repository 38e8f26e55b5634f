"""Invented eras of rows, with and without planted changes: what the limits of drift are measured on.

Features come in groups that share a factor; the strength of each factor wanders from era to era, so that eras vary by
more than their rows alone would tell, and features of a group together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.monitoring.profile import Levels, Profile, profile

MISSING = -1
LEVELS = 5
CHANGES = ("nothing", "shifted", "stuck", "turned", "missing", "lost", "coded", "halved")
SHIFT = 0.25  # deviations of the mean of a shifted feature
JUMP = 0.2  # of the rows of a feature whose missing share jumps


@dataclass(frozen=True)
class Universe:
    """How rows are drawn: `features` in groups of `group`, `rows` an era."""

    features: int
    rows: int
    group: int = 10
    loading: float = 0.6  # correlation of a feature with its group's factor, on average
    wander: float = 0.1  # deviation of that from era to era
    missing: float = 0.02  # of the values, in each feature

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Features by group."""
        names = self.names
        return {f"group_{at // self.group}": names[at : at + self.group]
                for at in range(0, self.features, self.group)}  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"feature_{place}" for place in range(self.features))

    def era(self, generator: np.random.Generator, change: str = "nothing") -> Profile:
        """The profile of one era's rows with one of CHANGES.

        shifted: 5 % of the features move by SHIFT deviations. stuck: a group has one value. turned: the first half of a
        group goes against the other. missing: 5 % of the features lack JUMP more rows. lost: a group is missing. coded:
        levels count from 1. halved: half of the rows.
        """
        return profile(self.levels(generator, change), MISSING)

    def levels(self, generator: np.random.Generator, change: str = "nothing") -> Levels:
        """The rows of such an era, rows x features."""
        rows = self.rows // 2 if change == "halved" else self.rows
        count = -(-self.features // self.group)
        member = np.arange(self.features) // self.group
        few = slice(0, max(1, self.features // 20))
        loading = np.clip(self.loading + self.wander * generator.standard_normal(count), 0.0, 0.95)[member]
        sign = np.ones(self.features)
        if change == "turned":
            sign[: self.group // 2] = -1.0
        factors = generator.standard_normal((rows, count), dtype=np.float32)[:, member]
        specific = generator.standard_normal((rows, self.features), dtype=np.float32)
        values = (sign * loading).astype(np.float32) * factors + np.sqrt(1 - loading**2).astype(np.float32) * specific
        edges = np.quantile(values[: max(rows, 1)], np.arange(1, LEVELS) / LEVELS, axis=0)
        if change == "shifted":
            values[:, few] += np.float32(SHIFT)
        levels = np.zeros(values.shape, dtype=np.int8)
        for edge in edges:
            levels += (values > edge).astype(np.int8)
        lacks = generator.random(values.shape, dtype=np.float32) < self._lacking(generator, change, few)
        levels[lacks] = MISSING
        return self._spoiled(levels, change)

    def _lacking(self, generator: np.random.Generator, change: str, few: slice) -> np.ndarray:
        share = np.full(self.features, self.missing * generator.uniform(0.5, 1.5))
        if change == "missing":
            share[few] += JUMP
        return share.astype(np.float32)

    def _spoiled(self, levels: Levels, change: str) -> Levels:
        first = slice(0, self.group)
        if change == "stuck":
            levels[:, first] = LEVELS // 2
        elif change == "lost":
            levels[:, first] = MISSING
        elif change == "coded":
            levels[levels != MISSING] += 1
        return levels
