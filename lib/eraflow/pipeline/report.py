"""What the job `report` does: finished runs beside each other, and foreign predictions beside a run's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.pipeline.comparison import Comparison
from eraflow.pipeline.finished import finished, trials
from eraflow.pipeline.foreign import scored
from eraflow.pipeline.train import open_holdout
from eraflow.progress import Progress
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
    scores, exposures = [run.per_era for run in found], [run.exposures for run in found]
    name, tried = "-".join(run.name for run in found), trials(base)
    lacking: tuple[str, ...] = ()
    if predictions is not None:
        if len(found) > 1:
            raise InputError("--predictions is scored against one run's targets; name one with --runs.")
        progress.stage(f"scoring {predictions}")
        label = Path(predictions).stem
        theirs = scored(spark, found[0].folder, predictions, label)
        scores.append(theirs.per_era)
        exposures.append(theirs.exposures)
        name, tried, lacking = f"{name}-{label}", tried + 1, theirs.lacking
    every, largest = _together(scores), _together(exposures)
    return Comparison(found, every, largest, lacking, metric or METRIC, tried).write(base / "reports" / name)


def _together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Their rows; an empty one would change the types of the others."""
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
