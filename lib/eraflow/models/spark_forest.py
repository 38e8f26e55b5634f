"""Random forest, grown by Spark ML: slower than LightGBM's, and no native library takes part in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import RandomForestRegressionModel, RandomForestRegressor
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.config.models import SparkForest
from eraflow.errors import InputError
from eraflow.features.packing import of_width
from eraflow.models.base import Training, check_features
from eraflow.session import fixed_partitions

BINS = 8  # more than five levels and missing, which is a level below them
# Sums of squares of labels with so few binary places are exact up to 2^21 rows: their order cannot change a split.
LABEL_UNIT = 2.0**-16


@dataclass(frozen=True)
class SparkForestModel:
    """Trees on samples of rows, each split among a sample of the features, averaged."""

    config: SparkForest
    seed: int

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> FittedSparkForest:
        """Fits on the rows of `eras` with a known target. InputError where there are too few of them.

        The table's files decide which rows are sampled: the same version of a table gives the same model.
        """
        config, rows, width = self.config, training.labelled(eras), len(training.feature_names)
        count = rows.count()
        if count < 2 * config.min_data_in_leaf:
            raise InputError(
                f"model: {count} rows with a known {training.target} in eras {eras[0]} to {eras[-1]} are too few for "
                f"min_data_in_leaf={config.min_data_in_leaf}; lower it, or give a longer history."
            )
        label = F.round(F.col(training.target).cast("double") / LABEL_UNIT) * LABEL_UNIT
        weight = training.weight(eras).alias("weight")
        forest = RandomForestRegressor(
            numTrees=config.trees,
            maxDepth=config.max_depth,
            maxBins=BINS,
            minInstancesPerNode=config.min_data_in_leaf,
            subsamplingRate=config.bagging_fraction,
            featureSubsetStrategy=str(config.feature_fraction) if config.feature_fraction < 1.0 else "all",
            seed=self.seed,
            weightCol="weight",
        )
        with fixed_partitions(rows.sparkSession):
            model = forest.fit(rows.select(_levels(width), label.alias("label"), weight))
        return FittedSparkForest(model, training.feature_names, training.target, training.missing)


@dataclass(frozen=True)
class FittedSparkForest:
    """A forest of Spark ML."""

    model: Any
    feature_names: tuple[str, ...]
    target: str
    missing: int

    def predict(self, rows: DataFrame) -> DataFrame:
        """`id, era, prediction` of every row; an unknown level is one below the lowest."""
        ready = rows.select("id", "era", _levels(len(self.feature_names)))
        predicted: DataFrame = self.model.transform(ready)
        return predicted.select("id", "era", "prediction")

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.model.write().overwrite().save((folder.absolute() / "forest").as_uri())
        about = {"feature_names": self.feature_names, "target": self.target, "missing": self.missing}
        (folder / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, training: Training) -> FittedSparkForest:
        """The model that `save` wrote."""
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        check_features(about["feature_names"], training, folder)
        model = RandomForestRegressionModel.load((folder.absolute() / "forest").as_uri())
        return cls(model, tuple(about["feature_names"]), about["target"], about["missing"])


def _levels(width: int) -> Column:
    levels = F.col("features")
    return array_to_vector(of_width(levels, width, levels.cast("array<double>"))).alias("features")
