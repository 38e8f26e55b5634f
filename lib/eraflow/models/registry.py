"""The model that a part of the configuration describes."""

from __future__ import annotations

from eraflow.config_models import AnyModel
from eraflow.models.base import Model
from eraflow.models.lightgbm import LightGbmModel
from eraflow.models.members import Member, Members


def build(settings: AnyModel, target: str, seed: int) -> Model:
    """A model of `settings`; it learns `target` unless they name others. Its fits have the seeds from `seed` on."""
    targets = settings.targets or (target,)
    seeds = range(seed, seed + settings.seeds)
    return Members(tuple(Member(LightGbmModel(settings, own), name, own) for name in targets for own in seeds))
