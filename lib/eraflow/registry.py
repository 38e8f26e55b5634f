"""The model that a part of the configuration describes."""

from __future__ import annotations

from pathlib import Path

from eraflow.config.models import (
    AnyModel,
    L2gmom,
    LevelsModel,
    LightGbm,
    Linear,
    RandomForest,
    Sequences,
    SparkForest,
    Tokens,
)
from eraflow.models.base import Model
from eraflow.models.expansion import FeatureNetwork
from eraflow.models.l2gmom import L2gmomModel
from eraflow.models.lightgbm import LightGbmModel
from eraflow.models.linear import LinearModel
from eraflow.models.members import Members, Unfitted
from eraflow.models.random_forest import RandomForestModel
from eraflow.models.selection import Selecting
from eraflow.models.sequence import SequenceModel
from eraflow.models.spark_forest import SparkForestModel
from eraflow.models.tokens import TokensModel


def build(settings: AnyModel, target: str, seed: int, work: Path | None = None) -> Members:
    """A model of `settings`; it learns `target` unless they name others. Its fits have the seeds from `seed` on.

    In a folder `work` networks keep how far they are, so that a fit that was cut short goes on there.
    """
    targets = settings.targets or (target,)
    seeds = range(seed, seed + settings.seeds)
    each = tuple(
        Unfitted(_kind(settings, one, work / f"{name}-{one}" if work else None), name, one, _network(settings, one))
        for name in targets
        for one in seeds
    )
    return Members(each, settings.features, _selecting(settings, seed))


def _selecting(settings: AnyModel, seed: int) -> Selecting | None:
    if settings.selection.by == "all":
        return None
    return Selecting(settings.selection, settings.named_features, seed)


def _network(settings: AnyModel, seed: int) -> FeatureNetwork | None:
    if isinstance(settings, LevelsModel) and settings.network:
        return FeatureNetwork(**settings.network.model_dump(), seed=seed)
    return None


def _kind(settings: AnyModel, seed: int, work: Path | None) -> Model:
    match settings:
        case LightGbm():
            return LightGbmModel(settings, seed)
        case RandomForest():
            return RandomForestModel(settings, seed)
        case SparkForest():
            return SparkForestModel(settings, seed)
        case Linear():
            return LinearModel(settings)
        case Sequences():
            return SequenceModel(settings, seed, work)
        case Tokens():
            return TokensModel(settings, seed, work)
        case L2gmom():
            return L2gmomModel(settings, seed, work)
