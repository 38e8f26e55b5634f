"""The search of a run for one model's settings: inside each training part, by walk-forward over its eras alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eraflow import scoring
from eraflow.config import Config
from eraflow.config.models import AnyModel
from eraflow.config.search import changed, value_of
from eraflow.errors import InputError
from eraflow.models import Fitted
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.folder import RunFolder
from eraflow.predictions import as_model
from eraflow.progress import Progress
from eraflow.search import Study, objective
from eraflow.validation import Fold, WalkForward

Fit = Callable[[AnyModel, Sequence[int]], Fitted]


@dataclass(frozen=True)
class Searching:
    """What a search needs of a run; `fit` is how the run fits a model to eras."""

    config: Config
    data: Dataset
    folder: RunFolder
    progress: Progress
    fit: Fit

    def settings(self, name: str, part: str, eras: Sequence[int]) -> AnyModel:
        """The settings of the model: as configured, or where it is searched the best by the training `eras`."""
        settings, search = self.config.models[name], self.config.search
        if name != search.model:
            return settings
        folds = self.folds(settings, eras)

        def worth(tried: Mapping[str, Any], number: int) -> float:
            self.progress.stage(f"{name}: search for {part}, fold {number} of {len(folds)} of a trial")
            return self._worth(changed(settings, tried), folds[number - 1])

        start = {key: value_of(settings, key) for key in search.space}
        best = Study(search, self.folder.search, part, self.config.run.seed).best(start, worth)
        told = ", ".join(f"{key} {value}" for key, value in best.items())
        self.progress.note(f"{name}: {search.trials} trials for {part} have found {told}")
        return changed(settings, best)

    def folds(self, settings: AnyModel, eras: Sequence[int]) -> list[Fold]:
        """The folds inside a training part, purged by what the model learns. InputError where it is too short."""
        search, asked = self.config.search, self.config.validation
        own = set(eras)
        spans = [span for span in self.data.spans(settings.targets) if span.era in own]
        try:
            return WalkForward(search.folds, search.min_train_eras, None, asked.purge).split(spans)
        except InputError as error:
            raise InputError(
                f"search.folds={search.folds} and search.min_train_eras={search.min_train_eras} do not fit into a "
                f"training part of {len(eras)} eras; lower them, or raise validation.min_train_eras ({error})"
            ) from None

    def metrics(self) -> tuple[str, ...]:
        """The metrics that the objective weighs. InputError where one of them is not scored with these data."""
        there = scoring.available(self.data.references, self.data.asset)
        if unknown := [name for name in self.config.search.weights if name not in there]:
            raise InputError(
                f"search.objective: {unknown[0]!r} is not scored here; choose from {', '.join(there)}, or name more in "
                "scoring.feature_sets."
            )
        return tuple(dict.fromkeys(filter(None, map(scoring.metric_of, self.config.search.weights))))

    def _worth(self, settings: AnyModel, fold: Fold) -> float:
        """The objective of a model of these settings on one inner fold."""
        data, fitted = self.data, self.fit(settings, fold.train)
        named = as_model(data.training.predicted(fitted, fold.validation), settings.kind, fold.number)
        scores = scoring.score_eras(named, data.references, data.asset, self.metrics())
        return objective(scoring.collected(scores), self.config.search.weights)  # eras x metrics rows
