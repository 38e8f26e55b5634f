"""What a run leaves in its folder beside predictions and models: scores, the page, the manifest; and of its holdout."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow import scoring
from eraflow.config import Config
from eraflow.models import saved
from eraflow.pipeline.clock import times
from eraflow.pipeline.content import Content
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.manifest import manifest
from eraflow.pipeline.page import page
from eraflow.pipeline.scored import Scored
from eraflow.validation import Fold
from eraflow.whole_files import write_bytes, write_csv, write_json

OPENINGS = "holdouts.jsonl"  # beside the runs' folders
HEADLINES = ("numerai_corr", "mmc", "spearman", "pearson")  # what a terminal shows


def write(folder: Path, content: Content) -> None:
    """Writes the scores, the page with its figures and frames and, last, run.json: it says that the run is finished.

    Without run.json where a model failed: the run can go on.
    """
    scored, kept, took = content.scored, selected_features(folder), _times(folder, content)
    write_csv(scored.per_era, folder / "per_era.csv")
    write_json(folder / "summary.json", content.summary)
    if scored.strategy is not None:
        write_csv(scored.strategy.performance, folder / "strategy.csv")
        write_csv(scored.strategy.daily, folder / "strategy_daily.csv")
    for frame, name in (
        (scored.exposures, "exposures"), (kept, "selected_features"), (content.trials, "search_trials"),
    ):  # fmt: skip
        if len(frame):
            write_csv(frame, folder / f"{name}.csv")
    for name, data in page(folder, content, kept, took).files():
        write_bytes(folder / name, data)
    if not content.failed:
        write_json(folder / "run.json", manifest(folder, content, took))


def selected_features(folder: Path) -> pd.DataFrame:
    """`model, fit, feature, score`: what the folds' models of a run have chosen to learn from."""
    rows = [
        (file.parts[-3], f"{file.parts[-2]}/{member}" if member else file.parts[-2], *kept)
        for file in sorted(folder.glob(f"models/*/fold-*/{saved.ABOUT}"))
        for member, choices in saved.selections(file.parent).items()
        for kept in choices.items()
    ]
    return pd.DataFrame(rows, columns=["model", "fit", "feature", "score"])


def _times(folder: Path, content: Content) -> pd.DataFrame:
    """What every model and ensemble that was finished took."""
    models, ensembles = (
        [name for name in some if name not in content.failed]
        for some in (content.config.models, content.config.ensembles)
    )
    return times(RunFolder(folder), models, ensembles, [fold.number for fold in content.folds])


def write_holdout(folder: RunFolder, config: Config, overlap: int, scored: Scored, fold: Fold) -> tuple[str, ...]:
    """Writes holdout.json with one opening more; returns the scores of the held-out eras as lines for a terminal.

    Openings of any era in common by other runs of this source below `run.dir` count too, whether their folders are
    there or not: holdouts.jsonl beside the folders has them all.
    """
    place, ledger = folder.path / "holdout.json", folder.path.parent / OPENINGS
    before = json.loads(place.read_text(encoding="utf-8"))["opened"] if place.exists() else []
    opened = [*before, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())]
    summary = scoring.summarise(scored.per_era, overlap)
    eras = [fold.validation[0], fold.validation[-1]]
    write_csv(scored.per_era, folder.path / "holdout_per_era.csv")
    with ledger.open("a", encoding="utf-8") as lines:
        entry = {"run": config.run.name, "source": config.source, "eras": eras, "opened": opened[-1]}
        lines.write(json.dumps(entry) + "\n")
    every = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    common = [one for one in every if one["source"] == config.source and _meet(one["eras"], eras)]
    holdout = {"opened": opened, "opened_by_all_runs": len(common), "eras": eras, "train_eras": len(fold.train)}
    write_json(place, {**holdout, "summary": summary})
    often = "once" if len(common) == 1 else f"{len(common)} times by {len({one['run'] for one in common})} runs"
    return (*_lines(summary), f"holdout of eras {eras[0]} to {eras[1]}, opened {often}: {place}")


def _meet(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two ranges, told by their first and last era, have an era in common."""
    return one[0] <= other[1] and other[0] <= one[1]


def headlines(folder: Path) -> tuple[str, ...]:
    """The scores of a finished run and where its page is, as lines for a terminal."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return (*_lines(summary), f"report: {folder / 'report.html'}")


def _lines(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    for model, metrics in summary.items():
        for metric, found in ((name, metrics[name]) for name in HEADLINES if name in metrics):
            low_high = found["interval"]
            span = (
                f"{found['confidence']:.0%} interval {low_high[0]:+.4f} to {low_high[1]:+.4f}"
                if low_high
                else "too few eras for an interval"
            )
            sharpe = "" if found["sharpe"] is None else f", Sharpe {found['sharpe']:.2f} an era"
            mean = "undefined" if found["mean"] is None else f"{found['mean']:+.4f}"
            lines.append(f"{model} {metric}: mean {mean}, {span}, {found['eras']} eras{sharpe}")
    return lines
