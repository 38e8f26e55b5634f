"""The configuration of a round: which model's predictions go to which of the account's models, and on what terms."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from eraflow.config.base import PositiveInt, Section

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # becomes a part of a path
# A finished run, or the one that a champion of `jobs/retrain.py` is.
RunName = Annotated[str, StringConstraints(pattern=r"^(champion:)?[A-Za-z0-9][A-Za-z0-9._-]*$")]
Correlation = Annotated[float, Field(ge=-1.0, le=1.0)]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Slot(Section):
    """What one of the account's models is sent: a prediction of a finished run."""

    run: RunName
    prediction: Name | None = None  # a model or an ensemble of the run; None = the run's submission
    predecessor: RunName | None = None  # the run that filled the slot before: its live predictions are compared


class Submit(Section):
    """What is sent, when, and what it is held against."""

    dir: str
    slots: dict[Name, Slot]
    queue: bool
    margin: Annotated[float, Field(ge=0)]  # seconds
    attempts: PositiveInt
    pause: Annotated[float, Field(ge=0)]  # seconds
    timeout: Annotated[float, Field(gt=0)]  # seconds
    smooth: Annotated[float, Field(ge=0.0, lt=1.0)]
    bands: dict[str, tuple[Correlation, Correlation]]
    coverage: Annotated[float, Field(ge=0.0, le=1.0)]
    churn_limit: Annotated[float, Field(gt=0.0)]
    turnover_limit: Annotated[float, Field(gt=0.0)]
    credentials: str | None
    webhook: str | None
    api: str | None

    @field_validator("api")
    @classmethod
    def _is_on_loopback(cls, address: str | None) -> str | None:
        if address is not None and urlsplit(address).hostname not in LOOPBACK:
            raise ValueError("it names the stand-in, which is on this machine only, e.g. http://127.0.0.1:8000; null")
        return address

    @field_validator("webhook")
    @classmethod
    def _is_a_variable(cls, webhook: str | None) -> str | None:
        """The address is often the secret itself, and settings are shown and kept with each run."""
        if webhook is not None and not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", webhook):
            raise ValueError("write env:NAME for the environment variable that holds the address")
        return webhook

    @model_validator(mode="after")
    def _bands_have_two_ends(self) -> Submit:
        for name, (low, high) in self.bands.items():
            if low > high:
                raise ValueError(f"bands: {name} is [{low}, {high}]; name the lower end first")
        return self
