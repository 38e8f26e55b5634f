"""The model that a part of the configuration describes."""

from __future__ import annotations

from dataclasses import replace
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
from eraflow.models import selection
from eraflow.models.base import Fitted, Model, Training
from eraflow.models.chosen import ChosenFeatures, FittedChosen
from eraflow.models.expanded import FittedNetworkModel, NetworkModel, load_network
from eraflow.models.expansion import FeatureNetwork
from eraflow.models.l2gmom import FittedL2gmom, L2gmomModel
from eraflow.models.lightgbm import FittedLightGbm, LightGbmModel
from eraflow.models.linear import FittedLinear, LinearModel
from eraflow.models.members import FittedMembers, Member, Members
from eraflow.models.random_forest import RandomForestModel
from eraflow.models.selection import FittedSelection, Selecting
from eraflow.models.sequence import FittedSequence, SequenceModel
from eraflow.models.spark_forest import FittedSparkForest, SparkForestModel
from eraflow.models.tokens import FittedTokens, TokensModel


def build(settings: AnyModel, target: str, seed: int, work: Path | None = None) -> Model:
    """A model of `settings`; it learns `target` unless they name others. Its fits have the seeds from `seed` on.

    In a folder `work` networks keep how far they are, so that a fit that was cut short goes on there.
    """
    targets = settings.targets or (target,)
    seeds = range(seed, seed + settings.seeds)
    each = tuple(
        Member(_member(settings, own, work / f"{name}-{own}" if work else None), name, own)
        for name in targets
        for own in seeds
    )
    members = Members(each, _selecting(settings, seed))
    return ChosenFeatures(members, settings.features) if settings.features else members


def load(settings: AnyModel, folder: Path, training: Training) -> Fitted:
    """The model of `settings` that was saved in `folder`, to predict rows of this training table.

    InputError where it was trained on other features.
    """
    if settings.features:
        taken = training.taken(settings.features)
        return FittedChosen(_all_loaded(settings, folder, training.narrowed(taken)), taken)
    return _all_loaded(settings, folder, training)


def _all_loaded(settings: AnyModel, folder: Path, training: Training) -> Fitted:
    members = sorted(path.parent.name for path in folder.glob("*/model.json"))
    if members:
        return FittedMembers({name: _member_loaded(settings, folder / name, training) for name in members})
    return _member_loaded(settings, folder, training)


def _selecting(settings: AnyModel, seed: int) -> Selecting | None:
    if settings.selection.by == "all":
        return None
    return Selecting(settings.selection, settings.named_features, seed)


def _member(settings: AnyModel, seed: int, work: Path | None) -> Model:
    model = _kind(settings, seed, work)
    if isinstance(settings, LevelsModel) and settings.network:
        return NetworkModel(model, FeatureNetwork(**settings.network.model_dump(), seed=seed))
    return model


def _member_loaded(settings: AnyModel, folder: Path, training: Training) -> Fitted:
    if settings.selection.by == "all":
        return _network_loaded(settings, folder, training)
    chosen = selection.saved(folder, training)
    fitted = _network_loaded(settings, folder, training.narrowed(chosen.taken))
    return FittedSelection(fitted, chosen.taken, chosen)


def _network_loaded(settings: AnyModel, folder: Path, training: Training) -> Fitted:
    if isinstance(settings, LevelsModel) and settings.network:
        network = load_network(folder, training)
        names = (*training.feature_names, *network.names)
        return FittedNetworkModel(_loaded(settings, folder, replace(training, feature_names=names)), network)
    return _loaded(settings, folder, training)


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


def _loaded(settings: AnyModel, folder: Path, training: Training) -> Fitted:
    match settings:
        case LightGbm() | RandomForest():
            return FittedLightGbm.load(folder, training)
        case SparkForest():
            return FittedSparkForest.load(folder, training)
        case Linear():
            return FittedLinear.load(folder, training)
        case Sequences():
            return FittedSequence.load(folder, training)
        case Tokens():
            return FittedTokens.load(folder, training)
        case L2gmom():
            return FittedL2gmom.load(folder, training)
