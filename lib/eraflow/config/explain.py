"""Settings of explanations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eraflow.config.base import PositiveInt, Section


class ExpectedSign(Section):
    """What finance expects of a feature: whether more of it pays (1) or less (-1), and why."""

    sign: Literal[-1, 1]
    why: Annotated[str, Field(min_length=1)]


class Explain(Section):
    """What is explained of a finished run, and at what cost."""

    enabled: bool
    models: tuple[str, ...]
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    eras: PositiveInt
    training_eras: PositiveInt
    rows: Annotated[int, Field(ge=100)]
    top: PositiveInt
    sampled_rows: Annotated[int, Field(ge=24)]
    walks: Annotated[int, Field(ge=2)]
    walked: PositiveInt
    expected: dict[str, ExpectedSign]
