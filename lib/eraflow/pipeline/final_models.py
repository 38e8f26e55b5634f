"""The models and ensembles of a finished run as `predict` needs them: loaded, and told apart by hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eraflow import models
from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.models import Fitted, FittedBlend
from eraflow.models.member import Names
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.live import FINAL
from eraflow.session import local_path
from eraflow.whole_files import sha256_of


@dataclass(frozen=True)
class FinalModels:
    """By name what a finished run has fitted last, an ensemble after its models."""

    folder: RunFolder
    fitted: Mapping[str, Fitted | FittedBlend]

    @classmethod
    def of(cls, config: Config) -> FinalModels:
        """InputError where one is gone, or is of another version of eraflow."""
        folder = RunFolder(local_path(config.run.dir, "run.dir") / config.run.name)
        names = (*config.models, *config.ensembles)
        found = cls(folder, {name: models.load(folder.model(name, FINAL)) for name in names})
        if any("data" not in fitted.facts for fitted in found.models):
            raise InputError(
                f"{folder.path}: an earlier version of eraflow saved its models, without what live rows are held to; "
                "train the run anew."
            )
        for name, fitted in found.fitted.items():
            fitted.refuse_others(found.names, str(folder.model(name, FINAL)))
        return found

    @property
    def models(self) -> list[Fitted]:
        """Those that are no ensembles."""
        return [fitted for fitted in self.fitted.values() if isinstance(fitted, Fitted)]

    @property
    def first(self) -> Fitted:
        """Any of the models: all have learned from the same table."""
        return self.models[0]

    @property
    def names(self) -> Names:
        """The features of the rows that they predict."""
        return self.first.inputs

    @property
    def data(self) -> Mapping[str, Any]:
        """What they tell of the data that they have learned from (`Dataset.model_facts`)."""
        facts: Mapping[str, Any] = self.first.facts["data"]
        return facts

    @property
    def follow_tickers(self) -> bool:
        """Whether one of them reads the weeks before, too."""
        return any(model.follows_tickers for model in self.models)

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """Of each the SHA-256 of the files that it is loaded from; of an ensemble its models' count too."""
        found: dict[str, str] = {}
        for name, fitted in self.fitted.items():
            members = [found[model] for model in fitted.models] if isinstance(fitted, FittedBlend) else []
            found[name] = hashlib.sha256(
                "".join([_hash(self.folder.model(name, FINAL)), *members]).encode()
            ).hexdigest()
        return found


def _hash(place: Path) -> str:
    """Of all files but the predictions that stand beside the model."""
    digest = hashlib.sha256()
    for file in sorted(path for path in place.rglob("*") if path.is_file() and path.stem != "live"):
        digest.update(f"{file.relative_to(place)} {sha256_of(file)}\n".encode())
    return digest.hexdigest()
