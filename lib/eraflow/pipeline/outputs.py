"""What a run leaves in its folder beside predictions and models: scores, the report, the manifest."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame

from eraflow import scoring
from eraflow.config import Config
from eraflow.pipeline.build import Tables
from eraflow.pipeline.folder import write_json, write_text
from eraflow.pipeline.versions import git_revision
from eraflow.reporting import ReportContent, render
from eraflow.sources import quality, signals_files
from eraflow.submission import write as write_csv
from eraflow.validation import Fold

SYNTHETIC_NOTE = (
    "The prices are invented. The effects planted in them have a drift of {momentum} (momentum) and {network} "
    "(network) daily deviations; real markets pay far less."
)
SURVIVORS_NOTE = (
    "Scores rest on the tickers that the price files hold. If those were chosen by who is left today, failed companies "
    "are missing and every score is too good (survivorship bias)."
)


# Seen in a numpy prototype: 80 seeds of noise, 5 blocked folds, 17 to 22 % (walk-forward on the same data: 1 to 9 %).
TWO_SIDED_NOTE = (
    "Folds of this splitter share training data in both directions, so their scores move together and intervals are "
    "too narrow: on noise they missed zero in about 20 % of runs instead of 5 %. Walk-forward does not have this fault."
)


@dataclass(frozen=True)
class Content:
    """What is known at the end of a run."""

    config: Config
    tables: Tables
    identity: Mapping[str, Any]
    folds: Sequence[Fold]
    era_dates: Mapping[int, date]
    scored: pd.DataFrame  # model, era, fold, metric, value
    unscored: Mapping[str, Sequence[int]]
    unlabelled: Sequence[int]  # eras whose label has ended without enough known returns for a target
    overlap: int
    quality: DataFrame
    signals_match: DataFrame | None
    seconds: float


def write(folder: Path, content: Content) -> None:
    """Writes per_era.csv, summary.json, report.html and, last, run.json, which says that the run is finished."""
    per_era = scoring.per_era(content.scored)
    summary = scoring.summarise(per_era, content.overlap)
    write_csv(per_era, folder / "per_era.csv")
    write_json(folder / "summary.json", summary)
    found = quality.counted(content.quality, content.config.quality.model_dump())
    if content.signals_match is not None:
        found = pd.concat([found, signals_files.counted(content.signals_match)], ignore_index=True)
    dated = per_era.assign(date=per_era["era"].map(dict(content.era_dates)))
    report = ReportContent(
        title="eraflow: out-of-fold scores",
        run_name=content.config.run.name,
        notes=_notes(content),
        per_era=dated,
        summary=summary,
        folds=content.folds,
        era_dates=content.era_dates,
        quality=found,
        facts=_facts(content),
    )
    write_text(folder / "report.html", render(report))
    write_json(folder / "run.json", _manifest(content, found))


def headlines(folder: Path) -> tuple[str, ...]:
    """The scores of a finished run and where its page is, as lines for a terminal."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    lines = []
    for model, metrics in summary.items():
        for metric, found in metrics.items():
            low_high = found["interval"]
            span = (
                f"{found['confidence']:.0%} interval {low_high[0]:+.4f} to {low_high[1]:+.4f}"
                if low_high
                else "too few eras for an interval"
            )
            sharpe = "" if found["sharpe"] is None else f", Sharpe {found['sharpe']:.2f} an era"
            mean = "undefined" if found["mean"] is None else f"{found['mean']:+.4f}"
            lines.append(f"{model} {metric}: mean {mean}, {span}, {found['eras']} eras{sharpe}")
    return (*lines, f"report: {folder / 'report.html'}")


def _notes(content: Content) -> tuple[str, ...]:
    config = content.config
    notes = []
    if config.source == "synthetic":
        notes.append(SYNTHETIC_NOTE.format(momentum=config.synthetic.momentum, network=config.synthetic.network))
    else:
        notes += [config.prices.note] if config.prices.note else []
        notes.append(SURVIVORS_NOTE)
    if config.validation.splitter != "walk_forward":
        notes.append(TWO_SIDED_NOTE)
    if content.unlabelled:
        dropped = ", ".join(map(str, content.unlabelled))
        notes.append(f"Eras {dropped} have too few known returns for a target and are neither learned nor scored.")
    for model, eras in content.unscored.items():
        notes.append(
            f"{model}: eras {', '.join(map(str, eras))} have predictions but no known target and are not scored."
        )
    return tuple(notes)


def _facts(content: Content) -> dict[str, str]:
    config, manifest = content.config, content.tables.training.manifest
    dates = list(content.era_dates.values())
    return {
        "source": str(content.tables.prices.manifest["source"]),
        "eras": f"{len(dates)} weekly eras, {dates[0]} to {dates[-1]}",
        "features": f"{len(manifest['features'])} ({config.features.set})",
        "target": f"{config.targets.main}, {config.targets.lag} days after the era's date",
        "labels overlap": f"{content.overlap} eras",
        "validation": f"{config.validation.splitter}, {len(content.folds)} folds",
        "model": ", ".join(f"{key} {value}" for key, value in config.model.model_dump().items()),
        "seed": str(config.run.seed),
        "tables": ", ".join(f"{name} {number}" for name, number in content.tables.numbers().items()),
        "software": ", ".join(f"{name} {value}" for name, value in content.identity["software"].items()),
    }


def _manifest(content: Content, found: pd.DataFrame) -> dict[str, Any]:
    return {
        "config": content.config.resolved(),
        "identity": content.identity,
        "tables": content.tables.numbers(),
        "manifest": content.tables.training.manifest,
        "folds": [asdict(fold) for fold in content.folds],
        "quality": found.to_dict(orient="records"),
        "unscored_eras": {model: list(eras) for model, eras in content.unscored.items()},
        "git_revision": git_revision(),
        # Beside these, names of folders and numbers of table versions may differ between runs with the same content.
        "clock": {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seconds": round(content.seconds, 1)},
    }
