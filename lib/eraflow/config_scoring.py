"""Settings of scores."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class PayoutFactors(BaseModel):
    """What an era pays on a stake, from its scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, float]
    factor: Annotated[float, Field(gt=0.0)]
    limit: Annotated[float, Field(gt=0.0, lt=1.0)]


class Scoring(BaseModel):
    """What predictions are held against."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature_sets: tuple[str, ...]
    benchmarks: tuple[str, ...] | None
    payout: PayoutFactors


class Tracking(BaseModel):
    """Where runs are told to MLflow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]
