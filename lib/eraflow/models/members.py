"""Several fits as one model: of several targets and several seeds, on one packed table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import stats

from eraflow.models.base import Fitted, Model, Training
from eraflow.models.selection import FittedSelection, Selecting


@dataclass(frozen=True)
class Member:
    """One fit: what it learns, and its seed."""

    model: Model
    target: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.target}-seed-{self.seed}"


@dataclass(frozen=True)
class Members:
    """A model of one member or more, which count the same.

    Targets differ in scale, so it is not the members' predictions that are averaged: each is ranked within its era and
    the ranks are made normal.
    """

    members: tuple[Member, ...]  # those of one target side by side
    selecting: Selecting | None = None

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> Fitted:
        """Every member fitted to the same eras, one after the other. A single one is itself.

        Features are chosen once for each target, by the same rows: its members share them.
        """
        fitted: dict[str, Fitted] = {}
        for target, own in groupby(self.members, attrgetter("target")):
            rows = replace(training, target=target)
            chosen = self.selecting.choose(rows, eras) if self.selecting else None
            for member in own:
                one = member.model.fit(rows.narrowed(chosen.taken) if chosen else rows, eras, watched)
                fitted[member.name] = FittedSelection(one, chosen.taken, chosen) if chosen else one
        return next(iter(fitted.values())) if len(fitted) == 1 else FittedMembers(fitted)


@dataclass(frozen=True)
class FittedMembers:
    """Members that have learned, by name."""

    members: dict[str, Fitted]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Every feature that a member has learned from."""
        return tuple(dict.fromkeys(chain.from_iterable(fitted.feature_names for fitted in self.members.values())))

    @property
    def target(self) -> str:
        """The targets of the members, each named once."""
        return ", ".join(dict.fromkeys(fitted.target for fitted in self.members.values()))

    def predict(self, rows: DataFrame) -> DataFrame:
        """The mean of the members' Gaussianised ranks within each era."""
        each = [fitted.predict(rows).withColumn("member", F.lit(name)) for name, fitted in self.members.items()]
        together = reduce(DataFrame.unionByName, each)
        return together.groupBy("era").applyInPandas(_blended, "id string, era int, prediction double")

    def save(self, folder: Path) -> None:
        for name, fitted in self.members.items():
            fitted.save(folder / name)


def _blended(rows: pd.DataFrame) -> pd.DataFrame:
    """One era: the rows of all members, in any order."""
    wide = rows.pivot(index="id", columns="member", values="prediction").sort_index()
    normal = stats.norm.ppf((wide.rank(method="average").to_numpy() - 0.5) / len(wide))
    return pd.DataFrame({"id": wide.index, "era": rows["era"].iloc[0], "prediction": normal.mean(axis=1)})
