"""What a run refuses before anything is built or fitted: settings that this machine or these data cannot follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from eraflow.config import Config
from eraflow.config.models import AnyModel, LevelsModel
from eraflow.errors import InputError
from eraflow.models import sequence
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.explaining import metrics, wanted
from eraflow.pipeline.fitting import Fitting
from eraflow.pipeline.searching import Searching
from eraflow.validation import Fold


def refuse_kinds(config: Config) -> None:
    """Tells a model that this machine cannot learn, or these data, before anything is built."""
    for name, model in config.models.items():
        if model.learns_by_epochs:
            sequence.required(model.kind)
        if config.is_classic and model.follows_tickers:
            raise InputError(
                f"models.{name}: {model.kind} follows tickers through time, which Classic's ids do not tell; take "
                "tokens or another kind."
            )


@dataclass(frozen=True)
class Refusals:
    """What would fail after hours; `seen` are the eras that a search of the final model's settings may look at."""

    config: Config
    data: Dataset
    fitting: Fitting
    searching: Searching
    seen: Sequence[int]

    def check(self, folds: Sequence[Fold]) -> None:
        """Tells what would fail after all models are fitted."""
        names = set(self.data.training.feature_names)
        named = [(f"ensembles.{name}.neutral_to", one.neutral_to) for name, one in self.config.ensembles.items()]
        for key, features in named:
            if unknown := [feature for feature in features if feature not in names]:
                raise InputError(f"{key} names {unknown[0]!r}, which is no feature of the training table; mend it.")
        for name, model in self.config.models.items():
            parts = [self.fitting.fold_of(name, fold).train for fold in folds]
            for eras in (*parts, self.data.eras.labelled):
                self.fitting.parts(model, eras)
            if name == self.config.search.model:
                for eras in (*parts, self.seen):
                    self._refuse_search(model, eras)
            self._refuse_features(name, model)
        if self.config.explain.enabled:
            wanted(self.config)
            metrics(self.config, self.data.references)

    def _refuse_features(self, name: str, model: AnyModel) -> None:
        """Tells features that a model asks for and cannot have."""
        table = self.data.training
        has = tuple(compress(table.feature_names, table.taken(model.features, f"models.{name}.features")))
        if unknown := [feature for feature in model.named_features if feature not in has]:
            where = "the training table" if unknown[0] not in table.feature_names else f"models.{name}.features"
            raise InputError(f"models.{name} names {unknown[0]!r}, which is no feature of {where}; mend it.")
        kept = len(has) if model.selection.by == "all" else model.selection.count(len(has))
        if isinstance(model, LevelsModel) and model.network and (fault := model.network.fault(kept)):
            raise InputError(f"models.{name}.network.{fault}; lower it.")

    def _refuse_search(self, model: AnyModel, eras: Sequence[int]) -> None:
        self.searching.metrics()
        for fold in self.searching.folds(model, eras):
            self.fitting.parts(model, fold.train)
