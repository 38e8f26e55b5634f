"""Settings of a model searched by Optuna, an extra: the same for the same seed, and taken up again where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow.config.search import Dimension, Search
from eraflow.errors import InputError

# Trials, at most half of all, that are drawn at random before others are drawn after the best of them.
STARTUP = 10
REFUSED = "refused"
STUDY = "search"  # what it is called in its file
COLUMNS = ["part", "trial", "state", "folds", "value", "settings"]

Evaluate = Callable[[Mapping[str, Any], int], float]


def required() -> Any:
    """The module `optuna`; InputError, which says what to install, where it is wanted but missing."""
    try:
        import optuna
    except ImportError:
        raise InputError(
            "search.model is set but Optuna is not installed: pip install 'eraflow[search]', or set search.model=null."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@dataclass(frozen=True)
class Study:
    """A search for one training part: its trials are kept in an SQLite file.

    A trial is judged fold by fold, by the mean of its folds so far; where it is not among the best `1 / reduction` of
    the trials that have come so far, it is pruned after 1, `reduction`, `reduction`² ... folds (successive halving, Li,
    Jamieson, Rostamizadeh et al. 2020). What Optuna proposes depends on the seed and on the trials that were finished,
    so that an interrupted search ends as it would have; the trial in which it was interrupted goes on with the fold
    that it was at.
    """

    config: Search
    storage: Path
    seed: int

    def best(self, start: Mapping[str, Any], evaluate: Evaluate) -> dict[str, Any]:
        """The settings of the best trial, after as many trials as the config asks for.

        `start` is what the first trial takes, where it lies in the space. `evaluate` tells what settings are worth on
        the fold of a number, from 1; settings for which it raises InputError are a trial too. InputError where it does
        for all.
        """
        optuna = required()
        study = self._opened(optuna)
        if not study.trials:
            within = {name: value for name, value in start.items() if self.config.space[name].holds(value)}
            study.enqueue_trial(within)
        while (done := len(_finished(study))) < self.config.trials:
            startup = min(STARTUP, self.config.trials // 2)
            study.sampler = optuna.samplers.TPESampler(seed=self.seed + done, n_startup_trials=startup)
            trial = self._interrupted(optuna, study) or study.ask(self._distributions(optuna))
            self._tried(optuna, study, trial, evaluate)
        if not study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
            reason = _finished(study)[-1].user_attrs[REFUSED]
            raise InputError(f"search: none of {self.config.trials} trials could be finished; the last: {reason}")
        return dict(study.best_params)

    def _opened(self, optuna: Any) -> Any:
        self.storage.parent.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            storage=optuna.storages.RDBStorage(f"sqlite:///{self.storage.absolute()}"),
            study_name=STUDY,
            direction="maximize",
            pruner=optuna.pruners.SuccessiveHalvingPruner(1, self.config.reduction),
            load_if_exists=True,
        )

    def _interrupted(self, optuna: Any, study: Any) -> Any:
        """The trial that was running when an earlier search was cut short; one without all its settings is given up."""
        for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            if set(trial.params) == set(self.config.space):
                return optuna.trial.Trial(study, trial._trial_id)  # Optuna has no other way to take it up
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return None

    def _tried(self, optuna: Any, study: Any, trial: Any, evaluate: Evaluate) -> None:
        scores = study.trials[trial.number].intermediate_values
        mean = scores[max(scores)] if scores else 0.0
        try:
            for fold in range(1, self.config.folds + 1):
                if fold not in scores:
                    mean += (evaluate(trial.params, fold) - mean) / fold
                    trial.report(mean, fold)
                if fold < self.config.folds and trial.should_prune():
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    return
        except InputError as error:
            trial.set_user_attr(REFUSED, str(error))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        study.tell(trial, mean)

    def _distributions(self, optuna: Any) -> dict[str, Any]:
        return {name: _distribution(optuna, dimension) for name, dimension in self.config.space.items()}


def trials(storages: Mapping[str, Path]) -> pd.DataFrame:
    """`part, trial, state, folds, value, settings` (JSON) of all searches, by part the file of each."""
    if not storages:
        return pd.DataFrame(columns=COLUMNS)
    optuna = required()
    rows = [
        (
            part,
            number,
            REFUSED if REFUSED in trial.user_attrs else trial.state.name.lower(),
            len(trial.intermediate_values),
            trial.intermediate_values[trial.last_step] if trial.intermediate_values else float("nan"),
            json.dumps(trial.params, sort_keys=True),
        )
        for part, storage in sorted(storages.items())
        for number, trial in enumerate(_finished(_loaded(optuna, storage)), 1)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def objective(scores: pd.DataFrame, weights: Mapping[str, float]) -> float:
    """The weighted sum of metrics' means over eras. `scores`: `era, metric, value`. InputError where one has none."""
    means = scores.groupby("metric")["value"].mean().dropna()
    if missing := [name for name in weights if name not in means.index]:
        raise InputError(
            f"search.objective: eras {scores['era'].min()} to {scores['era'].max()} have no {missing[0]!r}; choose "
            "metrics that all training eras have."
        )
    return float(sum(weight * means[name] for name, weight in weights.items()))


def _loaded(optuna: Any, storage: Path) -> Any:
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{storage.absolute()}")


def _finished(study: Any) -> list[Any]:
    """Trials in their order; one that was given up for an interruption is none."""
    finished = ("COMPLETE", "PRUNED")
    return [trial for trial in study.trials if trial.state.name in finished or REFUSED in trial.user_attrs]


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    kind = optuna.distributions.IntDistribution if dimension.is_whole else optuna.distributions.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)
