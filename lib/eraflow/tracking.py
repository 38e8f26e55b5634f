"""Finished runs in MLflow, an extra: parameters, the scores of every era, files and native models."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eraflow.config.scoring import Tracking
from eraflow.errors import InputError
from eraflow.frames import read_frame

FILES = (
    "report.html", "summary.json", "per_era.csv", "exposures.csv", "strategy.csv", "predictions.csv", "run.json",
    "selected_features.csv", "search_trials.csv",
)  # fmt: skip
SUMMARISED = ("mean", "std", "sharpe", "max_drawdown")
AT_ONCE = 1000  # metrics that MLflow takes in one call
PARAMS_AT_ONCE = 100
FILES_BELOW = "mlflow-files"
FINGERPRINT, FINISHED = "eraflow.fingerprint", "FINISHED"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its own 7 keep a user waiting for minutes
}


def required() -> None:
    """InputError, which says what to install, where MLflow is missing. It is not imported: that takes seconds."""
    if find_spec("mlflow") is None:
        raise InputError(
            "tracking.enabled is true but MLflow is not installed: pip install 'eraflow[tracking]', or set "
            "tracking.enabled=false."
        )


def store(tracking: Tracking, base: Path) -> str:
    """The store's address: `tracking.uri`, or an SQLite file below `base`."""
    return tracking.uri or f"sqlite:///{base.absolute() / 'mlflow.db'}"


def track(
    tracking: Tracking, base: Path, folder: Path, name: str, config: Mapping[str, Any], tags: Mapping[str, str]
) -> str:
    """Tells MLflow of the finished run in `folder` and returns the run's id there.

    The per-era scores are metrics `MODEL/METRIC` with the era as their step, the summary's figures
    `MODEL/METRIC/mean` and so on; what is undefined is left out. Models are files in their native form, not flavours
    of Spark, so that they load without it. A run that the experiment knows by its tag FINGERPRINT is not told again;
    one that was cut short is taken away and told anew. InputError where MLflow is missing or does not take the run.
    """
    required()
    mlflow = _mlflow()
    try:
        client = mlflow.MlflowClient(store(tracking, base))
        experiment = _experiment(client, tracking, base)
        for existing in client.search_runs([experiment], f"tags.`{FINGERPRINT}` = '{tags[FINGERPRINT]}'"):
            if existing.info.status == FINISHED:
                return str(existing.info.run_id)
            client.delete_run(existing.info.run_id)
        run = client.create_run(experiment, run_name=name, tags=dict(tags)).info.run_id
        _log(mlflow, client, run, folder, config)
        client.set_terminated(run, FINISHED)
    except Exception as error:  # of MLflow, of a database, of its driver, of a disk: none may cost the run
        raise InputError(
            f"tracking.uri: MLflow at {store(tracking, base)} does not take the run ({_first_line(error)}), which is "
            f"finished in {folder}; mend the address and give the same command again, or set tracking.enabled=false."
        ) from None
    return str(run)


def set_aliases(tracking: Tracking, base: Path, model: str, runs: Mapping[str, str | None]) -> dict[str, str]:
    """Makes each alias of a registered model that of a run's version; returns versions by alias.

    `runs` are ids by alias; of None the alias is taken away. The model, and a version of a run that has none, are made.
    InputError where MLflow does not take them.
    """
    client = _mlflow().MlflowClient(store(tracking, base))
    try:
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        made: dict[str, str] = {}
        for alias, run in runs.items():
            if run is not None:
                made[alias] = _version(client, model, run)
                client.set_registered_model_alias(model, alias, made[alias])
            elif alias in client.get_registered_model(model).aliases:
                client.delete_registered_model_alias(model, alias)
    except Exception as error:  # as in `track`
        raise InputError(
            f"tracking.uri: MLflow at {store(tracking, base)} does not take the aliases of {model} "
            f"({_first_line(error)}); the decision stands here: mend the address and give the same command again, or "
            "set tracking.enabled=false."
        ) from None
    return made


def _version(client: Any, model: str, run: str) -> str:
    """The number of the run's version of the model, made where there is none."""
    existing = [one for one in client.search_model_versions(f"name = '{model}'") if one.run_id == run]
    if existing:
        return str(existing[0].version)
    source = f"{client.get_run(run).info.artifact_uri}/models"
    return str(client.create_model_version(model, source, run).version)


def _mlflow() -> Any:
    """The module, told to send nothing to its makers, to log nothing, and to give up on a server in seconds."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return import_module("mlflow")


def _experiment(client: Any, tracking: Tracking, base: Path) -> str:
    """Its number; made where there is none. A server knows where its files are; those of a store are below `base`."""
    if existing := client.get_experiment_by_name(tracking.experiment):
        return str(existing.experiment_id)
    is_server = store(tracking, base).startswith(("http:", "https:", "databricks"))
    return str(
        client.create_experiment(tracking.experiment, None if is_server else (base.absolute() / FILES_BELOW).as_uri())
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _log(mlflow: Any, client: Any, run: str, folder: Path, config: Mapping[str, Any]) -> None:
    params = [mlflow.entities.Param(key, str(value)[:6000]) for key, value in flat(config)]
    for begin in range(0, len(params), PARAMS_AT_ONCE):
        client.log_batch(run, params=params[begin : begin + PARAMS_AT_ONCE])
    now = int(1000 * time.time())
    metrics = [mlflow.entities.Metric(key, value, now, step) for key, value, step in metric_values(folder)]
    for begin in range(0, len(metrics), AT_ONCE):
        client.log_batch(run, metrics=metrics[begin : begin + AT_ONCE])
    for file in FILES:
        if (folder / file).exists():
            client.log_artifact(run, str(folder / file))
    if (folder / "models").is_dir():
        client.log_artifacts(run, str(folder / "models"), "models")


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested sections."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def metric_values(folder: Path) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of what the run in `folder` has scored: a step is an era, 0 of the summary, or a trial."""
    scores = read_frame(folder / "per_era.csv").dropna(subset="value")
    for model, era, metric, value in scores[["model", "era", "metric", "value"]].itertuples(index=False):
        yield f"{model}/{metric}", float(value), int(era)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for model, metrics in summary.items():
        for metric, found in metrics.items():
            for figure in SUMMARISED:
                if found[figure] is not None:
                    yield f"{model}/{metric}/{figure}", float(found[figure]), 0
    if (folder / "search_trials.csv").exists():
        trials = read_frame(folder / "search_trials.csv")
        yield "search/trials", float(len(trials)), 0
        for part, trial, value in trials.dropna(subset="value")[["part", "trial", "value"]].itertuples(index=False):
            yield f"search/{part}/objective", float(value), int(trial)
