"""Predictions that eraflow did not make, on the rows of a finished run and against what the run's data hold beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.scores import ASSET, classic_references, signals_references
from eraflow.scoring import References, strategy
from eraflow.scoring.era import COVERED
from eraflow.scoring.strategy import Holding
from eraflow.sources.classic_files import Folder
from eraflow.sources.classic_models import BENCHMARK_FILES, EXAMPLE_FILE, META_FILE
from eraflow.sources.predictions import foreign
from eraflow.tables import Store, Version

OLDER = "the run's tables are of another version of eraflow"
NOT_OF_SIGNALS = "Numerai's files of Signals hold none"


@dataclass(frozen=True)
class Known:
    """What a run's data hold predictions against; `lacking` tells in sentences what they do not, and which metrics so.

    `spreads` makes `model, era, metric, value` of predictions where there are prices; `payout` is the run's.
    """

    references: References = field(default_factory=References)
    asset: str | None = None
    spreads: Callable[[DataFrame], pd.DataFrame] | None = None
    payout: scoring.Payout | None = None
    lacking: tuple[str, ...] = ()


def known(spark: SparkSession, run: RunFolder) -> Known:
    """What the run in this folder was scored against, at the versions of its tables; files are read as they are now."""
    told = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    try:
        config = Config.model_validate(told["config"])
    except ValidationError:
        return Known(lacking=("only metrics of predictions and targets: run.json is of another version of eraflow",))
    store = Store(spark, config.tables.root)
    needed = (
        ("classic_eras", "classic_training")
        if config.is_classic
        else ("prices", "eras", "training", *(["signals"] if config.signals.path else []))
    )
    made = {table: told["tables"][table] for table in needed}
    if not all(isinstance(version, dict) for version in made.values()):
        return Known(lacking=(f"only metrics of predictions and targets: {OLDER}",))
    versions = {table: store.version(f"{table}/{at['recipe']}", at["version"]) for table, at in made.items()}
    there = {table: version for table, version in versions.items() if version is not None}
    if config.is_classic and "classic_eras" in there and "features" not in there["classic_eras"].manifest:
        return Known(lacking=(f"only metrics of predictions and targets: {OLDER}",))
    if gone := [table for table in needed if table not in there]:
        reason = f"version {made[gone[0]]['version']} of table {gone[0]} is not in {config.tables.root} any more"
        return Known(lacking=(f"only metrics of predictions and targets: {reason}",))
    found = (_of_classic if config.is_classic else _of_signals)(config, store, there)
    return Known(*found, scoring.Payout(**config.scoring.payout.model_dump()), _lacking(config, found[0], there))


Found = tuple[References, str | None, Callable[[DataFrame], pd.DataFrame] | None]


def _of_classic(config: Config, store: Store, versions: Mapping[str, Version]) -> Found:
    eras, packed = versions["classic_eras"], versions["classic_training"]
    folder, sets = Folder(str(eras.manifest["source"])), PackedSets.of({**eras.manifest, **packed.manifest})
    return classic_references(config, store, folder, sets, packed), None, None


def _of_signals(config: Config, store: Store, versions: Mapping[str, Version]) -> Found:
    data = training(store, versions["training"], config.targets.main)
    signals = versions.get("signals")
    theirs = store.read(signals) if signals else None
    first_week = versions["eras"].manifest.get("first_week")
    first = date.fromisoformat(first_week) if first_week else None
    holding = Holding(config.targets.lag, config.targets.names[config.targets.main])
    bars = store.read(versions["prices"])
    return signals_references(config, store, data, theirs, first), ASSET, partial(_spreads, bars=bars, holding=holding)


def _spreads(rows: DataFrame, bars: DataFrame, holding: Holding) -> pd.DataFrame:
    """Quantile spreads by era."""
    # Eras x quantiles.
    return strategy.spreads(strategy.quantile_returns(strategy.histories(rows, bars, holding)).toPandas())


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
    told = []
    for need, reason in reasons.items():
        if not getattr(references, need):
            own = {name: metric.needs for name, metric in scoring.METRICS.items() if need in metric.needs}
            names = [name for name, needs in own.items() if set(needs) <= set(reasons)]  # others are not of Classic
            told.append(f"no {', '.join(names)}: {reason}")
    return tuple(told)


@dataclass(frozen=True)
class Scored:
    """Scores of predictions, and what is missing among them, in sentences."""

    per_era: pd.DataFrame  # model, era, metric, value
    exposures: pd.DataFrame  # as `scoring.largest_exposures`
    lacking: tuple[str, ...]


def scored(spark: SparkSession, run: RunFolder, path: str, label: str) -> Scored:
    """The file's predictions scored on the run's out-of-fold rows with a known target.

    InputError where the file has none of the run's ids, or too few of an era's.
    """
    given, against = foreign(spark, path), known(spark, run)
    keys = ["id", "era"] if "era" in given.columns else ["id"]
    targets = predictions.targets(spark.read.parquet(run.predictions()))
    rows = predictions.as_model(targets.join(given, on=keys, how="left"), label)
    without = _uncovered(rows, path, run)
    predicted = rows.where("prediction is not null")
    scores = scoring.collected(scoring.score_eras(predicted, against.references, against.asset))
    by_fold = scores.drop(columns="detail")  # eras x folds x metrics rows
    lacking = [*against.lacking, *_unknown(by_fold, against.references)]
    if without:
        lacking.append(f"not scored, for want of predictions: eras {', '.join(map(str, without))}")
    if against.payout is not None:
        by_fold = scoring.with_payout(by_fold, against.payout)
    per_era = scoring.per_era(by_fold)
    if against.spreads is not None:
        per_era = pd.concat([per_era, against.spreads(predicted)], ignore_index=True)
    told = tuple(f"{label}: {sentence}" for sentence in lacking)
    return Scored(per_era, scoring.largest_exposures(scores), told)


def _uncovered(rows: DataFrame, path: str, run: RunFolder) -> list[int]:
    """The eras without any prediction. InputError where one is infinite, or an era has too few."""
    told = predictions.coverage(rows)
    if not any(row["predicted"] for row in told):
        raise InputError(f"--predictions {path} has no row of the ids that {run.path} has targets for.")
    for row in told:
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
    return [row["era"] for row in told if not row["predicted"]]


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
