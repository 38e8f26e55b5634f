"""What a finished run's models live on: its fold models and validated rows put together; nothing is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from eraflow import models, scoring
from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.explain import eras, permutation, summary
from eraflow.explain.additive import FOLLOWS, Additive
from eraflow.explain.dependence import dependence, pair_dependence
from eraflow.explain.eras import Measures
from eraflow.explain.groups import clusters, with_others
from eraflow.explain.interactions import interactions
from eraflow.explain.lime import can_speak, lime
from eraflow.explain.rows import contributions, why
from eraflow.explain.splits import splits
from eraflow.frames import read_frame
from eraflow.models import Fitted, FittedBlend
from eraflow.models.levels import Vector
from eraflow.models.sample import Sample, sampled
from eraflow.models.saved import ABOUT
from eraflow.pipeline.dataset import Dataset, LiveRows
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.live import FINAL
from eraflow.progress import Progress
from eraflow.reporting.explained_frames import Explained
from eraflow.scoring import References
from eraflow.validation import Fold

SWARM, SWARM_ROWS = 15, 200  # features and rows that are shown one by one
PAIRED = 30  # features among which pairs are looked for
CURVED = 9  # whose dependence is drawn
LIME_ROWS = 500  # whose spread LIME draws its samples by
RAISED = 10  # features that are told of a live row, on either side
GROUP, FEATURE = "group", "feature"


def wanted(config: Config, names: Sequence[str] | None = None) -> list[str]:
    """What is explained: the models that are named, else those of the config, else the submission.

    InputError where the run has no such model.
    """
    found = list(dict.fromkeys(names or config.explain.models or [config.submission]))
    trained = (*config.models, *config.ensembles)
    if strange := [name for name in found if name not in trained]:
        key = "--models" if names else "explain.models"
        raise InputError(f"{key}: the run has no model {strange[0]!r}; choose among {', '.join(trained)}.")
    return found


def metrics(config: Config, references: References) -> list[str]:
    """The metrics that permuted features are judged by, as far as the data can tell them. InputError for none."""
    named = config.explain.metrics
    if strange := [name for name in named if name not in scoring.METRICS]:
        raise InputError(
            f"explain.metrics: there is no metric {strange[0]!r}; choose among {', '.join(scoring.METRICS)}."
        )
    possible = {scoring.metric_of(name) for name in scoring.available(references, None)}
    found = [name for name in named if name in possible]
    if not found:
        raise InputError(f"explain.metrics: these data do not tell {', '.join(named)}; add numerai_corr.")
    return found


@dataclass(frozen=True)
class Asked:
    """What a user wants to see beside what is largest: live rows by id, and features whose dependence is drawn."""

    rows: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Passed:
    """A model in its folds, and what the pass over their eras has measured: validated ones, and learned ones."""

    name: str
    folds: Mapping[int, Additive]
    validated: Mapping[int, Measures]
    learned: Mapping[int, Measures]
    importance: pd.DataFrame


@dataclass(frozen=True)
class Explaining:
    """What is explained: models of a run in their folds, on the run's own data."""

    config: Config
    data: Dataset
    folder: RunFolder
    folds: Sequence[Fold]
    progress: Progress
    asked: Asked = field(default_factory=Asked)

    def explainable(self, names: Sequence[str]) -> list[str]:
        """Those of these models that know rows alone; of the others a note is made."""
        found = []
        for name in names:
            models_of = self.config.ensembles[name].models if name in self.config.ensembles else (name,)
            if any(self.config.models[member].follows_tickers for member in models_of):
                self.progress.note(f"{name}: {FOLLOWS.removeprefix('model: ')}")
            else:
                found.append(name)
        return found

    def explained(self, names: Sequence[str]) -> list[Explained]:
        """All that a page shows of these models and ensembles."""
        if not names:
            return []
        passed = self.passed(names)
        lost = self.lost(passed)
        return [self.shown(one, lost) for one in passed]

    def passed(self, names: Sequence[str]) -> list[Passed]:
        """What every validated era, and some learned ones, say of these models and ensembles."""
        self.progress.stage(f"loading the fold models of {', '.join(names)}")
        folds = {fold.number: {name: self._additive(name, fold) for name in names} for fold in self.folds}
        validated, learned = dict[int, dict[str, Measures]](), dict[int, dict[str, Measures]]()
        for fold in self.folds:
            self.progress.step(f"SHAP of fold {fold.number} of {len(self.folds)}", fold.number - 1, len(self.folds))
            few = _spread(fold.train, self.config.explain.training_eras)
            validated[fold.number] = self._measured(folds[fold.number], fold.validation)
            learned[fold.number] = self._measured(folds[fold.number], few)
        found = []
        for name in names:
            by_fold = {number: held[name] for number, held in folds.items()}
            seen, before = ({number: held[name] for number, held in each.items()} for each in (validated, learned))
            table = summary.importance(seen, before, self.data.eras.overlap)
            counted = splits(list(by_fold.values()))
            table = table.merge(counted, on="feature", how="left", validate="1:1")
            found.append(Passed(name, by_fold, seen, before, table))
        return found

    def lost(self, passed: Sequence[Passed]) -> pd.DataFrame:
        """`model, unit, kind, metric, eras, loss, low, high`: what permuting groups and top features costs."""
        units = {one.name: self._units(one) for one in passed}
        chosen = self._permuted_eras()
        parts: list[DataFrame] = []
        for fold in self.folds:
            here = [era for era in fold.validation if chosen.get(era) == fold.number]
            if here:
                held = {one.name: one.folds[fold.number] for one in passed}
                places = {name: [unit[2] for unit in each] for name, each in units.items()}
                parts.append(permutation.permuted(self._rows(here), held, places, self.config.run.seed))
        self.progress.stage(f"permuting features in {len(chosen)} eras")
        references = self.data.references
        losses = permutation.losses(reduce(DataFrame.unionByName, parts), references, metrics(self.config, references))
        every = {era for fold in self.folds for era in fold.validation if era in self._labelled}
        overlap = -(-self.data.eras.overlap * len(chosen) // len(every))
        found = summary.permutation_importance(losses, max(1, overlap))
        labels = [units[model][unit][:2] for model, unit in found[["model", "unit"]].itertuples(index=False)]
        kinds, names = zip(*labels, strict=True) if labels else ((), ())
        return found.assign(unit=list(names), kind=list(kinds))

    def shown(self, one: Passed, lost: pd.DataFrame) -> Explained:
        """All that is told of a model, for a page."""
        self.progress.stage(f"dependence and interactions of {one.name}")
        top = [str(name) for name in one.importance["feature"]]
        inputs, overlap = self.data.training.feature_names, self.data.eras.overlap
        readable = [name for name in top if name in inputs]
        pairs = interactions(one.folds, self.samples, top[:PAIRED])
        pair = next(
            ((first, second) for first, second in pairs[["first", "second"]].itertuples(index=False)
             if first in inputs and second in inputs), None
        )  # fmt: skip
        final, live = self._final(one.name), self.data.live
        reasons, sums = why(final, live.ids, live.levels, _eras(live), RAISED)
        return Explained(
            model=one.name,
            prose=self._prose(one),
            unit=unit_of(_any(one)),
            basis=self._basis(one),
            importance=one.importance,
            groups=summary.group_sizes(one.validated, overlap),
            permutation=lost[lost["model"] == one.name],
            by_era=summary.by_era(one.validated, top[:20]),
            points=contributions(one.folds, self.samples, top[:SWARM], SWARM_ROWS),
            curves=dependence(
                one.folds, self.samples, list(dict.fromkeys([*self.asked.features, *readable[:CURVED]])), inputs
            ),
            pair_of=pair,
            pair=pair_dependence(one.folds, self.samples, pair, inputs) if pair else pd.DataFrame(),
            pairs=pairs,
            verdicts=summary.verdicts(one.importance, self.config.explain.expected),
            live=reasons,
            live_sums=sums,
            chosen=self.asked.rows,
            lime=self._lime(final, readable),
        )

    def refuse_unknown(self) -> None:
        """InputError where a row or a feature that is asked for is none."""
        ids, names = set(self.data.live.ids), set(self.data.training.feature_names)
        if strange := [one for one in self.asked.rows if one not in ids]:
            raise InputError(f"--rows: {strange[0]!r} is none of the {len(ids)} live rows of the run; give their ids.")
        if strange := [one for one in self.asked.features if one not in names]:
            raise InputError(f"--features: {strange[0]!r} is no feature of the run's table; mend the name.")

    def _lime(self, final: Additive, top: Sequence[str]) -> pd.DataFrame:
        """LIME of the rows that are asked for; none of a model that it cannot speak of."""
        live = self.data.live
        asked = [at for at, one in enumerate(live.ids) if one in self.asked.rows]
        if not asked or not can_speak(final):
            return pd.DataFrame()
        self.progress.stage("LIME of the rows that were asked for")
        spark = self.data.training.table.sparkSession
        background = self.samples[self.folds[-1].number].levels[:LIME_ROWS]
        ids = [live.ids[at] for at in asked]
        return lime(spark, final, ids, live.levels[asked], _eras(live)[asked], background, top)

    @cached_property
    def samples(self) -> Mapping[int, Sample]:
        """Rows of each fold's validated eras: `explain.rows` of all folds together."""
        count = -(-self.config.explain.rows // len(self.folds))
        width = len(self.data.training.feature_names)
        return {fold.number: sampled(self._rows(fold.validation), count, width) for fold in self.folds}

    def _additive(self, name: str, fold: Fold) -> Additive:
        """A model as it stands in a fold; InputError where it has no such part, or follows tickers."""
        weights = None
        if name in self.config.ensembles:
            final = models.load(self.folder.model(name, FINAL))
            assert isinstance(final, FittedBlend)
            model: Fitted | FittedBlend = replace(
                final, models={member: self._fitted(member, fold) for member in final.models}
            )
            weights = self._weights(name, tuple(final.models))
        else:
            model = self._fitted(name, fold)
        sample = self.samples[fold.number]
        return _additive(name, model, sample, weights)

    def _final(self, name: str) -> Additive:
        """The model that predicts live rows; rows of the last fold are what it is used on."""
        model = models.load(self.folder.model(name, FINAL))
        return _additive(name, model, self.samples[self.folds[-1].number], None)

    def _fitted(self, name: str, fold: Fold) -> Fitted:
        place = self.folder.model(name, f"fold-{fold.number}")
        if not (place / ABOUT).is_file():
            raise InputError(f"{place} holds no model: {name} has no out-of-fold rows to explain; train the run anew.")
        found = models.load(place)
        assert isinstance(found, Fitted)
        found.refuse_others(self.data.training.feature_names, str(place))
        return found

    def _weights(self, name: str, members: Sequence[str]) -> dict[int, Vector]:
        """By era what an ensemble's models weighed."""
        rows = read_frame(self.folder.model(name, "weights.csv"))
        wide = rows.pivot(index="era", columns="model", values="weight")[list(members)]
        return {int(era): weights for era, weights in zip(wide.index, wide.to_numpy(dtype=np.float64), strict=True)}

    @cached_property
    def _labelled(self) -> set[int]:
        return set(self.data.eras.labelled)

    def _rows(self, wanted: Sequence[int]) -> DataFrame:
        return eras.labelled_rows(self.data.training, [era for era in wanted if era in self._labelled])

    def _measured(self, held: Mapping[str, Additive], wanted: Sequence[int]) -> dict[str, Measures]:
        return eras.measured(self._rows(wanted), held, {name: self._groups(one) for name, one in held.items()})

    def _groups(self, model: Additive) -> dict[str, tuple[str, ...]]:
        """Families and clusters of the features; a graph's columns are a family of their own."""
        return {**with_others(self._families, model.names, self.data.training.feature_names), **self._clusters}

    @property
    def _families(self) -> Mapping[str, Sequence[str]]:
        training = self.data.training
        return training.families or {"features": training.feature_names}

    @cached_property
    def _clusters(self) -> dict[str, tuple[str, ...]]:
        training = self.data.training
        levels = np.concatenate([sample.levels for sample in self.samples.values()])
        return clusters(levels, training.feature_names, training.missing)

    def _units(self, one: Passed) -> list[tuple[str, str, tuple[int, ...]]]:
        """`kind, name, places` of what is permuted: groups of features that it reads, and its top features."""
        place = {name: at for at, name in enumerate(self.data.training.feature_names)}
        read = set(self._inputs(one))
        groups = {**self._families, **self._clusters}
        units = [
            (GROUP, name, tuple(place[column] for column in held if column in place))
            for name, held in groups.items()
            if read.intersection(held)
        ]
        top = [str(name) for name in one.importance["feature"] if name in place][: self.config.explain.top]
        return [*units, *((FEATURE, name, (place[name],)) for name in top)]

    def _inputs(self, one: Passed) -> list[str]:
        """The features that it reads; all where a graph over them may read any."""
        names = {name for model in one.folds.values() for name in model.names}
        inputs = self.data.training.feature_names
        return [name for name in inputs if name in names] if names <= set(inputs) else list(inputs)

    def _permuted_eras(self) -> dict[int, int]:
        """Validated eras, spread over all of them, with the first fold that has each."""
        fold_of: dict[int, int] = {}
        for fold in self.folds:
            for era in fold.validation:
                if era in self._labelled:
                    fold_of.setdefault(era, fold.number)
        return {era: fold_of[era] for era in _spread(sorted(fold_of), self.config.explain.eras)}

    def _basis(self, one: Passed) -> str:
        count = len({era for held in one.validated.values() for era in held.eras.tolist()})
        return f"Rests on {count} validated eras, each by the fold's model that has not learned it."

    def _prose(self, one: Passed) -> tuple[str, ...]:
        """How the explanation was made, and how far it can be believed."""
        gap = max(
            one.folds[number].gap(sample.levels[:200], sample.eras[:200]) for number, sample in self.samples.items()
        )
        steady = summary.stability(one.validated)
        if _any(one).is_exact:
            sentence = f"{one.name}: SHAP values and their base add up to each prediction, within {gap:.0e}."
        else:
            mean, low, high = summary.fidelity(one.validated, self.data.eras.overlap)
            span = "" if np.isnan(low) else f" ({low:.3f} to {high:.3f})"
            sentence = (
                f"{one.name} adds up ranks, which no attribution is exact for. Explained is the weighted sum of its "
                f"members' predictions, each over its own deviation; it ranks an era's rows as the model does with a "
                f"correlation of {mean:.3f}{span}."
            )
        if _any(one).is_sampled:
            sentence += f" SHAP values of a member are sampled: {eras.SAMPLED_ROWS} rows an era, sums within {gap:.1e}."
        if not np.isnan(steady):
            sentence += f" Between two folds, ranks of mean |SHAP| correlate by {steady:.2f} on average."
        return (sentence,)


def _additive(name: str, model: Fitted | FittedBlend, sample: Sample, weights: Mapping[int, Vector] | None) -> Additive:
    try:
        return Additive.of(model, sample.levels, sample.eras, weights)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def unit_of(model: Additive) -> str:
    """In what contributions are told."""
    return "in its prediction's unit" if model.is_exact else "in deviations of its members' predictions"


def _any(one: Passed) -> Additive:
    return next(iter(one.folds.values()))


def _eras(rows: LiveRows) -> np.ndarray:
    return np.full(len(rows.ids), rows.era, dtype=np.int64)


def _spread(wanted: Sequence[int], count: int) -> list[int]:
    """At most so many of these, at even distances."""
    places = np.unique(np.linspace(0, len(wanted) - 1, min(count, len(wanted))).round().astype(int))
    return [int(wanted[place]) for place in places]
