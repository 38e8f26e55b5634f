"""The model that a part of the configuration describes."""

from __future__ import annotations

from pathlib import Path

from eraflow.config.models import AnyModel, L2gmom, LightGbm, Linear, RandomForest, Sequences
from eraflow.models.base import Fitted, Model, Training
from eraflow.models.l2gmom import FittedL2gmom, L2gmomModel
from eraflow.models.lightgbm import FittedLightGbm, LightGbmModel
from eraflow.models.linear import FittedLinear, LinearModel
from eraflow.models.members import FittedMembers, Member, Members
from eraflow.models.random_forest import RandomForestModel
from eraflow.models.sequence import FittedSequence, SequenceModel


def build(settings: AnyModel, target: str, seed: int) -> Model:
    """A model of `settings`; it learns `target` unless they name others. Its fits have the seeds from `seed` on."""
    targets = settings.targets or (target,)
    seeds = range(seed, seed + settings.seeds)
    return Members(tuple(Member(_member(settings, own), name, own) for name in targets for own in seeds))


def load(settings: AnyModel, folder: Path, training: Training) -> Fitted:
    """The model of `settings` that was saved in `folder`, to predict rows of this training table.

    InputError where it was trained on other features.
    """
    members = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if members:
        return FittedMembers({name: _loaded(settings, folder / name, training) for name in members})
    return _loaded(settings, folder, training)


def _member(settings: AnyModel, seed: int) -> Model:
    match settings:
        case LightGbm():
            return LightGbmModel(settings, seed)
        case RandomForest():
            return RandomForestModel(settings, seed)
        case Linear():
            return LinearModel(settings)
        case Sequences():
            return SequenceModel(settings, seed)
        case L2gmom():
            return L2gmomModel(settings, seed)


def _loaded(settings: AnyModel, folder: Path, training: Training) -> Fitted:
    match settings:
        case LightGbm() | RandomForest():
            return FittedLightGbm.load(folder, training)
        case Linear():
            return FittedLinear.load(folder, training)
        case Sequences():
            return FittedSequence.load(folder, training)
        case L2gmom():
            return FittedL2gmom.load(folder, training)
