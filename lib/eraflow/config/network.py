"""The configuration's section on networks: graphs over tickers, learned from their momentum."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from eraflow.config.base import Section

LookBack = Annotated[int, Field(ge=5)]


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
