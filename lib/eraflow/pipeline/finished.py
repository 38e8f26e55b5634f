"""What finished runs have left of their scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import pandas as pd

from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.frames import read_frame
from eraflow.pipeline.folder import RunFolder

LATER = ("explain", "submit", "monitor", "retrain", "replay")  # sections of jobs that come after a training


@dataclass(frozen=True)
class FinishedRun:
    """Scores of a finished run; its models are called RUN/MODEL."""

    name: str
    folder: RunFolder
    per_era: pd.DataFrame  # model, era, metric, value
    exposures: pd.DataFrame  # model, era, fold, metric, value, feature
    strategy: pd.DataFrame  # what portfolios have earned: model, cost_bp, annual_return, ...
    overlap: int  # eras that a label spans
    target: str
    dates: Mapping[int, date]  # of eras, where they are known


def manifest_of(base: Path, name: str) -> Mapping[str, Any]:
    """The manifest of the finished run of this name. InputError where there is none."""
    path = base / name
    if not (path / "run.json").exists():
        names = sorted(file.parent.name for file in base.glob("*/run.json"))
        raise InputError(
            f"{path} holds no finished run; {'finished are ' + ', '.join(names) if names else 'train one'}."
        )
    try:
        return cast(Mapping[str, Any], json.loads((path / "run.json").read_text(encoding="utf-8")))
    except ValueError:
        raise InputError(f"{path / 'run.json'} is no whole manifest; train the run anew.") from None


def settings_of(base: Path, name: str, option: str) -> tuple[Mapping[str, Any], Config]:
    """The manifest of the finished run of this name and its settings (`config_of`), with the submission that it had.

    InputError, which names the `option` that asked for it: there is no such run, or it is of another version.
    """
    manifest, file = manifest_of(base, name), base / name / "run.json"
    try:
        config = config_of(manifest)
        # A manifest sorts its keys: which model was the first, and so the submission, the identity tells.
        submission = str(manifest["identity"]["config"]["run"]["submission"])
        if not all(isinstance(made, dict) for made in manifest["tables"].values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):  # pydantic's ValidationError is a ValueError
        raise InputError(f"{option} {name}: {file} is of another version of eraflow; train the run anew.") from None
    return manifest, config.model_copy(update={"run": config.run.model_copy(update={"submission": submission})})


def config_of(manifest: Mapping[str, Any]) -> Config:
    """The settings of a finished run. pydantic's ValidationError where another version has written them.

    Sections that decide no result, and keys of what jobs after it go by, which eraflow did not have when the run was
    made, are as base.yml has them; keys that it has no more are left out.
    """
    base, saved = load([], []), manifest["config"]
    idle = {key: value for key, value in base.resolved().items() if key not in base.decisive()}
    later = {section: {key: saved[section].get(key, value) for key, value in idle[section].items()}
             for section in LATER if section in saved}  # fmt: skip
    return Config.model_validate({**idle, **saved, **later})


def finished(base: Path, name: str) -> FinishedRun:
    """InputError where there is no finished run of this name."""
    path, manifest = base / name, manifest_of(base, name)
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    spanned = [x for metrics in summary.values() for x in metrics.values() if x["eras"]]
    overlap = round(spanned[0]["eras"] / spanned[0]["effective_eras"]) if spanned else 1
    return FinishedRun(
        name=name,
        folder=RunFolder(path),
        per_era=_named(name, path / "per_era.csv", ["model", "era", "metric", "value"]),
        exposures=_named(name, path / "exposures.csv", ["model", "era", "fold", "metric", "value", "feature"]),
        strategy=_named(name, path / "strategy.csv", ["model"]),
        overlap=overlap,
        target=manifest["config"]["targets"]["main"],
        dates=_dates(path / "frames/per_era.csv"),
    )


def trials(base: Path) -> int:
    """How many models all finished runs below `base` have scored, and settings their searches have tried.

    It is what a best one was chosen among, at least.
    """
    finished = [file.parent for file in base.glob("*/run.json")]
    models = sum(len(json.loads((run / "summary.json").read_text(encoding="utf-8"))) for run in finished)
    tried = (run / "search_trials.csv" for run in finished)
    return models + sum(len(read_frame(file)) for file in tried if file.exists())


def _named(run: str, file: Path, columns: list[str]) -> pd.DataFrame:
    """The frame in the file, empty where there is none."""
    frame = read_frame(file) if file.exists() else pd.DataFrame(columns=columns)
    return frame.assign(model=f"{run}/" + frame["model"].astype(str))


def _dates(file: Path) -> dict[int, date]:
    """Of the eras of a run's page."""
    if not file.exists():
        return {}
    dated = read_frame(file, ["era", "date"]).dropna().drop_duplicates("era")
    return dict(zip(dated["era"].astype(int), pd.to_datetime(dated["date"]).dt.date, strict=True))
