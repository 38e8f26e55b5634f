"""The configuration of champions: when they are refitted, what replaces them, and how that is replayed over history."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from eraflow.config.base import PositiveInt, Section
from eraflow.config.submit import Name


class Retrain(Section):
    """When a champion is refitted, and what is better than it."""

    champion: Name
    every: PositiveInt | None  # eras
    alarms: bool
    challenger: tuple[str, ...]  # overlays over the champion's settings
    metric: Annotated[str, Field(min_length=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    compare_from: PositiveInt  # eras that both have
    compare_every: PositiveInt  # eras


class Replay(Section):
    """How history is played again."""

    start: int | date | None  # the first era that is predicted, by its number or its date
    step: PositiveInt  # eras
    refit_every: PositiveInt  # eras, of the policy that the others are held against
