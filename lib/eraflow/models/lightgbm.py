"""Gradient boosting by LightGBM, trained inside Spark by SynapseML and usable without it.

SynapseML 1.1.3 fails silently in several ways; each guard below names the one that it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from synapse.ml.lightgbm import LightGBMRegressor

from eraflow.config import LightGbm
from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.session import fixed_partitions, slots

# A task with a few rows only can end in a crash of the native library (SynapseML #2333).
MIN_ROWS_PER_TASK = 2000
MIN_ERAS_PER_TASK = 10  # eras are spread by hash, so that fewer could leave a task without any
# The sample that bins are made of lands on the driver at 8 bytes a value: 200 MB, or 20,000 rows where they are wide.
BIN_SAMPLE_VALUES = 25_000_000


@dataclass(frozen=True)
class LightGbmModel:
    """LightGBM regression on packed levels."""

    config: LightGbm
    seed: int

    def fit(self, training: Training, eras: Sequence[int]) -> FittedLightGbm:
        """Fits on the rows of `eras` with a known target. InputError where there are too few of them."""
        rows = training.labelled(eras)
        spark = rows.sparkSession
        counted = rows.agg(F.count("*").alias("rows"), F.min(F.size("features")), F.max(F.size("features"))).first()
        count, shortest, longest = counted if counted is not None else (0, 0, 0)
        if count < 2 * self.config.min_data_in_leaf:
            raise InputError(
                f"model: {count} rows with a known {training.target} in eras {eras[0]} to {eras[-1]} are too few for "
                f"model.min_data_in_leaf={self.config.min_data_in_leaf}; lower it, or give a longer history."
            )
        # Rows of unequal length would train without a word (#2703).
        if not shortest == longest == len(training.feature_names):
            raise RuntimeError(f"feature arrays have {shortest} to {longest} values, not {len(training.feature_names)}")
        tasks = max(1, min(slots(spark), count // MIN_ROWS_PER_TASK, len(eras) // MIN_ERAS_PER_TASK))
        # The order of rows decides bagging, so it is fixed; the partitions are counted once and then read again, so
        # adaptive execution must not change them in between (#2278).
        with fixed_partitions(spark):
            ordered = rows.repartition(tasks, "era").sortWithinPartitions("era", "id")
            ready = ordered.select(
                _vector(training.missing).alias("features"), F.col(training.target).cast("double").alias("label")
            )
            model = self._estimator(training, tasks, slots(spark)).fit(ready)
        # An exception inside an iteration ends training early without an error.
        trees = model.getBoosterNumTotalIterations()
        if trees != self.config.trees:
            raise InputError(
                f"model: LightGBM stopped after {trees} of {self.config.trees} trees, as it does when no split is left "
                f"or an iteration fails; lower model.min_data_in_leaf={self.config.min_data_in_leaf}, or give more."
            )
        return FittedLightGbm(model, training.missing)

    def _estimator(self, training: Training, tasks: int, threads: int) -> Any:
        """A new estimator for every fit: one keeps the bins of the data that it saw first."""
        config = self.config
        return LightGBMRegressor(
            objective="regression",
            featuresCol="features",
            labelCol="label",
            numIterations=config.trees,
            learningRate=config.learning_rate,
            maxDepth=config.max_depth,
            numLeaves=config.num_leaves,
            featureFraction=config.feature_fraction,
            baggingFraction=config.bagging_fraction,
            baggingFreq=config.bagging_freq,
            minDataInLeaf=config.min_data_in_leaf,
            seed=self.seed,
            baggingSeed=self.seed,
            featureFractionSeed=self.seed,
            dataRandomSeed=self.seed,
            deterministic=True,
            passThroughArgs="force_col_wise=true verbosity=-1",
            maxBin=7,  # five levels and missing
            binSampleCount=min(200_000, max(20_000, BIN_SAMPLE_VALUES // len(training.feature_names))),
            dataTransferMode="streaming",
            microBatchSize=1000,
            numTasks=tasks,
            numThreads=max(1, threads // tasks) if tasks > 1 else threads,
            slotNames=list(training.feature_names),  # a vector made of an array carries no names
            verbosity=-1,
        )


@dataclass(frozen=True)
class FittedLightGbm:
    """A trained booster inside Spark."""

    model: Any
    missing: int

    def predict(self, rows: DataFrame) -> DataFrame:
        """`id, era, prediction` of every row; a missing level goes down the branch that training chose for it."""
        ready = rows.select("id", "era", _vector(self.missing).alias("features"))
        predicted: DataFrame = self.model.transform(ready)
        return predicted.select("id", "era", F.col("prediction").cast("double"))

    def native_string(self) -> str:
        """The model as LightGBM's own text, which `lightgbm.Booster(model_str=...)` loads."""
        return str(self.model.getNativeModel())

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.txt").write_text(self.native_string(), encoding="utf-8")


def _vector(missing: int) -> Column:
    """The packed levels as the vector that LightGBM reads, made last because it takes 8 bytes a value."""
    values = F.transform("features", lambda x: F.when(x == missing, F.lit(float("nan"))).otherwise(x.cast("double")))
    return array_to_vector(values)
