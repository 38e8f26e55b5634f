"""What the job `report` does: finished runs beside each other, and foreign predictions beside a run's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow import scoring
from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.pipeline.folder import RunFolder, write_json
from eraflow.pipeline.train import open_holdout
from eraflow.progress import Progress
from eraflow.scoring.compare import differences, leaderboard, overfitting_probability
from eraflow.scoring.era import COVERED
from eraflow.session import local_path
from eraflow.sources.predictions import foreign
from eraflow.submission import write as write_csv

METRIC = "numerai_corr"


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run has left of its scores."""

    name: str
    folder: RunFolder
    per_era: pd.DataFrame  # model, era, metric, value
    overlap: int  # eras that a label spans
    target: str


def report(
    spark: SparkSession,
    config: Config,
    progress: Progress,
    runs: Sequence[str] | None = None,
    predictions: str | None = None,
    metric: str | None = None,
    holdout: str | None = None,
) -> tuple[str, ...]:
    """Compares `runs` (config's own where none is named), or scores `predictions` against the one run's targets.

    With `holdout`, the name of the config's own run, its held-out eras are scored instead.
    """
    if holdout is not None:
        if holdout != config.run.name or runs or predictions:
            raise InputError(
                f"--open-holdout {holdout}: name the run that --config and --set describe ({config.run.name}), and "
                "nothing else."
            )
        return open_holdout(spark, config, progress)
    base = local_path(config.run.dir, "run.dir")
    found = [finished(base, name) for name in dict.fromkeys(runs or [config.run.name])]
    scores = [run.per_era.assign(model=run.name + "/" + run.per_era["model"].astype(str)) for run in found]
    name = "-".join(run.name for run in found)
    out = base / "reports" / name
    if predictions is not None:
        if len(found) > 1:
            raise InputError("--predictions is scored against one run's targets; name one with --runs.")
        progress.stage(f"scoring {predictions}")
        label = Path(predictions).stem
        scores.append(_score_foreign(spark, found[0], predictions, label))
        out = base / "reports" / f"{name}-{label}"
    tried = trials(base) + (predictions is not None)
    return _compared(found, pd.concat(scores, ignore_index=True), metric or METRIC, tried, out)


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
    target = told["config"]["targets"]["main"]
    return FinishedRun(name, RunFolder(path), pd.read_csv(path / "per_era.csv"), overlap, target)


def trials(base: Path) -> int:
    """How many models all finished runs below `base` have scored, and settings their searches have tried.

    It is what a best one was chosen among, at least.
    """
    finished = [file.parent for file in base.glob("*/run.json")]
    models = sum(len(json.loads((run / "summary.json").read_text(encoding="utf-8"))) for run in finished)
    tried = (run / "search_trials.csv" for run in finished)
    return models + sum(len(pd.read_csv(file)) for file in tried if file.exists())


def _score_foreign(spark: SparkSession, run: FinishedRun, path: str, label: str) -> pd.DataFrame:
    """`model, era, metric, value` of the file's predictions on the run's out-of-fold rows with a known target.

    Metrics that need no more than predictions and targets. InputError where the file has none of the run's ids.
    """
    given = foreign(spark, path)
    known = _targets(spark, run)
    keys = ["id", "era"] if "era" in given.columns else ["id"]
    rows = known.join(given, on=keys, how="left").withColumn("model", F.lit(label))
    counts = rows.groupBy("era").agg(F.count("*").alias("ids"), F.count("prediction").alias("predicted"))
    told = counts.where("predicted > 0").orderBy("era").collect()  # one row an era
    if not told:
        raise InputError(f"--predictions {path} has no row of the ids that {run.folder.path} has targets for.")
    for row in told:
        if row["predicted"] < COVERED * row["ids"]:
            raise InputError(
                f"--predictions {path} has {row['predicted']} of the {row['ids']} ids of era {row['era']}; Numerai's "
                "scores take no fewer than four fifths."
            )
    scored = scoring.score_eras(rows.where("prediction is not null"))
    return scoring.per_era(scoring.collected(scored))  # eras x metrics rows


def _targets(spark: SparkSession, run: FinishedRun) -> DataFrame:
    """`id, era, fold, target` of the run's validated rows with a known target, each once."""
    rows = spark.read.parquet(run.folder.predictions()).where("target is not null and not isnan(target)")
    return rows.groupBy("id", "era").agg(F.min("fold").alias("fold"), F.max("target").alias("target"))


def _compared(
    found: Sequence[FinishedRun], scores: pd.DataFrame, metric: str, tried: int, out: Path
) -> tuple[str, ...]:
    if metric not in set(scores["metric"]):
        raise InputError(f"--metric {metric}: there are {', '.join(sorted(set(scores['metric'])))}.")
    overlap = max(run.overlap for run in found)
    board = leaderboard(scores, metric, overlap, tried)
    apart = differences(scores, metric, overlap)
    overfitting = overfitting_probability(scores, metric, overlap)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(board, out / "leaderboard.csv")
    write_csv(apart, out / "differences.csv")
    write_csv(scores, out / "per_era.csv")
    summary: dict[str, Any] = {
        "metric": metric,
        "runs": [run.name for run in found],
        "targets": sorted({run.target for run in found}),
        "overlap": overlap,
        "trials": max(tried, len(board)),
        "overfitting_probability": overfitting,
        "summary": scoring.summarise(scores, overlap),
    }
    write_json(out / "comparison.json", summary)
    return (*_told(board, apart, summary), f"written to {out}")


def _told(board: pd.DataFrame, apart: pd.DataFrame, summary: dict[str, Any]) -> list[str]:
    tried = summary["trials"]
    lines = [
        f"{row.model}: mean {row.mean:+.4f}{_span(row)}, Sharpe {row.sharpe:.2f} an era; above 0 after {tried} trials "
        f"with a probability of {row.deflated:.2f}; {row.eras} eras"
        for row in board.itertuples(index=False)
    ]
    lines += [
        f"{row.model} less {row.other}: {row.mean:+.4f}{_span(row)} over {row.eras} eras"
        for row in apart.itertuples(index=False)
    ]
    if summary["overfitting_probability"] is not None:
        lines.append(f"probability that the best of these is overfitted: {summary['overfitting_probability']:.2f}")
    if len(summary["targets"]) > 1:
        lines.append(f"these runs have different targets ({', '.join(summary['targets'])}); scores do not compare.")
    return lines


def _span(row: Any) -> str:
    return "" if pd.isna(row.low) else f" ({row.low:+.4f} to {row.high:+.4f})"
