"""What a finished run's models live on: its fold models and validated rows put together; nothing is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from scipy import stats

from eraflow import models, scoring
from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.explain import eras, histories, permutation, summary
from eraflow.explain.additive import Additive
from eraflow.explain.attribution import FAMILY, Sampling
from eraflow.explain.dependence import dependence, pair_dependence
from eraflow.explain.eras import Measures
from eraflow.explain.groups import clusters, with_others
from eraflow.explain.interactions import interactions
from eraflow.explain.lime import can_speak, lime
from eraflow.explain.rows import contributions, few
from eraflow.explain.splits import splits
from eraflow.frames import read_frame
from eraflow.models import Fitted, FittedBlend
from eraflow.models.levels import Vector
from eraflow.models.sample import Sample
from eraflow.models.saved import ABOUT
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.explained_data import ExplainedRows, eras_of, of_weeks, reasons_of, spread
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
GAP_ROWS = 200  # of a fold, by which it is told how well sums add up
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

    @cached_property
    def _rows(self) -> ExplainedRows:
        return ExplainedRows(self.config, self.data, self.folds)

    @cached_property
    def _sampling(self) -> Sampling:
        return Sampling(self.config.explain.walks, self.config.explain.walked, self._families)

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
            some = spread(fold.train, self.config.explain.training_eras)
            validated[fold.number] = self._measured(folds[fold.number], fold.validation)
            learned[fold.number] = self._measured(folds[fold.number], some)
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
            for weeks in {one.folds[fold.number].weeks for one in passed} if here else ():
                held = {one.name: fold_model for one in passed if (fold_model := one.folds[fold.number]).weeks == weeks}
                places = {name: [self._rows.every_week(unit[2], weeks) for unit in units[name]] for name in held}
                rows = self._rows.labelled(here, weeks)
                parts.append(permutation.permuted(rows, held, places, self.config.run.seed))
        self.progress.stage(f"permuting features in {len(chosen)} eras")
        references = self.data.references
        losses = permutation.losses(reduce(DataFrame.unionByName, parts), references, metrics(self.config, references))
        every = {era for fold in self.folds for era in fold.validation if era in self._rows.eras}
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
        samples = self._samples_of(one)
        pairs = interactions(one.folds, samples, top[:PAIRED])
        pair = next(
            ((first, second) for first, second in pairs[["first", "second"]].itertuples(index=False)
             if first in inputs and second in inputs), None
        )  # fmt: skip
        final = self._final(one.name)
        self.progress.stage(f"why live rows are predicted so by {one.name}")
        live = of_weeks(self.data.live, final.weeks)
        reasons, sums = reasons_of(final, live, self.asked.rows, self.config.explain.sampled_rows)
        return Explained(
            model=one.name,
            prose=self._prose(one),
            unit=unit_of(_any(one)),
            basis=self._basis(one),
            importance=one.importance,
            groups=summary.group_sizes(one.validated, overlap),
            permutation=lost[lost["model"] == one.name],
            by_era=summary.by_era(one.validated, top[:20]),
            points=contributions(one.folds, self._shown_samples(one), top[:SWARM], SWARM_ROWS),
            curves=dependence(
                one.folds, samples, list(dict.fromkeys([*self.asked.features, *readable[:CURVED]])), inputs
            ),
            pair_of=pair,
            pair=pair_dependence(one.folds, samples, pair, inputs) if pair else pd.DataFrame(),
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
        background = self._rows.samples[self.folds[-1].number].levels[:LIME_ROWS]
        ids = [live.ids[at] for at in asked]
        return lime(spark, final, ids, live.levels[asked], eras_of(live)[asked], background, top)

    def _samples_of(self, one: Passed) -> dict[int, Sample]:
        held = _any(one)
        return {fold.number: self._rows.sample(fold, held.weeks, held.reads_whole_eras) for fold in self.folds}

    def _shown_samples(self, one: Passed) -> dict[int, Sample]:
        """What is shown row by row: of a model whose eras take long the last fold alone."""
        every = self._samples_of(one)
        return dict(list(every.items())[-1:]) if _any(one).reads_whole_eras else every

    def _additive(self, name: str, fold: Fold) -> Additive:
        """A model as it stands in a fold; InputError where it has no such part."""
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
        return self._added(model, fold, weights)

    def _added(self, model: Fitted | FittedBlend, fold: Fold, weights: Mapping[int, Vector] | None) -> Additive:
        sample = self._rows.sample(fold, histories.weeks_of(model), histories.reads_whole_eras(model))
        return Additive.of(model, sample.levels, sample.eras, weights, self._sampling)

    def _final(self, name: str) -> Additive:
        """The model that predicts live rows; rows of the last fold are what it is used on."""
        return self._added(models.load(self.folder.model(name, FINAL)), self.folds[-1], None)

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

    def _measured(self, held: Mapping[str, Additive], wanted: Sequence[int]) -> dict[str, Measures]:
        """Measures of these eras; of models whose values are sampled of some of them."""
        found = dict[str, Measures]()
        for kind in {_reading(one) for one in held.values()}:
            of_kind = {name: one for name, one in held.items() if _reading(one) == kind}
            weeks, is_sampled, whole = kind
            some = self._rows.few(wanted, whole) if is_sampled else wanted
            grouping = {name: self._groups(one) for name, one in of_kind.items()}
            found |= eras.measured(self._rows.labelled(some, weeks), of_kind, grouping)
        return found

    def _groups(self, model: Additive) -> dict[str, tuple[str, ...]]:
        """Families and clusters of the features; a graph's columns are a family of their own."""
        together = model.walked_together
        single = [name for name in model.names if name not in together]
        found = with_others(self._families, single, self.data.training.feature_names)
        for name in together:
            family = name.removeprefix(FAMILY)
            found[family] = (*found.get(family, ()), name)
        return {**found, **self._clusters}

    @property
    def _families(self) -> Mapping[str, Sequence[str]]:
        training = self.data.training
        return training.families or {"features": training.feature_names}

    @cached_property
    def _clusters(self) -> dict[str, tuple[str, ...]]:
        training = self.data.training
        levels = np.concatenate([sample.levels for sample in self._rows.samples.values()])
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
                if era in self._rows.eras:
                    fold_of.setdefault(era, fold.number)
        return {era: fold_of[era] for era in spread(sorted(fold_of), self.config.explain.eras)}

    def _basis(self, one: Passed) -> str:
        count = len({era for held in one.validated.values() for era in held.eras.tolist()})
        return f"Rests on {count} validated eras, each by the fold's model that has not learned it."

    def _prose(self, one: Passed) -> tuple[str, ...]:
        """How the explanation was made, and how far it can be believed."""
        count = GAP_ROWS if not _any(one).is_sampled else GAP_ROWS // 10
        some = {number: few(one.folds[number], rows, count) for number, rows in self._shown_samples(one).items()}
        gap = max(one.folds[number].gap(rows.levels, rows.eras) for number, rows in some.items())
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
            sentence += f" {self._sampled_so(one, gap)}"
        if not np.isnan(steady):
            sentence += f" Between two folds, ranks of mean |SHAP| correlate by {steady:.2f} on average."
        return (sentence,)

    def _sampled_so(self, one: Passed, gap: float) -> str:
        """What is sampled, how, and how far a value may be off."""
        model, explain = _any(one), self.config.explain
        rows = "all rows of some eras" if model.reads_whole_eras else f"{eras.SAMPLED_ROWS} rows of some eras"
        size = float(one.importance["size"].sum())
        share = float(one.importance["error"].sum()) / size if size else float("nan")
        sentence = (
            f"Its SHAP values are sampled, by {explain.walks} pairs of walks to each of {rows}. Each has a standard "
            f"error, on average {share:.0%} of the mean |SHAP|; {stats.t.ppf(0.975, explain.walks - 1):.1f} times that "
            f"is where 95 of 100 lie. Values and base add up to what is explained, within {gap:.0e}."
        )
        if model.weeks > 1:
            sentence += f" A feature is its history of {model.weeks} weeks there."
        if model.reads_whole_eras:
            sentence += " A graph joins an era's tickers, so that a feature changes for all of them at once."
        if any(part.is_grouped for part in model.parts):
            sentence += " It reads too many features to walk each, so that each family has one value."
        return sentence


def unit_of(model: Additive) -> str:
    """In what contributions are told."""
    return "in its prediction's unit" if model.is_exact else "in deviations of its members' predictions"


def _reading(model: Additive) -> tuple[int, bool, bool]:
    """Models of the same are given the same rows."""
    return model.weeks, model.is_sampled, model.reads_whole_eras


def _any(one: Passed) -> Additive:
    return next(iter(one.folds.values()))
