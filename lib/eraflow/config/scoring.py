"""Settings of scores."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from eraflow.config.base import Section


class PayoutFactors(Section):
    """What an era pays on a stake, from its scores."""

    weights: dict[str, float]
    factor: Annotated[float, Field(gt=0.0)]
    limit: Annotated[float, Field(gt=0.0, lt=1.0)]


class Scoring(Section):
    """What predictions are held against."""

    feature_sets: tuple[str, ...]
    benchmarks: tuple[str, ...] | None
    payout: PayoutFactors


class Tracking(Section):
    """Where runs are told to MLflow."""

    enabled: bool
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]
