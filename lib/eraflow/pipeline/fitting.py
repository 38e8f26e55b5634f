"""The fits of a run and their predictions as cells: which eras a model learns, what it depends on, where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from eraflow import models, registry
from eraflow.config import Config, fingerprint
from eraflow.config.models import AnyModel, LevelsModel
from eraflow.definitions import Definition, code, root, written_in
from eraflow.errors import InputError
from eraflow.models import Fitted
from eraflow.models.base import Training
from eraflow.models.members import Members
from eraflow.models.saved import save
from eraflow.pipeline.cells import FITS, PREDICTIONS, Cell, Cells
from eraflow.pipeline.clock import FIT, PREDICT, timed
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.folder import uri
from eraflow.pipeline.versions import beneath
from eraflow.session import slots
from eraflow.validation import Fold, purged, watched_block


@dataclass(frozen=True)
class FitEras:
    """The eras of one fit: to learn from, to watch for when to stop, and every era that the model learns in the end."""

    learned: Sequence[int]
    watched: Sequence[int]
    every: Sequence[int]

    @property
    def all(self) -> list[int]:
        return sorted({*self.learned, *self.watched, *self.every})


@dataclass(frozen=True)
class Fitting:
    """What the fits of a run have in common. A `final` network learns again from the eras that it has watched, too.

    Fits that are not `alone` run side by side.
    """

    config: Config
    data: Dataset
    cells: Cells
    alone: bool = True

    def at_once(self, settings: AnyModel) -> int:
        """How many fits of such a model run side by side: as many as tasks, where each learns by one thread."""
        training = self.data.training
        if training.small is None or not self._built(settings).by_one_thread(training.small):
            return 1
        return slots(training.table.sparkSession)

    def fold_of(self, name: str, fold: Fold) -> Fold:
        """The fold as a model sees it: purged by the labels that it learns, too; what is validated is common to all."""
        targets = self.config.models[name].targets
        try:
            return purged(fold, self.data.spans(targets), self.config.validation.purge) if targets else fold
        except InputError as error:
            raise InputError(f"models.{name}.targets: {error}") from None

    def parts(self, settings: AnyModel, eras: Sequence[int], final: bool = False) -> FitEras:
        """What of these eras sampling and early stopping leave. InputError where that is nothing."""
        chosen = self._sampled(eras)
        if not settings.watched_eras:
            return FitEras(chosen, (), chosen)
        span_of = {span.era: span for span in self.data.spans(settings.targets)}
        spans = [span_of[era] for era in chosen]
        learned, watched = watched_block(spans, settings.watched_eras, self.config.validation.purge)
        return FitEras(learned, watched, chosen if final and settings.learns_by_epochs else learned)

    def fit(self, settings: AnyModel, eras: Sequence[int]) -> Fitted:
        """A model that is kept nowhere, such as a trial of a search."""
        return self._fit(settings, self.parts(settings, eras), None)

    def fitted(self, settings: AnyModel, eras: Sequence[int], final: bool = False) -> Cell:
        """The saved model of these eras; fitted only where no run has done so before. It is gone on with if stopped."""
        parts = self.parts(settings, eras, final)
        key = self.fit_key(settings, parts)

        def make(folder: Path) -> Mapping[str, Any]:
            took: dict[str, float] = {}
            with timed(took, FIT):
                fitted = self._fit(settings, parts, self.cells.work(FITS, key))
            learned = {"first": min(parts.every), "last": max(parts.every), "count": len(parts.every)}
            dumped = settings.without_preset.model_dump(mode="json")
            facts = {"kind": settings.kind, "settings": dumped, "eras": learned}
            save(replace(fitted, facts=facts), folder)
            return {"train_eras": len(parts.every), **took}

        return self.cells.taken(FITS, key, make)

    def predicted(self, fit: Cell, settings: AnyModel, eras: Sequence[int]) -> Cell:
        """The predictions of a saved model for eras of the training table, with the scored target."""
        training = self.data.training

        def make(folder: Path) -> Mapping[str, Any]:
            took: dict[str, float] = {}
            fitted = models.load(fit.folder)
            assert isinstance(fitted, Fitted)  # a fit is of one model, not of an ensemble
            with timed(took, PREDICT):
                rows = training.predicted(fitted, eras)
                if not (training.in_order and fitted.keeps_order):
                    rows = rows.repartition(1).sortWithinPartitions("era", "id")
                rows.write.mode("append").parquet(uri(folder))  # the folder is there, and empty
            return {"validation_eras": len(eras), **took}

        key = fingerprint(fit.key, training.target, self.hashes(settings, eras, (training.target,)))
        return self.cells.taken(PREDICTIONS, key, make)

    def fit_key(self, settings: AnyModel, parts: FitEras) -> str:
        """A hash of all that a fit depends on."""
        training, sampling = self.data.training, self.config.sampling
        targets = settings.targets or (training.target,)
        return fingerprint(
            repr(self._built(settings)),
            {name: self._reach(settings, name) for name in targets},
            [sampling.rows, sampling.half_life],
            [training.feature_names, training.taken(settings.features), training.missing, training.absent],
            asdict(parts),
            self.hashes(settings, parts.all, targets),
            self.data.files(parts.all),
            self.made_by(settings),
        )

    def made_by(self, settings: AnyModel) -> list[object]:
        """The code that such a model and its predictions are made by, and the software beneath.

        A saved model is read back before it predicts. Of the code that does so only the text counts: what it reaches
        are all kinds.
        """
        return [code(*self.roots(settings)), written_in("models/saved", "models/steps"), self._beneath]

    def roots(self, settings: AnyModel) -> set[Definition]:
        """The definitions by which such a model reads rows, learns from them, is saved and predicts.

        The registry is none of them: a key holds what it has built of the settings, and no other kind concerns a fit.
        """
        built = self._built(settings)
        parts = [*((one.model, one.network) for one in built.members), (built.selecting,)]
        found = {root(type(part)) for part in chain.from_iterable(parts) if part is not None}
        return found | {root(Members), root(Training), root(Fitted), root(save)} | set(self.data.reading)

    def _fit(self, settings: AnyModel, parts: FitEras, work: Path | None) -> Fitted:
        model, sampling = self._built(settings, work), self.config.sampling
        training = replace(self.data.training, share=sampling.rows, half_life=sampling.half_life, alone=self.alone)
        again = parts.every if len(parts.every) > len(parts.learned) else ()
        return model.fit(training, parts.learned, parts.watched, again)

    def _sampled(self, eras: Sequence[int]) -> list[int]:
        sampling = self.config.sampling
        if chosen := sampling.eras(eras):
            return chosen
        raise InputError(
            f"sampling leaves none of the eras {eras[0]} to {eras[-1]} to learn from; lower sampling.every, raise "
            "sampling.recent, or give a longer history."
        )

    def hashes(self, settings: AnyModel, eras: Sequence[int], targets: Sequence[str]) -> list[tuple[int, str]]:
        """Of the eras that are read; a model that follows tickers reads what was before, too."""
        found = self.data.era_hashes(targets)
        if settings.follows_tickers:
            return sorted((era, text) for era, text in found.items() if era <= max(eras))
        return [(era, found[era]) for era in eras]

    def _reach(self, settings: AnyModel, target: str) -> int | None:
        """How far a label reaches, where a feature graph takes the momentum of what is known by then."""
        has_graph = isinstance(settings, LevelsModel) and settings.network is not None
        return self.data.training.reach.get(target) if has_graph else None

    def _built(self, settings: AnyModel, work: Path | None = None) -> Members:
        return registry.build(settings.without_preset, self.data.training.target, self.config.run.seed, work)

    @cached_property
    def _beneath(self) -> Mapping[str, Any]:
        return beneath(self.data.training.table.sparkSession)
