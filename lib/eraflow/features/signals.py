"""Numerai Signals' features beside our own: they are given by week and only ranked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.features.feature import Feature, Output, unscaled
from eraflow.features.series import Input


@dataclass(frozen=True)
class SignalsFeature(Feature):
    """A column of Numerai Signals' files, known at the days of eras only."""

    name: str
    family: ClassVar[str] = "signals"

    @property
    def meaning(self) -> str:
        return f"Numerai Signals' {self.name}"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{self.name: Input(self.name)})


def with_signals(daily: DataFrame, features: Sequence[str], targets: Sequence[str]) -> DataFrame:
    """Daily features whose `ranked` also holds Signals' features, at its end, and Signals' targets as columns.

    `daily` has `signals array<double>` and `signals_targets array<double>`, null where nothing matched: then each of
    their elements is null. What comes out has `signals` with as many elements as there are features.
    """

    def filled(name: str, count: int) -> Column:
        return F.coalesce(name, F.array_repeat(F.lit(None).cast("double"), count))

    return daily.withColumns(
        {
            "ranked": F.concat("ranked", filled("signals", len(features)).cast("array<float>")),
            "signals": filled("signals", len(features)),
            **{name: F.get("signals_targets", F.lit(place)).cast("float") for place, name in enumerate(targets)},
        }
    ).drop("signals_targets")
