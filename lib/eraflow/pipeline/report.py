"""What the job `report` does: finished runs beside each other, and foreign predictions beside a run's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.pipeline.comparison import Comparison
from eraflow.pipeline.finished import FinishedRun, finished, trials
from eraflow.pipeline.foreign import theirs
from eraflow.pipeline.train import open_holdout
from eraflow.progress import Progress
from eraflow.rounds.smoothing import mixed_eras
from eraflow.session import local_path

METRIC = "numerai_corr"


def report(
    spark: SparkSession,
    config: Config,
    progress: Progress,
    runs: Sequence[str] | None = None,
    predictions: str | None = None,
    metric: str | None = None,
    holdout: str | None = None,
    smooth: bool = False,
) -> tuple[str, ...]:
    """Compares `runs` (config's own where none is named), or scores `predictions` against the one run's targets.

    `smooth` scores the run's submission mixed from era to era as `submit.smooth` mixes rounds.

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
    frames = [(run.per_era, run.exposures, run.strategy) for run in found]
    name, tried = "-".join(run.name for run in found), trials(base)
    lacking: tuple[str, ...] = ()
    if smooth:
        predictions = str(_smoothed(config, base, found, predictions))
    if predictions is not None:
        if len(found) > 1:
            raise InputError("--predictions is scored against one run's targets; name one with --runs.")
        label = Path(predictions).stem
        beside = theirs(spark, found[0].folder, predictions, label, progress)
        scored = beside.scored
        followed = scored.strategy.performance if scored.strategy is not None else pd.DataFrame(columns=["model"])
        frames.append((scored.per_era, scored.exposures, followed))
        name, tried, lacking = f"{name}-{label}", tried + 1, beside.lacking
    scores, exposures, strategy = map(_together, zip(*frames, strict=True))
    comparison = Comparison(found, scores, exposures, strategy, lacking, metric or METRIC, tried)
    return comparison.write(base / "reports" / name)


def _smoothed(config: Config, base: Path, found: Sequence[FinishedRun], predictions: str | None) -> Path:
    """A file of the mix of the submission's out-of-fold predictions. InputError where there is nothing to mix."""
    share, run = config.submit.smooth, found[0].folder.path
    settings = json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]
    if not share or len(found) > 1 or predictions is not None or str(settings.get("source", "")).startswith("classic"):
        raise InputError(
            "--smooth mixes the submission of one run of Signals with itself; set submit.smooth, e.g. 0.3."
        )
    name = settings.get("run", {}).get("submission") or next(iter(settings["models"]))
    rows = pd.read_parquet(run / f"oof.parquet/model={name}", columns=["id", "era", "prediction"])
    if rows.duplicated(["id", "era"]).any():
        raise InputError(f"--smooth: {run} predicts an era several times; take a run by walk_forward.")
    place = base / "reports" / run.name / f"{name}-smooth-{share:g}.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    mixed_eras(rows, share).to_parquet(place, index=False)
    return place


def _together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Their rows; an empty one would change the types of the others."""
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
