"""What models can be told: each kind's settings, and how a model's own are laid over a preset's and its kind's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from eraflow.config.base import Fraction, PositiveInt, Section
from eraflow.config.network import ModelNetwork
from eraflow.errors import InputError


class Selection(Section):
    """Which features a model learns from."""

    by: Literal["all", "stability", "exposure", "shap", "permutation"]
    keep: PositiveInt | Annotated[float, Field(gt=0.0, lt=1.0)]
    blocks: Annotated[int, Field(ge=2)]
    trees: PositiveInt

    def count(self, features: int) -> int:
        """How many of so many features are kept. InputError where that is all of them."""
        count = self.keep if isinstance(self.keep, int) else max(1, round(self.keep * features))
        if count >= features:
            raise InputError(
                f"model: selection.keep={self.keep} leaves out none of {features} features; lower it, or say by=all."
            )
        return count

    def __str__(self) -> str:
        amount = f"{self.keep} features" if isinstance(self.keep, int) else f"{self.keep:.0%} of the features"
        return f"{amount} by {self.by}" + ("" if self.by == "exposure" else f" over {self.blocks} blocks")


class Model(Section):
    """What every model can be told."""

    preset: str | None
    targets: tuple[str, ...]
    seeds: PositiveInt
    features: tuple[str, ...]
    selection: Selection

    @property
    def without_preset(self) -> Self:
        """The same settings, from whichever preset they came."""
        return self.model_copy(update={"preset": None})

    @property
    def watched_eras(self) -> int:
        """Eras at the end of a training part that are kept from it, to tell when to stop; 0 = none."""
        return 0

    @property
    def learns_by_epochs(self) -> bool:
        """Whether it passes over its eras several times, and watches others for when to stop."""
        return False

    @property
    def follows_tickers(self) -> bool:
        """Whether it reads what a ticker showed in the weeks before."""
        return False

    @property
    def named_features(self) -> tuple[str, ...]:
        """The features that it names, which must be there."""
        return ()


class LevelsModel(Model):
    """What models that read levels, row by row, can be told."""

    network: ModelNetwork | None


Engine = Literal["auto", "native", "synapseml"]


class LightGbm(LevelsModel):
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
    engine: Engine
    monotone: dict[str, Literal[-1, 1]]
    interactions: tuple[tuple[str, ...], ...]

    @model_validator(mode="after")
    def _rankings_do_not_stop_early(self) -> LightGbm:
        # SynapseML 1.1.3 gives LightGBM watched rows without their eras, and it refuses them.
        if self.ranks and self.early_stopping_rounds:
            raise ValueError(f"early_stopping_rounds: objective={self.objective} cannot stop early; say 0")
        return self

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


class RandomForest(LevelsModel):
    """Settings of a random forest, grown by LightGBM."""

    kind: Literal["random_forest"]
    trees: PositiveInt
    max_depth: int
    num_leaves: Annotated[int, Field(ge=2)]
    feature_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    bagging_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    min_data_in_leaf: PositiveInt
    engine: Engine


class SparkForest(Model):
    """Settings of a random forest, grown by Spark ML."""

    kind: Literal["spark_forest"]
    trees: PositiveInt
    max_depth: Annotated[int, Field(ge=1, le=30)]
    feature_fraction: Fraction
    bagging_fraction: Fraction
    min_data_in_leaf: PositiveInt


class Linear(LevelsModel):
    """Settings of ridge regression."""

    kind: Literal["linear"]
    penalty: Annotated[float, Field(gt=0.0)]

    @model_validator(mode="after")
    def _has_no_splits(self) -> Linear:
        if self.network and self.network.chosen_by == "splits":
            raise ValueError("network.chosen_by is splits, and a linear model has none; take graph or random")
        return self


class ByEpochs(Model):
    """What models that pass over their eras several times can be told."""

    epochs: PositiveInt
    eras_per_step: PositiveInt
    learning_rate: Fraction
    weight_decay: Annotated[float, Field(ge=0.0)]
    early_stopping_epochs: PositiveInt
    early_stopping_eras: PositiveInt

    @property
    def watched_eras(self) -> int:
        return self.early_stopping_eras

    @property
    def learns_by_epochs(self) -> bool:
        return True


class Network(ByEpochs):
    """Settings of networks that raise the correlation of an era."""

    width: Annotated[int, Field(ge=4, multiple_of=4)]
    layers: PositiveInt


class Sequences(Network):
    """Settings of networks over a ticker's last weeks."""

    kind: Literal["lstm", "transformer"]
    length: PositiveInt

    @property
    def follows_tickers(self) -> bool:
        return True


class Tokens(Network):
    """Settings of a network over the features of a row."""

    kind: Literal["tokens"]


class L2gmom(ByEpochs):
    """Settings of a graph learner with a linear head."""

    kind: Literal["l2gmom"]
    length: PositiveInt
    degree: Annotated[float, Field(ge=1.0)]
    layers: PositiveInt
    shared: bool
    graph: Literal["learned", "fixed", "none"]
    loss: Literal["correlation", "sharpe"]
    eras_per_step: Annotated[int, Field(ge=2)]

    @property
    def follows_tickers(self) -> bool:
        return True


AnyModel = Annotated[
    LightGbm | RandomForest | SparkForest | Linear | Sequences | Tokens | L2gmom, Field(discriminator="kind")
]
# Becomes a folder `model=NAME`, from which Spark would read a number or a date as one.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class Kinds(Section):
    """The defaults of each kind of model."""

    lightgbm: LightGbm
    random_forest: RandomForest
    spark_forest: SparkForest
    linear: Linear
    lstm: Sequences
    transformer: Sequences
    tokens: Tokens
    l2gmom: L2gmom


def expanded(layers: Mapping[str, Any]) -> dict[str, Any]:
    """The merged configuration with every model's settings complete: its own over its preset's over its kind's.

    So are those of its network, over `feature_network`. A model that is null is left out. InputError: a kind or a
    preset that there is not, or no model at all.
    """
    if not all(isinstance(layers.get(key), Mapping) for key in ("models", "kinds", "presets", "feature_network")):
        return dict(layers)  # what is wrong there is told by the validation
    models, network = layers["models"], layers["feature_network"]
    given = {name: settings for name, settings in models.items() if settings is not None}
    if not given:
        raise InputError("models: no model is left; name at least one, e.g. --set models.lightgbm.kind=lightgbm.")
    return {
        **layers,
        "models": {name: _with_network(_complete(name, settings, layers), network) for name, settings in given.items()},
    }


def _with_network(model: Any, defaults: Mapping[str, Any]) -> Any:
    if isinstance(model, Mapping) and isinstance(given := model.get("network"), Mapping):
        return {**model, "network": {**defaults, **given}}
    return model


def _complete(name: str, model: Any, layers: Mapping[str, Any]) -> Any:
    if not isinstance(model, Mapping):
        return model
    kinds, presets = layers["kinds"], layers["presets"]
    of_kind = kinds.get(model.get("kind"))
    preset = model.get("preset", of_kind.get("preset") if isinstance(of_kind, Mapping) else None)
    if preset is not None and preset not in presets:
        raise InputError(f"models.{name}.preset: there is no preset {preset!r}; choose one of {', '.join(presets)}.")
    settings = _laid(presets[preset] if preset is not None else {}, model)
    if settings.get("kind") not in kinds:
        raise InputError(
            f"models.{name}.kind: there is no kind of model {settings.get('kind')!r}; choose one of {', '.join(kinds)}."
        )
    return _laid(kinds[settings["kind"]], {**settings, "preset": preset})


def _laid(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over others: each by itself, and so those of the selection."""
    laid = {**low, **high}
    base, other = low.get("selection"), high.get("selection")
    return laid | {"selection": {**base, **other}} if isinstance(base, Mapping) and isinstance(other, Mapping) else laid


def untagged(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The place of a fault without the kind, by which pydantic tells one sort of model from another."""
    return (
        (*place[:2], *place[3:])
        if len(place) > 2 and place[0] == "models" and place[2] in Kinds.model_fields
        else place
    )


def places(place: tuple[int | str, ...], layers: Mapping[str, Any]) -> Iterator[tuple[int | str, ...]]:
    """Where a setting of a model may have been given: by itself, its preset, its kind; a network's for all of them."""
    yield place
    if len(place) > 2 and place[0] == "models":
        model = layers["models"][place[1]]
        yield ("presets", model.get("preset"), *place[2:])
        yield ("kinds", model.get("kind"), *place[2:])
        if place[2] == "network":
            yield ("feature_network", *place[3:])


def model_keys(place: tuple[int | str, ...]) -> Iterator[str]:
    """The keys that the model at `place` may have, whatever its kind."""
    if place[0] in ("models", "presets") and len(place) > 1:
        for kind in Kinds.model_fields.values():
            assert kind.annotation is not None
            yield from (f"{place[0]}.{place[1]}.{name}" for name in kind.annotation.model_fields)
        yield from (f"{place[0]}.{place[1]}.network.{name}" for name in ModelNetwork.model_fields)
