"""The search of a run for one model's settings: inside each training part, by walk-forward over its eras alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow import scoring
from eraflow.config import Config, fingerprint
from eraflow.config.models import AnyModel
from eraflow.config.search import changed, value_of
from eraflow.definitions import code, root, written_in
from eraflow.errors import InputError
from eraflow.pipeline.cells import SEARCHES
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.fitting import FitEras, Fitting
from eraflow.pipeline.folder import RunFolder
from eraflow.predictions import as_model
from eraflow.progress import Progress
from eraflow.search import Study, objective, trials
from eraflow.validation import Fold, WalkForward, watched_block

TRIALS = "trials.sqlite3"
# What a search is but for its fits; watched eras are cut from the training part of each trial.
MADE_BY = (Study, WalkForward, watched_block, objective, scoring.score_eras, scoring.collected)


@dataclass(frozen=True)
class Searching:
    """What a search needs of a run: how its fits are made, and where its trials stand."""

    config: Config
    data: Dataset
    fitting: Fitting
    folder: RunFolder
    progress: Progress

    def settings(self, name: str, part: str, eras: Sequence[int]) -> AnyModel:
        """The settings of the model: as configured, or where it is searched the best by the training `eras`.

        The same search is done once, whichever runs ask for it.
        """
        settings, search = self.config.models[name], self.config.search
        if name != search.model:
            return settings
        cells, key = self.fitting.cells, self._key(settings, eras)

        def make(folder: Path) -> Mapping[str, Any]:
            study = Study(search, cells.work(SEARCHES, key) / TRIALS, self.config.run.seed)
            best = self._best(study, name, part, self.folds(settings, eras))
            shutil.copyfile(study.storage, folder / TRIALS)
            return {"settings": best}

        cell = cells.taken(SEARCHES, key, make)
        self.folder.note_search(part, key)
        best = cell.facts["settings"]
        found = ", ".join(f"{key} {value}" for key, value in best.items())
        self.progress.note(f"{name}: {search.trials} trials for {part} have found {found}")
        return changed(settings, best)

    def trials(self) -> pd.DataFrame:
        """Of all searches of the run (see `search.trials`)."""
        places = self.fitting.cells.root / SEARCHES
        return trials({part: places / key / TRIALS for part, key in self.folder.searches.items()})

    def _best(self, study: Study, name: str, part: str, folds: Sequence[Fold]) -> dict[str, Any]:
        settings = self.config.models[name]

        def worth(tried: Mapping[str, Any], number: int) -> float:
            self.progress.stage(f"{name}: search for {part}, fold {number} of {len(folds)} of a trial")
            return self._worth(changed(settings, tried), folds[number - 1])

        return study.best({key: value_of(settings, key) for key in self.config.search.space}, worth)

    def _key(self, settings: AnyModel, eras: Sequence[int]) -> str:
        """A hash of all that a search depends on: its fits, the folds inside, and what trials are scored by."""
        spans = self.data.spans(settings.targets)
        wanted, search = set(eras), self.config.search
        tried = [changed(settings, {key: one}) for key, values in search.space.items() for one in values.extremes]
        return fingerprint(
            search.model_dump(mode="json", exclude={"model"}),
            self.fitting.fit_key(settings, FitEras(eras, (), eras)),
            [asdict(span) for span in spans if span.era in wanted],
            [self.config.validation.purge, self.config.sampling.model_dump()],
            self.fitting.hashes(settings, eras, (self.data.training.target,)),
            self._references,
            [self.fitting.made_by(one) for one in tried],
            [written_in("pipeline/searching"), code(*map(root, MADE_BY))],
        )

    @property
    def _references(self) -> list[Any]:
        """What tells that what trials are held against is the same, where the objective holds them against anything."""
        needs = {need for name in self.metrics() for need in scoring.METRICS[name].needs}
        if not needs - {"previous", "features"}:
            return []
        scoring_of, data = self.config.scoring, self.data
        signals = [made.fingerprint for made in data.tables if made.name == "signals"]
        return [scoring_of.feature_sets, scoring_of.benchmarks, signals, *data.reference_files]

    def folds(self, settings: AnyModel, eras: Sequence[int]) -> list[Fold]:
        """The folds inside a training part, purged by what the model learns. InputError where it is too short."""
        search, asked = self.config.search, self.config.validation
        wanted = set(eras)
        spans = [span for span in self.data.spans(settings.targets) if span.era in wanted]
        try:
            return WalkForward(search.folds, search.min_train_eras, None, asked.purge).split(spans)
        except InputError as error:
            raise InputError(
                f"search.folds={search.folds} and search.min_train_eras={search.min_train_eras} do not fit into a "
                f"training part of {len(eras)} eras; lower them, or raise validation.min_train_eras ({error})"
            ) from None

    def metrics(self) -> tuple[str, ...]:
        """The metrics that the objective weighs. InputError where one of them is not scored with these data."""
        available = scoring.available(self.data.references, self.data.asset)
        if unknown := [name for name in self.config.search.weights if name not in available]:
            raise InputError(
                f"search.objective: {unknown[0]!r} is not scored here; choose from {', '.join(available)}, or name "
                "more in scoring.feature_sets."
            )
        return tuple(dict.fromkeys(filter(None, map(scoring.metric_of, self.config.search.weights))))

    def _worth(self, settings: AnyModel, fold: Fold) -> float:
        """The objective of a model of these settings on one inner fold."""
        data, fitted = self.data, self.fitting.fit(settings, fold.train)
        named = as_model(data.training.predicted(fitted, fold.validation), settings.kind, fold.number)
        scores = scoring.score_eras(named, data.references, data.asset, self.metrics())
        return objective(scoring.collected(scores), self.config.search.weights)  # eras x metrics rows
