"""The whole configuration, and what must hold between its sections."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, model_validator

from eraflow.config import ensembles
from eraflow.config import search as searches
from eraflow.config.base import Section
from eraflow.config.dates import Dates
from eraflow.config.ensembles import Ensemble, EnsembleSettings
from eraflow.config.explain import Explain
from eraflow.config.models import AnyModel, Kinds, ModelName
from eraflow.config.monitor import Monitor
from eraflow.config.network import Network, NetworkSettings
from eraflow.config.retrain import Replay, Retrain
from eraflow.config.scoring import Scoring, Tracking
from eraflow.config.search import Search
from eraflow.config.sections import (
    Classic,
    ClassicSynthetic,
    Features,
    Prices,
    Quality,
    Run,
    Sampling,
    Signals,
    Synthetic,
    Tables,
    Targets,
    Validation,
)
from eraflow.config.submit import Submit


class Config(Section):
    """Everything that a job can be told."""

    run: Run
    tables: Tables
    source: Literal["synthetic", "prices", "classic", "classic_synthetic"]
    prices: Prices
    dates: Dates
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
    explain: Explain
    tracking: Tracking
    kinds: Kinds  # before `models`, which are completed by them: a fault in them is told first
    presets: dict[str, dict[str, Any]]
    feature_network: NetworkSettings
    models: dict[ModelName, AnyModel]
    ensemble: EnsembleSettings  # before `ensembles`, for the same reason
    ensembles: dict[ModelName, Ensemble]
    search: Search
    submit: Submit
    monitor: Monitor
    retrain: Retrain
    replay: Replay

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
    def _signals_exist(self) -> Config:
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
                available = ", ".join(self.targets.names)
                raise ValueError(f"{key}: there is no target {target!r}; choose one of {available}")
        return self

    @model_validator(mode="after")
    def _submission_is_a_model(self) -> Config:
        if fault := ensembles.fault(self.ensembles, self.models):
            raise ValueError(fault)
        if self.submission not in (*self.models, *self.ensembles):
            available = ", ".join((*self.models, *self.ensembles))
            raise ValueError(f"run.submission: there is no model {self.submission!r}; choose one of {available}")
        return self

    @model_validator(mode="after")
    def _search_fits_its_model(self) -> Config:
        if fault := searches.fault(self.search, self.models):
            raise ValueError(fault)
        return self

    @property
    def submission(self) -> str:
        """The model or ensemble whose live predictions are the submission."""
        return self.run.submission or next(iter(self.models))

    def resolved(self) -> dict[str, Any]:
        """The whole configuration as plain values, for the run manifest."""
        return self.model_dump(mode="json")

    def decisive(self) -> dict[str, Any]:
        """What of it decides results: defaults of models and ensembles do so through these only."""
        idle = ["kinds", "presets", "feature_network", "ensemble", "explain", "submit", "monitor", "retrain", "replay"]
        idle += [] if self.search.model else ["search"]
        return {key: value for key, value in self.resolved().items() if key not in idle}


def section_fields() -> dict[str, tuple[str, ...]]:
    """The sections, in the order of base.yml, each with its keys; none where names are the user's own."""
    kinds = {name: field.annotation for name, field in Config.model_fields.items()}
    return {
        name: tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Section) else ()
        for name, kind in kinds.items()
    }


def fingerprint(*parts: object) -> str:
    """16 hex digits that change whenever any of the parts (models, or plain values that JSON can hold) changes."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
