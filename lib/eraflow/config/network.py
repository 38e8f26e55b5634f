"""The configuration of networks: graphs over tickers, learned from their momentum, and over a model's features."""

from __future__ import annotations

from math import comb
from typing import Annotated, Literal

from pydantic import Field, model_validator

from eraflow.config.base import Section

LookBack = Annotated[int, Field(ge=5)]
Count = Annotated[int, Field(ge=0)]


class Network(Section):
    """Graphs over tickers and the momentum of neighbours."""

    relearn: Literal["never", "weekly", "monthly"]
    look_backs: Annotated[tuple[LookBack, ...], Field(min_length=1)]
    degree: Annotated[float, Field(ge=1.0)]

    @property
    def every(self) -> int:
        """Weeks that share a graph."""
        return 4 if self.relearn == "monthly" else 1

    @model_validator(mode="after")
    def _look_backs_ascend(self) -> Network:
        if list(self.look_backs) != sorted(set(self.look_backs)):
            raise ValueError("look_backs must ascend, each once")
        return self


class NetworkSettings(Section):
    """Columns from a graph over features; a count of 0 leaves a kind out."""

    interactions: Count
    chosen_by: Literal["graph", "random", "splits"]
    triples: Count
    vectors: Count
    components: Count
    groups: Count
    momentum: Count
    degree: Annotated[float, Field(ge=1.0)]
    mutual: Annotated[float, Field(ge=0.0, le=1.0)]


class ModelNetwork(NetworkSettings):
    """What a model learns from beside its features."""

    @model_validator(mode="after")
    def _asks_for_columns(self) -> ModelNetwork:
        counts = ("interactions", "triples", "vectors", "components", "groups", "momentum")
        if not any(getattr(self, name) for name in counts):
            raise ValueError(f"it asks for no columns; give one of {', '.join(counts)}")
        if self.chosen_by == "splits" and self.triples:
            raise ValueError("a model's splits name pairs only; give triples: 0, or chosen_by: graph or random")
        return self

    def fault(self, features: int) -> str | None:
        """What so few features cannot give; None if nothing."""
        if features < self.degree + 2:
            return f"degree is {self.degree:g}, and {features} features make a graph of {features - 2} at most"
        for name, most in (("interactions", comb(features, 2)), ("triples", comb(features, 3))):
            if getattr(self, name) > most:
                return f"{name} is {getattr(self, name)}, and {features} features have {most}"
        for name in ("vectors", "components", "groups"):
            if getattr(self, name) >= features:
                return f"{name} is {getattr(self, name)}; it must be below the number of features, {features}"
        return None
