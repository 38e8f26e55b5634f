"""The configuration of dates: which days count, when prices are complete, who may be late."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from eraflow.config.base import Fraction, Section


class Dates(Section):
    """Trading days and the data date of live predictions."""

    session_share: Fraction
    complete_share: Fraction
    late_countries: tuple[str, ...]
    holidays: str | None
    reused_after: Annotated[int, Field(ge=30)]
