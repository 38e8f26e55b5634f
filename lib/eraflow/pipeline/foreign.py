"""Predictions that eraflow did not make, on the rows of a finished run and against what the run's data hold beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import pandas as pd
from pydantic import ValidationError
from pyspark.sql import DataFrame, SparkSession

from eraflow import predictions, scoring
from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.features.packing import PackedSets
from eraflow.pipeline.dataset import training
from eraflow.pipeline.finished import config_of, manifest_of
from eraflow.pipeline.folder import RunFolder, uri
from eraflow.pipeline.repeated import version_read
from eraflow.pipeline.scored import Against, Scored, payout, scored
from eraflow.pipeline.scores import ASSET, classic_references, signals_references, strategy
from eraflow.progress import Progress
from eraflow.scoring import References
from eraflow.scoring.era import COVERED
from eraflow.scoring.strategy import Holding
from eraflow.sources.classic_files import Folder
from eraflow.sources.classic_models import BENCHMARK_FILES, EXAMPLE_FILE, META_FILE
from eraflow.sources.predictions import foreign
from eraflow.tables import Store, Version

OLDER = "the run's tables are of another version of eraflow"
NOT_OF_SIGNALS = "Numerai's files of Signals hold none"


@dataclass(frozen=True)
class ScoredAgainst:
    """What a run's data hold predictions against; `lacking` says in sentences which metrics they do not know."""

    against: Against = field(default_factory=Against)
    lacking: tuple[str, ...] = ()


def scored_against(spark: SparkSession, run: RunFolder) -> ScoredAgainst:
    """What the run in this folder was scored against: its tables as it had read them, and files as they are now."""
    manifest = manifest_of(run.path.parent, run.path.name)
    try:
        config = config_of(manifest)
    except ValidationError:
        return _without("run.json is of another version of eraflow")
    store = Store(spark, config.tables.root)
    needed = (
        ("classic_eras", "classic_training")
        if config.is_classic
        else ("prices", "eras", "training", *(["signals"] if config.signals.path else []))
    )
    if not all(isinstance(manifest["tables"][table], dict) for table in needed):
        return _without(OLDER)
    versions = {table: version_read(store, manifest, table) for table in needed}
    present = {table: version for table, version in versions.items() if version is not None}
    if config.is_classic and "classic_eras" in present and "features" not in present["classic_eras"].manifest:
        return _without(OLDER)
    if gone := [table for table in needed if table not in present]:
        number = manifest["tables"][gone[0]]["version"]
        return _without(f"version {number} of table {gone[0]} is not in {config.tables.root} any more")
    against = (_of_classic if config.is_classic else _of_signals)(config, store, present)
    return ScoredAgainst(against, _lacking(config, against.references, present))


def _without(reason: str) -> ScoredAgainst:
    return ScoredAgainst(lacking=(f"only metrics of predictions and targets: {reason}",))


def _of_classic(config: Config, store: Store, versions: Mapping[str, Version]) -> Against:
    eras, packed = versions["classic_eras"], versions["classic_training"]
    folder, sets = Folder(str(eras.manifest["source"])), PackedSets.of({**eras.manifest, **packed.manifest})
    return Against(classic_references(config, store, folder, sets, packed), payout=payout(config))


def _of_signals(config: Config, store: Store, versions: Mapping[str, Version]) -> Against:
    data = training(store, versions["training"], config.targets.main)
    signals = versions.get("signals")
    theirs = store.read(signals) if signals else None
    first_week = versions["eras"].manifest.get("first_week")
    first = date.fromisoformat(first_week) if first_week else None
    holding = Holding(config.targets.lag, config.targets.names[config.targets.main])
    portfolios = partial(strategy, prices=store.read(versions["prices"]), holding=holding)
    return Against(signals_references(config, store, data, theirs, first), ASSET, portfolios, payout(config))


def _lacking(config: Config, references: References, versions: Mapping[str, Version]) -> tuple[str, ...]:
    """A sentence for each kind of reference that is not there, with the metrics that need it."""
    unset = {"features": "scoring.feature_sets is []", "benchmarks": "scoring.benchmarks is []"}
    if config.is_classic:
        place = versions["classic_eras"].manifest["source"]
        reasons = {
            "meta_model": f"{place} holds no {META_FILE}",
            "benchmarks": f"{place} holds none of {', '.join(BENCHMARK_FILES)}",
            "example": f"{place} holds no {EXAMPLE_FILE}",
        }
        reasons |= {"features": unset["features"]} | (unset if config.scoring.benchmarks == () else {})
    else:
        place = config.signals.path
        files = f"{place} holds no such files" if place else "signals.path names no folder with Numerai's files"
        reasons = dict.fromkeys(("meta_model", "benchmarks"), NOT_OF_SIGNALS)
        reasons |= {"features": unset["features"], "neutralizers": files, "weights": files}
    sentences = []
    for need, reason in reasons.items():
        if not getattr(references, need):
            needing = {name: metric.needs for name, metric in scoring.METRICS.items() if need in metric.needs}
            names = [name for name, needs in needing.items() if set(needs) <= set(reasons)]  # others are not of Classic
            sentences.append(f"no {', '.join(names)}: {reason}")
    return tuple(sentences)


@dataclass(frozen=True)
class Theirs:
    """Scores of predictions, and what is missing among them, in sentences."""

    scored: Scored
    lacking: tuple[str, ...]


def theirs(spark: SparkSession, run: RunFolder, path: str, label: str, progress: Progress) -> Theirs:
    """The file's predictions scored on the run's out-of-fold rows with a known target.

    InputError where the file has none of the run's ids, or too few of an era's.
    """
    given, held = foreign(spark, path), scored_against(spark, run)
    keys = ["id", "era"] if "era" in given.columns else ["id"]
    targets = predictions.targets(spark.read.parquet(uri(run.out_of_fold)))
    rows = predictions.as_model(targets.join(given, on=keys, how="left"), label)
    without = _uncovered(rows, path, run)
    found = scored(rows.where("prediction is not null"), held.against, progress)
    lacking = [*held.lacking, *_unknown(found.by_fold, held.against.references)]
    if without:
        lacking.append(f"not scored, for want of predictions: eras {', '.join(map(str, without))}")
    return Theirs(found, tuple(f"{label}: {sentence}" for sentence in lacking))


def _uncovered(rows: DataFrame, path: str, run: RunFolder) -> list[int]:
    """The eras without any prediction. InputError where one is infinite, or an era has too few."""
    covered = predictions.coverage(rows)
    if not any(row["predicted"] for row in covered):
        raise InputError(f"--predictions {path} has no row of the ids that {run.path} has targets for.")
    for row in covered:
        if row["infinite"] is not None:
            raise InputError(
                f"--predictions {path}: column 'prediction' is infinite in era {row['era']} (id {row['infinite']!r}); "
                "give numbers."
            )
        if 0 < row["predicted"] < COVERED * row["ids"]:
            raise InputError(
                f"--predictions {path} has {row['predicted']} of the {row['ids']} ids of era {row['era']}; Numerai's "
                "scores take no fewer than four fifths."
            )
    return [row["era"] for row in covered if not row["predicted"]]


def _unknown(scores: pd.DataFrame, references: References) -> list[str]:
    """Sentences on references that are there, but for none of the eras."""
    valued = set(scores.loc[scores["value"].notna(), "metric"])
    named = {"mmc": references.meta_model, "corr_with_example_preds": references.example, "alpha": references.weights}
    named |= {f"bmc_{name}": name for name in references.benchmarks}
    named |= {f"exposure_rms_{name}": part.column for name, part in references.features.items()}
    return [
        f"no {metric} in any era: {column} does not know these rows"
        for metric, column in named.items()
        if column and metric not in valued
    ]
