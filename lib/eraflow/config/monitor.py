"""Settings of the monitor: how often it may alarm without a cause, and what its charts are held to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from eraflow.config.base import Fraction, PositiveInt, Section

Rate = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class ChartLimits(Section):
    """Where the charts of a score alarm, for one way in which rounds overlap and one length of the validation."""

    overlap: PositiveInt  # rounds that share a label
    weekly: PositiveInt  # rounds a week
    labels: PositiveInt  # validation labels without overlap, at least
    rolling: Positive
    cusum: Positive
    drawdown: Positive


class Monitor(Section):
    """What is watched of rounds, and how often it may alarm where nothing has changed."""

    enabled: bool
    score_alarms: Rate  # a year and slot, all charts together
    charts_rate: Rate  # the `score_alarms` that `charts` were found for
    drift_alarms: Rate  # a year and run
    rounds: PositiveInt  # a year
    eras: Annotated[int, Field(ge=20)]
    fewest: Fraction
    broken_share: Fraction
    charts: tuple[ChartLimits, ...]

    @property
    def drift_rate(self) -> float:
        """The false discovery rate of one round."""
        return self.drift_alarms / self.rounds

    def limits(self, overlap: int, weekly: int, labels: float) -> ChartLimits | None:
        """The limits for so many validation labels, or the nearest fewer of which there are some; None without any."""
        fitting = [one for one in self.charts
                   if (one.overlap, one.weekly) == (overlap, weekly) and one.labels <= labels]  # fmt: skip
        return max(fitting, key=lambda one: one.labels, default=None)

    @model_validator(mode="after")
    def _charts_are_of_the_rate(self) -> Monitor:
        if self.score_alarms != self.charts_rate:
            raise ValueError(
                f"score_alarms is {self.score_alarms}, and charts were found for {self.charts_rate} (charts_rate); "
                f'make bench-monitor ARGS="--rate {self.score_alarms}" writes a configuration with charts of it'
            )
        return self

    @model_validator(mode="after")
    def _charts_are_distinct(self) -> Monitor:
        seen = set()
        for one in self.charts:
            key = (one.overlap, one.weekly, one.labels)
            if key in seen:
                raise ValueError(
                    f"charts: overlap {one.overlap}, weekly {one.weekly}, labels {one.labels} is there twice; keep one"
                )
            seen.add(key)
        return self
