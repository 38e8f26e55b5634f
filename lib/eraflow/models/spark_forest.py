"""Random forest, grown by Spark ML: slower than LightGBM's, and no native library takes part in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import RandomForestRegressor
from pyspark.sql import Column
from pyspark.sql import functions as F

from eraflow.config.models import SparkForest
from eraflow.errors import InputError
from eraflow.features.packing import of_width
from eraflow.models.base import Training
from eraflow.models.trees import SparkTrees
from eraflow.session import fixed_partitions

BINS = 8  # more than five levels and missing, which is a level below them
# Sums of squares of labels with so few binary places are exact up to 2^21 rows: their order cannot change a split.
LABEL_UNIT = 2.0**-16


@dataclass(frozen=True)
class SparkForestModel:
    """Trees on samples of rows, each split among a sample of the features, averaged."""

    config: SparkForest
    seed: int

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> SparkTrees:
        """Fits on the rows of `eras` with a known target. InputError where there are too few of them.

        The order of rows decides which are sampled: the same version of a table gives the same model.
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
        return SparkTrees.of(model.toDebugString)


def _levels(width: int) -> Column:
    levels = F.col("features")
    return array_to_vector(of_width(levels, width, levels.cast("array<double>"))).alias("features")
