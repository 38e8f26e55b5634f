"""What models can be told: each kind's settings, and how a model's own are laid over a preset's and its kind's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from eraflow.config.base import Fraction, PositiveInt, Section
from eraflow.errors import InputError


class Model(Section):
    """What every model can be told."""

    preset: str | None
    targets: tuple[str, ...]
    seeds: PositiveInt

    @property
    def watched_eras(self) -> int:
        """Eras at the end of a training part that are kept from it, to tell when to stop; 0 = none."""
        return 0

    @property
    def named_features(self) -> tuple[str, ...]:
        """The features that it names, which must be there."""
        return ()


class LightGbm(Model):
    """Settings of LightGBM, under its own names where they are the field's."""

    kind: Literal["lightgbm"]
    trees: PositiveInt
    learning_rate: Fraction
    max_depth: int
    num_leaves: Annotated[int, Field(ge=2)]
    feature_fraction: Fraction
    bagging_fraction: Fraction
    bagging_freq: Annotated[int, Field(ge=0)]
    min_data_in_leaf: PositiveInt
    early_stopping_rounds: Annotated[int, Field(ge=0)]
    early_stopping_eras: PositiveInt
    objective: Literal["regression", "lambdarank", "rank_xendcg"]
    monotone: dict[str, Literal[-1, 1]]
    interactions: tuple[tuple[str, ...], ...]

    @property
    def watched_eras(self) -> int:
        return self.early_stopping_eras if self.early_stopping_rounds else 0

    @property
    def named_features(self) -> tuple[str, ...]:
        return (*self.monotone, *(name for group in self.interactions for name in group))

    @property
    def ranks(self) -> bool:
        """Whether it learns the order of an era's rows, not their target."""
        return self.objective != "regression"


class RandomForest(Model):
    """Settings of a random forest, grown by LightGBM."""

    kind: Literal["random_forest"]
    trees: PositiveInt
    max_depth: int
    num_leaves: Annotated[int, Field(ge=2)]
    feature_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    bagging_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    min_data_in_leaf: PositiveInt


class Linear(Model):
    """Settings of ridge regression."""

    kind: Literal["linear"]
    penalty: Annotated[float, Field(gt=0.0)]


class Sequences(Model):
    """Settings of networks over a ticker's last weeks."""

    kind: Literal["lstm", "transformer"]
    length: PositiveInt
    width: Annotated[int, Field(ge=4, multiple_of=4)]
    layers: PositiveInt
    epochs: PositiveInt
    eras_per_step: PositiveInt
    learning_rate: Fraction
    weight_decay: Annotated[float, Field(ge=0.0)]
    early_stopping_epochs: PositiveInt
    early_stopping_eras: PositiveInt

    @property
    def watched_eras(self) -> int:
        return self.early_stopping_eras


class L2gmom(Model):
    """Settings of a graph learner with a linear head."""

    kind: Literal["l2gmom"]
    length: PositiveInt
    degree: Annotated[float, Field(ge=1.0)]
    layers: PositiveInt
    shared: bool
    graph: Literal["learned", "fixed", "none"]
    loss: Literal["correlation", "sharpe"]
    epochs: PositiveInt
    eras_per_step: Annotated[int, Field(ge=2)]
    learning_rate: Fraction
    weight_decay: Annotated[float, Field(ge=0.0)]
    early_stopping_epochs: PositiveInt
    early_stopping_eras: PositiveInt

    @property
    def watched_eras(self) -> int:
        return self.early_stopping_eras


AnyModel = Annotated[LightGbm | RandomForest | Linear | Sequences | L2gmom, Field(discriminator="kind")]
# Becomes a folder `model=NAME`, from which Spark would read a number or a date as one.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class Kinds(Section):
    """The defaults of each kind of model."""

    lightgbm: LightGbm
    random_forest: RandomForest
    linear: Linear
    lstm: Sequences
    transformer: Sequences
    l2gmom: L2gmom


def expanded(layers: Mapping[str, Any]) -> dict[str, Any]:
    """The merged configuration with every model's settings complete: its own over its preset's over its kind's.

    A model that is null is left out. InputError: a kind or a preset that there is not, or no model at all.
    """
    if not all(isinstance(layers.get(key), Mapping) for key in ("models", "kinds", "presets")):
        return dict(layers)  # what is wrong there is told by the validation
    models, kinds, presets = layers["models"], layers["kinds"], layers["presets"]
    own = {name: settings for name, settings in models.items() if settings is not None}
    if not own:
        raise InputError("models: no model is left; name at least one, e.g. --set models.lightgbm.kind=lightgbm.")
    return {**layers, "models": {name: _complete(name, told, kinds, presets) for name, told in own.items()}}


def _complete(name: str, own: Any, kinds: Mapping[str, Any], presets: Mapping[str, Any]) -> Any:
    if not isinstance(own, Mapping):
        return own
    preset = own.get("preset")
    if preset is not None and preset not in presets:
        raise InputError(f"models.{name}.preset: there is no preset {preset!r}; choose one of {', '.join(presets)}.")
    told = {**(presets[preset] if preset is not None else {}), **own}
    if told.get("kind") not in kinds:
        raise InputError(
            f"models.{name}.kind: there is no kind of model {told.get('kind')!r}; choose one of {', '.join(kinds)}."
        )
    return {**kinds[told["kind"]], **told}


def untagged(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The place of a fault without the kind, by which pydantic tells one sort of model from another."""
    return (
        (*place[:2], *place[3:])
        if len(place) > 2 and place[0] == "models" and place[2] in Kinds.model_fields
        else place
    )


def places(place: tuple[int | str, ...], layers: Mapping[str, Any]) -> Iterator[tuple[int | str, ...]]:
    """Where a setting of a model may have been given: by the model itself, its preset, its kind."""
    yield place
    if len(place) > 2 and place[0] == "models":
        model = layers["models"][place[1]]
        yield ("presets", model.get("preset"), *place[2:])
        yield ("kinds", model.get("kind"), *place[2:])


def model_keys(place: tuple[int | str, ...]) -> Iterator[str]:
    """The keys that the model at `place` may have, whatever its kind."""
    if place[0] in ("models", "presets") and len(place) > 1:
        for kind in Kinds.model_fields.values():
            assert kind.annotation is not None
            yield from (f"{place[0]}.{place[1]}.{name}" for name in kind.annotation.model_fields)
