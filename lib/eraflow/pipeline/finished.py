"""What finished runs have left of their scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from eraflow.errors import InputError
from eraflow.frames import read_frame
from eraflow.pipeline.folder import RunFolder


@dataclass(frozen=True)
class FinishedRun:
    """Scores of a finished run; its models are called RUN/MODEL."""

    name: str
    folder: RunFolder
    per_era: pd.DataFrame  # model, era, metric, value
    exposures: pd.DataFrame  # model, era, fold, metric, value, feature
    overlap: int  # eras that a label spans
    target: str
    dates: Mapping[int, date]  # of eras, where they are known


def finished(base: Path, name: str) -> FinishedRun:
    """InputError where there is no finished run of this name."""
    path = base / name
    if not (path / "run.json").exists():
        known = sorted(file.parent.name for file in base.glob("*/run.json"))
        raise InputError(
            f"{path} holds no finished run; {'finished are ' + ', '.join(known) if known else 'train one'}."
        )
    told = json.loads((path / "run.json").read_text(encoding="utf-8"))
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    spanned = [x for metrics in summary.values() for x in metrics.values() if x["eras"]]
    overlap = round(spanned[0]["eras"] / spanned[0]["effective_eras"]) if spanned else 1
    return FinishedRun(
        name=name,
        folder=RunFolder(path),
        per_era=_named(name, path / "per_era.csv", ["model", "era", "metric", "value"]),
        exposures=_named(name, path / "exposures.csv", ["model", "era", "fold", "metric", "value", "feature"]),
        overlap=overlap,
        target=told["config"]["targets"]["main"],
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
    known = read_frame(file, ["era", "date"]).dropna().drop_duplicates("era")
    return dict(zip(known["era"].astype(int), pd.to_datetime(known["date"]).dt.date, strict=True))
