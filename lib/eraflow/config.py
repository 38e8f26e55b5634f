"""The configuration: frozen models of conf/*.yml. conf/base.yml holds every default; an unknown key is an error."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from eraflow import config_ensembles, config_models
from eraflow.config_ensembles import Ensemble, EnsembleSettings
from eraflow.config_models import AnyModel, Fraction, Kinds, ModelName, PositiveInt, Section
from eraflow.config_network import Network
from eraflow.config_scoring import Scoring, Tracking
from eraflow.errors import InputError


class Run(Section):
    """Where a run goes, and its seed."""

    # The name becomes a folder and may come from a command line, so it can hold no path.
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    dir: str
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    submission: str | None


class Tables(Section):
    """Where the Delta tables are."""

    root: str
    era_block: PositiveInt


class PriceColumns(Section):
    """The names that the price files use."""

    ticker: str
    date: str
    open: str
    high: str
    low: str
    close: str
    adjusted_close: str
    volume: str
    sector: str | None
    country: str | None
    currency: str | None


class Prices(Section):
    """Daily prices from files."""

    path: str | None
    columns: PriceColumns
    min_tickers: PositiveInt
    universe: str | None
    rates: str | None
    note: str | None


class Signals(Section):
    """Numerai Signals' own files."""

    path: str | None
    mapping: str | None
    features: tuple[str, ...]

    @model_validator(mode="after")
    def _used(self) -> Signals:
        if len(set(self.features)) < len(self.features):
            raise ValueError("a feature is named twice")
        if self.path is None and (self.features or self.mapping):
            raise ValueError("features or a mapping are named, but no path")
        return self


Policy = Literal["keep", "mask", "drop"]


class Quality(Section):
    """What becomes of suspicious prices, by check."""

    gap: Literal["keep", "mask"]
    zero_volume: Policy
    stale: Policy
    jump: Policy
    adjustment: Policy
    contradiction: Policy


class Synthetic(Section):
    """An invented universe."""

    sectors: PositiveInt
    tickers_per_sector: Annotated[int, Field(ge=3)]
    days: PositiveInt
    start: date
    momentum: Annotated[float, Field(ge=0.0, le=0.5)]
    network: Annotated[float, Field(ge=0.0, le=0.5)]
    seed: Annotated[int, Field(ge=0)]


class Classic(Section):
    """Numerai Classic's files."""

    path: str | None
    dataset: str | None
    features: str


class ClassicSynthetic(Section):
    """An invented data set in the shape of Numerai Classic."""

    train_eras: PositiveInt
    validation_eras: PositiveInt
    rows_per_era: Annotated[int, Field(ge=20)]
    features: PositiveInt
    signal: Annotated[float, Field(ge=0.0)]
    seed: Annotated[int, Field(ge=0)]


class Features(Section):
    """Which features are built, and how they are ranked."""

    set: str
    ranks: Annotated[tuple[Literal["universe", "sector", "country", "neutral"], ...], Field(min_length=1)]
    neutral_to: tuple[str, ...]
    interactions: tuple[tuple[str, str], ...]

    @model_validator(mode="after")
    def _named_once(self) -> Features:
        named = (self.ranks, self.neutral_to, [tuple(sorted(pair)) for pair in self.interactions])
        if any(len(set(names)) < len(names) for names in named):
            raise ValueError("a rank, an exposure or an interaction is named twice")
        return self


class Targets(Section):
    """Which returns are learned, and what they are made neutral to."""

    horizons: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    lag: Annotated[int, Field(ge=0)]
    main: str
    signals: tuple[str, ...]
    exposures: tuple[str, ...]

    @property
    def names(self) -> dict[str, int]:
        """Target name -> horizon in trading days."""
        own = {f"target_{kind}_{h}": h for h in self.horizons for kind in ("raw", "sector", "neutral")}
        return own | {name: int(name.rpartition("_")[2]) for name in self.signals}

    @model_validator(mode="after")
    def _signals_have_a_horizon(self) -> Targets:
        ends = tuple(f"_{horizon}" for horizon in self.horizons)
        for name in self.signals:
            if not (name.startswith("target_") and name.endswith(ends)):
                raise ValueError(
                    f"signals holds {name!r}; name targets that end with one of {', '.join(ends)} (horizons)"
                )
        return self

    @model_validator(mode="after")
    def _named_once(self) -> Targets:
        if len(set(self.horizons)) < len(self.horizons) or len(set(self.exposures)) < len(self.exposures):
            raise ValueError("a horizon or an exposure is named twice")
        return self


class Validation(Section):
    """How eras are split."""

    splitter: Literal["walk_forward", "blocked_kfold", "combinatorial_purged"]
    folds: Annotated[int, Field(ge=1)]
    test_blocks: PositiveInt
    min_train_eras: PositiveInt
    window: PositiveInt | None
    purge: Annotated[int, Field(ge=0)] | None
    embargo: Annotated[int, Field(ge=0)]
    holdout: Annotated[int, Field(ge=0)]


class Sampling(Section):
    """What models learn from."""

    every: PositiveInt
    offset: Annotated[int, Field(ge=0)]
    recent: PositiveInt | None
    rows: Fraction

    @model_validator(mode="after")
    def _offset_is_one_of_every(self) -> Sampling:
        if self.offset >= self.every:
            raise ValueError(f"offset is {self.offset}; it must be below every={self.every}")
        return self

    def eras(self, eras: Sequence[int]) -> list[int]:
        """Those of the sorted eras that are learned from: by their numbers, so that folds agree on them."""
        recent = eras[-self.recent :] if self.recent else eras
        return [era for era in recent if era % self.every == self.offset]

    def __str__(self) -> str:
        told = [f"era numbers that leave {self.offset} when divided by {self.every}"] if self.every > 1 else []
        told += [f"the last {self.recent} eras"] if self.recent else []
        told += [f"{self.rows:.0%} of the rows"] if self.rows < 1.0 else []
        return "models learn from " + (", ".join(told) or "all rows")


class Config(Section):
    """Everything that a job can be told."""

    run: Run
    tables: Tables
    source: Literal["synthetic", "prices", "classic", "classic_synthetic"]
    prices: Prices
    signals: Signals
    quality: Quality
    synthetic: Synthetic
    classic: Classic
    classic_synthetic: ClassicSynthetic
    features: Features
    targets: Targets
    validation: Validation
    sampling: Sampling
    network: Network
    scoring: Scoring
    tracking: Tracking
    kinds: Kinds  # before `models`, which are completed by them: a fault in them is told first
    presets: dict[str, dict[str, Any]]
    models: dict[ModelName, AnyModel]
    ensemble: EnsembleSettings  # before `ensembles`, for the same reason
    ensembles: dict[ModelName, Ensemble]

    @property
    def is_classic(self) -> bool:
        """Whether the tournament is Numerai Classic, not Signals."""
        return self.source in ("classic", "classic_synthetic")

    @property
    def learned_targets(self) -> tuple[str, ...]:
        """`targets.main`, which models are scored on, and what they learn beside or instead of it."""
        named = (target for model in self.models.values() for target in model.targets)
        return tuple(dict.fromkeys([self.targets.main, *named]))

    @model_validator(mode="after")
    def _signals_are_there(self) -> Config:
        if self.targets.signals and self.signals.path is None:
            raise ValueError("targets.signals: names targets, but signals.path no folder")
        return self

    @model_validator(mode="after")
    def _networks_have_prices(self) -> Config:
        if self.is_classic and self.network.relearn != "never":
            raise ValueError("network.relearn: networks over tickers are learned from prices; with Classic say never")
        return self

    @model_validator(mode="after")
    def _targets_are_made(self) -> Config:
        # Which targets Classic's files have is known once they are read.
        if self.is_classic:
            return self
        named = [("targets.main", self.targets.main)]
        named += [(f"models.{name}.targets", target) for name, model in self.models.items() for target in model.targets]
        for key, target in named:
            if target not in self.targets.names:
                known = ", ".join(self.targets.names)
                raise ValueError(f"{key}: there is no target {target!r}; choose one of {known}")
        return self

    @model_validator(mode="after")
    def _submission_is_a_model(self) -> Config:
        if fault := config_ensembles.fault(self.ensembles, self.models):
            raise ValueError(fault)
        if self.submission not in (*self.models, *self.ensembles):
            known = ", ".join((*self.models, *self.ensembles))
            raise ValueError(f"run.submission: there is no model {self.submission!r}; choose one of {known}")
        return self

    @property
    def submission(self) -> str:
        """The model or ensemble whose live predictions are the submission."""
        return self.run.submission or next(iter(self.models))

    def resolved(self) -> dict[str, Any]:
        """The whole configuration as plain values, for the run manifest."""
        return self.model_dump(mode="json")

    def decisive(self) -> dict[str, Any]:
        """What of it decides results: kinds, presets and `ensemble` do so through models and ensembles only."""
        return {key: value for key, value in self.resolved().items() if key not in ("kinds", "presets", "ensemble")}


def fingerprint(*parts: object) -> str:
    """16 hex digits that change whenever any of the parts (models, or plain values that JSON can hold) changes."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def conf_dir() -> Path:
    """The folder of base.yml: inside an installed wheel, else the checkout's conf/."""
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "conf"


def load(overlays: Sequence[str], settings: Sequence[str]) -> Config:
    """base.yml, then the overlays in their order (conf/demo.yml if there is none), then `dotted.key=value` settings.

    Raises InputError for a file that is missing or no YAML, an unknown key, or a value that does not fit.
    """
    layers = [(str(path), _read(path)) for path in (conf_dir() / "base.yml", *map(_find, overlays or ["demo.yml"]))]
    layers += [(f"--set {setting}", _setting(setting)) for setting in settings]
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = _merge(merged, layer)
    merged = config_ensembles.expanded(config_models.expanded(merged))
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise InputError(_explain(error, layers, merged)) from None


def _find(name: str) -> Path:
    shipped = [conf_dir() / Path(name).name] if str(Path(name).parent) in {".", "conf"} else []
    for path in (Path(name), *shipped):
        if path.is_file():
            return path
    known = ", ".join(sorted(f"conf/{path.name}" for path in conf_dir().glob("*.yml") if path.name != "base.yml"))
    raise InputError(f"--config {name}: there is no such file; give the path of a YAML file, or one of {known}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        layer = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path} is no valid YAML: {line}{error.problem}; conf/base.yml shows how it looks.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InputError(f"{path} is no YAML file: it holds something other than UTF-8 text.") from None
    if not isinstance(layer, dict):
        raise InputError(f"{path} must hold keys and values, as conf/base.yml does.")
    return layer


def _setting(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {text}: write it as dotted.key=value, e.g. --set run.seed=7.")
    try:
        layer: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        layer = value  # a path or a name that YAML cannot read is meant as it stands
    for part in reversed(key.split(".")):
        layer = {part: layer}
    return dict(layer)


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _explain(error: ValidationError, layers: Sequence[tuple[str, Mapping[str, Any]]], merged: Mapping[str, Any]) -> str:
    """One sentence for the first fault: the key, the layer that set it, what is wrong, what to do."""
    fault = error.errors()[0]
    place = config_models.untagged(tuple(part for part in fault["loc"] if part != "[key]"))
    what = fault["msg"].removeprefix("Value error, ")
    if not place:  # a fault between sections: what is told begins with the key
        named, _, what = what.partition(": ")
        place = tuple(named.split("."))
    origin, place = next(
        (
            (name, at)
            for at in config_models.places(place, merged)
            for name, layer in reversed(layers)
            if _holds(layer, at)
        ),
        (layers[0][0], place),
    )
    key = ".".join(str(part) for part in place)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, [*_known_keys(Config), *config_models.model_keys(place)], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "conf/base.yml lists every key."
        return f"{origin}: unknown config key {key}; {hint}"
    if fault["type"] == "model_type":
        return f"{origin}: {key} is a section and takes no value; set one of its keys, as conf/base.yml does."
    given = fault.get("input")
    shown = f" (given: {given!r})" if fault["loc"] and isinstance(given, str | int | float | list | None) else ""
    return f"{origin}: {key}: {what[:1].lower()}{what[1:]}{shown}; conf/base.yml shows what it takes."


def _holds(layer: Mapping[str, Any], place: Sequence[str | int]) -> bool:
    value: Any = layer
    for part in place:
        if not isinstance(value, Mapping) or part not in value:
            return isinstance(value, list | tuple)
        value = value[part]
    return True


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _known_keys(kind, f"{prefix}{name}.")
