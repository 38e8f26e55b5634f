"""What ensembles can be told: which models they blend, by which weights, and what the blend is made neutral to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from eraflow.config.base import PositiveInt, Section


class EnsembleSettings(Section):
    """What an ensemble does with its models."""

    weights: Literal["equal", "inverse_variance", "non_negative", "greedy", "ridge"] | dict[str, float]
    min_eras: PositiveInt
    rounds: PositiveInt
    penalty: Annotated[float, Field(gt=0.0)]
    neutralise: Annotated[float, Field(ge=0.0, le=1.0)]
    neutral_to: tuple[str, ...]
    riskiest: PositiveInt | None

    @model_validator(mode="after")
    def _neutralisation_is_used(self) -> EnsembleSettings:
        if self.neutral_to and not self.neutralise:
            raise ValueError("neutral_to names features, but neutralise is 0")
        if self.riskiest and not self.neutralise:
            raise ValueError("riskiest is set, but neutralise is 0")
        return self


class Ensemble(EnsembleSettings):
    """One blend of models, or one model made neutral."""

    models: Annotated[tuple[str, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _weights_fit(self) -> Ensemble:
        if len(set(self.models)) < len(self.models):
            raise ValueError("a model is named twice")
        if isinstance(self.weights, dict):
            if set(self.weights) != set(self.models):
                raise ValueError("weights must name each of the ensemble's models, and no other")
            if not any(self.weights.values()):
                raise ValueError("weights are all 0")
        return self


def expanded(layers: Mapping[str, Any]) -> dict[str, Any]:
    """The merged configuration with every ensemble's settings complete; one that is null is left out.

    One that names no models has all of them.
    """
    defaults, ensembles, models = layers.get("ensemble"), layers.get("ensembles"), layers.get("models")
    if not isinstance(defaults, Mapping) or not isinstance(ensembles, Mapping) or not isinstance(models, Mapping):
        return dict(layers)  # what is wrong there is told by the validation
    whole = {"models": list(models), **defaults}
    given = {name: settings for name, settings in ensembles.items() if settings is not None}
    return {
        **layers,
        "ensembles": {
            name: {**whole, **settings} if isinstance(settings, Mapping) else settings
            for name, settings in given.items()
        },
    }


def fault(ensembles: Mapping[str, Ensemble], models: Mapping[str, object]) -> str | None:
    """What does not fit between ensembles and models, as `key: what`; None if nothing."""
    for name, ensemble in ensembles.items():
        if name in models:
            return f"ensembles.{name}: there is a model of this name; choose another name"
        if unknown := [model for model in ensemble.models if model not in models]:
            return f"ensembles.{name}.models: there is no model {unknown[0]!r}; choose from {', '.join(models)}"
    return None
