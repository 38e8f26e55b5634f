"""The configuration's section on the search for a model's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from eraflow.config.base import PositiveInt, Section
from eraflow.config.models import AnyModel

Choice = bool | int | float | str | None


class Dimension(Section):
    """What one setting may be: between two numbers, or one of some values (written as a list)."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Choice, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return {"choices": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _has_something(self) -> Dimension:
        if self.choices:
            return self
        if self.low is None or self.high is None or not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("give a list of values, or low and a higher high (above 0 where log is true)")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are whole ones."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def extremes(self) -> tuple[Choice, ...]:
        """Values which all fit if every value does."""
        return self.choices or (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether the value is one that may be tried."""
        if self.choices:
            return value in self.choices
        assert self.low is not None
        assert self.high is not None
        return isinstance(value, int | float) and self.low <= value <= self.high


class Search(Section):
    """Which settings are searched, and by what."""

    model: str | None
    space: dict[str, Dimension]
    trials: PositiveInt
    folds: PositiveInt
    min_train_eras: PositiveInt
    reduction: Annotated[int, Field(ge=2)]
    objective: dict[str, float]

    @property
    def weights(self) -> dict[str, float]:
        """The objective's metrics and what each counts."""
        return self.objective or {"numerai_corr": 1.0}

    @model_validator(mode="after")
    def _has_a_space(self) -> Search:
        if self.model is not None and not self.space:
            raise ValueError("space is empty; name the model's settings, e.g. space.learning_rate={low: 0.01, high: 1}")
        return self


def changed(settings: AnyModel, found: Mapping[str, Any]) -> AnyModel:
    """A model's settings with others in place of its own; `selection.keep` names one of a section."""
    dumped = settings.model_dump()
    for key, value in found.items():
        *sections, name = key.split(".")
        place = dumped
        for section in sections:
            place = place[section]
        if name not in place:
            raise KeyError(key)
        place[name] = value
    return type(settings).model_validate(dumped)


def value_of(settings: AnyModel, key: str) -> Any:
    """What the settings say under a key, as in `changed`."""
    value: Any = settings.model_dump()
    for name in key.split("."):
        value = value[name]
    return value


def fault(search: Search, models: Mapping[str, AnyModel]) -> str | None:
    """What does not fit between a search and the models, as `key: what`; None if nothing."""
    if search.model is None:
        return None
    if search.model not in models:
        return f"search.model: there is no model {search.model!r}; choose one of {', '.join(models)}"
    settings = models[search.model]
    for key, dimension in search.space.items():
        if key in ("kind", "preset"):
            return f"search.space.{key}: a search changes the settings of one kind of model; leave it out"
        for value in dimension.extremes:
            try:
                changed(settings, {key: value})
            except (KeyError, TypeError):
                return f"search.space.{key}: {settings.kind} has no such setting; conf/base.yml lists them under kinds"
            except ValidationError as error:
                message = error.errors()[0]["msg"]
                return f"search.space.{key}: {value!r} does not fit ({message[:1].lower()}{message[1:]})"
    return None
