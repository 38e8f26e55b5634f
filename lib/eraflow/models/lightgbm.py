"""Gradient boosting by LightGBM, trained inside Spark by SynapseML and usable without it.

SynapseML 1.1.3 fails silently in several ways; each guard below names the one that it is for. It reads its input anew
for each thing that it wants to know, so a fit takes the table's files as they are, without an exchange or a sort, and
is told the limits of bins instead of looking for them in one more pass: levels are known before any row is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Literal

from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from synapse.ml.lightgbm import LightGBMRanker, LightGBMRegressor

from eraflow.config.models import LightGbm
from eraflow.errors import InputError
from eraflow.features.packing import of_width
from eraflow.models.base import Training, sampled
from eraflow.models.trees import LightGbmTrees
from eraflow.session import fixed_partitions, slots, threads

# A task with a few rows only can end in a crash of the native library (SynapseML #2333).
MIN_ROWS_PER_TASK = 2000
# Watched rows land on the driver at 8 bytes a value (#2294).
DRIVER_VALUES = 25_000_000
MAX_RANKED = 10_000  # rows of an era: LightGBM has discounts for so many places
MAX_LABELS = 31  # levels of a target that LightGBM's ranking knows gains for
LEVELS = 5
MAX_BIN = 7  # more than five levels and missing; LightGBM holds 4 bits a value
# Rows that go to the native library at once: as many as make a buffer of some megabytes, however wide they are.
BATCH_VALUES = 800_000
COLUMN_WISE = "force_col_wise=true verbosity=-1"
_DATA_SET: Mapping[str, Any] = {"maxBin": MAX_BIN, "binSampleCount": MIN_ROWS_PER_TASK, "dataTransferMode": "streaming"}


@dataclass(frozen=True)
class LightGbmModel:
    """LightGBM on packed levels: regression, or ranking of the rows of an era by the levels of their target."""

    config: LightGbm
    seed: int
    boosting: Literal["gbdt", "rf"] = "gbdt"

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> LightGbmTrees:
        """Fits on the rows of `eras` with a known target. InputError where there are too few of them.

        The order in which rows are read decides what is bagged: that of era and id where the table is in order, else
        that of its files. The same version of a table gives the same model to the byte. With `watched` eras, once no
        tree was better for so many rounds, those after the best one are not used; where that does not come all are, as
        SynapseML has it.
        """
        rows = training.labelled(eras)
        count = rows.count()
        if count < 2 * self.config.min_data_in_leaf:
            raise InputError(
                f"model: {count} rows with a known {training.target} in eras {eras[0]} to {eras[-1]} are too few for "
                f"min_data_in_leaf={self.config.min_data_in_leaf}; lower it, or give a longer history."
            )
        if self.config.ranks:
            self._refuse_large_eras(rows, training.target)
        spark = rows.sparkSession
        # Partitions are counted once and then read again, so adaptive execution must not change them (#2278).
        with fixed_partitions(spark):
            label = self._label(rows, training.target)
            learned = self._ready(training, rows, label, training.weight(eras))
            estimator = self._estimator(training, threads(spark))
            # A parameter of the Java side alone: the Python side would hand over its own at every fit.
            estimator._java_obj.setReferenceDataset(_bins(len(training.feature_names), training.missing))
            _silence(estimator, "dataRandomSeed", self.seed)
            if watched:
                if training.labelled(watched).isEmpty():
                    raise InputError(
                        f"model: no row of the watched eras {watched[0]} to {watched[-1]} has a known "
                        f"{training.target}; raise early_stopping_eras."
                    )
                estimator.setValidationIndicatorCol("watched").setEarlyStoppingRound(self.config.early_stopping_rounds)
                learned = learned.unionByName(self._ready(training, _watched_rows(training, watched), label, None))
            model = _fitted(estimator, learned, count)
        self._check_trees(model)
        return LightGbmTrees(str(model.getNativeModel()))

    def _refuse_large_eras(self, rows: DataFrame, target: str) -> None:
        # One row.
        largest = rows.groupBy("era").count().orderBy(F.desc("count"), "era").first()
        if largest and largest["count"] > MAX_RANKED:
            raise InputError(
                f"model: era {largest['era']} has {largest['count']} rows with a known {target}, and LightGBM ranks no "
                f"more than {MAX_RANKED:,} against each other; lower sampling.rows, or choose objective=regression "
                f"instead of {self.config.objective}."
            )

    def _check_trees(self, model: Any) -> None:
        """An exception inside an iteration ends training early without an error; an early stop names its best tree."""
        trees, best = model.getBoosterNumTotalIterations(), model.getBoosterBestIteration()
        if trees == self.config.trees:
            return
        if trees != best + 1:
            raise InputError(
                f"model: LightGBM stopped after {trees} of {self.config.trees} trees, as it does when no split is left "
                f"or an iteration fails; lower min_data_in_leaf={self.config.min_data_in_leaf}, or give more data."
            )

    def _estimator(self, training: Training, threads: int) -> Any:
        """A new estimator for every fit: one keeps the bins of the data that it saw first."""
        config, width = self.config, len(training.feature_names)
        ranking = {
            "groupCol": "era",
            "repartitionByGroupingColumn": False,
            "objectiveSeed": self.seed,
        }
        weighing = {"weightCol": "weight"} if training.half_life else {}  # equal weights would cost time and memory
        return (LightGBMRanker if config.ranks else LightGBMRegressor)(
            objective=config.objective,
            boostingType=self.boosting,
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
            deterministic=True,
            **_DATA_SET,
            microBatchSize=max(100, BATCH_VALUES // width),
            numThreads=threads,  # of an executor: its tasks load one data set, and one of them learns from it
            slotNames=list(training.feature_names),  # a vector made of an array carries no names
            verbosity=-1,
            **weighing,
            **(ranking if config.ranks else {}),
            **self._constraints(training.feature_names),
        )

    def _constraints(self, names: Sequence[str]) -> dict[str, Any]:
        """What LightGBM is told by the places of features. InputError where there is no feature of a name."""
        place = {name: at for at, name in enumerate(names)}
        monotone, groups = self.config.monotone, self.config.interactions
        if unknown := [name for name in [*monotone, *chain.from_iterable(groups)] if name not in place]:
            raise InputError(
                f"model: monotone or interactions name {unknown[0]!r}, which is no feature here; mend the name."
            )
        told = COLUMN_WISE
        if groups:
            # LightGBM uses no feature that is in no group: each of the others is a group of its own.
            alone = [(name,) for name in names if name not in set(chain.from_iterable(groups))]
            places = ",".join("[" + ",".join(str(place[name]) for name in group) + "]" for group in (*groups, *alone))
            told += f" interaction_constraints={places}"
        return {
            "passThroughArgs": told,
            "monotoneConstraints": [monotone.get(name, 0) for name in names] if monotone else [],
        }

    def _label(self, rows: DataFrame, target: str) -> Column:
        """The target, or for a ranking the place of its level among all levels, which must be few."""
        value = F.col(target).cast("double")
        if not self.config.ranks:
            return value
        # At most one row more than there may be levels.
        levels = [row[0] for row in rows.select(value).distinct().limit(MAX_LABELS + 1).collect()]
        if len(levels) > MAX_LABELS:
            raise InputError(
                f"model: {target} has more than {MAX_LABELS} levels, too many for objective={self.config.objective}; "
                "choose a binned target, or objective=regression."
            )
        # A level that only watched eras have is as good as the next lower one.
        return sum((F.when(value >= level, 1).otherwise(0) for level in sorted(levels)[1:]), F.lit(0)).cast("double")

    def _ready(self, training: Training, rows: DataFrame, label: Column, weight: Column | None) -> DataFrame:
        """What SynapseML reads; rows without a weight are watched, and count the same."""
        if self.config.ranks:  # the rows of an era must stand side by side, in one partition a task
            rows = rows.repartition(_tasks(rows, rows.count()), "era").sortWithinPartitions("era", "id")
        return rows.select(
            "era",
            _vector(len(training.feature_names), training.missing).alias("features"),
            label.alias("label"),
            (F.lit(1.0) if weight is None else weight).alias("weight"),
            F.lit(weight is None).alias("watched"),
        )


@cache
def _bins(width: int, missing: int) -> bytes:
    """LightGBM's empty data set with a bin for each level and one for missing, the same of every feature.

    SynapseML would convert rows to draw a sample from them; and where a sample lacks the one era in which a feature is
    missing, LightGBM would take missing for the lowest level. A fit of one tree leaves it on the estimator, here of
    rows in which all levels are as frequent; a leaf of one row keeps LightGBM from leaving out features that it could
    not split. It knows no row of any data, so that all fits of a process take the same.
    """
    spark = SparkSession.active()
    kinds = [missing, *range(LEVELS)]
    place = F.pmod(F.col("id"), F.lit(len(kinds))).cast("int")
    level = F.get(F.array(*map(F.lit, kinds)), place).cast("tinyint")
    rows = spark.range(0, MIN_ROWS_PER_TASK, 1, 1).select(
        F.array_repeat(level, width).alias("features"), F.pmod("id", F.lit(2)).cast("double").alias("label")
    )
    estimator = LightGBMRegressor(
        featuresCol="features", labelCol="label", numIterations=1, minDataInLeaf=1, passThroughArgs=COLUMN_WISE,
        numThreads=threads(spark), verbosity=-1, **_DATA_SET,
    )  # fmt: skip
    _silence(estimator, "seed", 0)  # all rows are the sample, so no seed decides anything
    _fitted(estimator, rows.select(_vector(width, missing).alias("features"), "label"), MIN_ROWS_PER_TASK)
    return bytes(estimator._java_obj.getReferenceDataset())


def _fitted(estimator: Any, learned: DataFrame, rows: int) -> Any:
    """The estimator's model; a fit that asks for more tasks than there are partitions waits for ever."""
    return estimator.setNumTasks(min(_tasks(learned, rows), learned.rdd.getNumPartitions())).fit(learned)


def _silence(estimator: Any, seed: str, number: int) -> None:
    """Writes a seed as the text "number verbosity=-1".

    LightGBM prints past Java's output when it makes a data set, and SynapseML tells `verbosity` to trainings only. The
    settings of a data set end with `dataRandomSeed` or, without one, with `seed`, and what is in there goes in unread;
    drawing a sample of rows alone needs a number for the first.
    """
    estimator.clear(estimator.getParam(seed))  # Python hands its own value over at every fit
    java = estimator._java_obj
    java.set(java.getParam(seed), f"{number} verbosity=-1")


def _tasks(frame: DataFrame, rows: int) -> int:
    return max(1, min(slots(frame.sparkSession), rows // MIN_ROWS_PER_TASK))


def _watched_rows(training: Training, watched: Sequence[int]) -> DataFrame:
    """As many of the watched eras' rows as the driver may hold."""
    rows = training.rows(watched).where(F.col(training.target).isNotNull())
    return sampled(rows, DRIVER_VALUES / len(training.feature_names) / max(1, rows.count()))


def _vector(width: int, missing: int) -> Column:
    """The packed levels as the vector that LightGBM reads, made last because it takes 8 bytes a value.

    A cast is compiled code, where a function of each element is interpreted: only rows with something missing take it.
    Rows of unequal length would train without a word (#2703).
    """
    levels = F.col("features")
    unknown = F.transform(levels, lambda x: F.when(x == missing, F.lit(float("nan"))).otherwise(x.cast("double")))
    some = F.array_contains(levels, F.lit(missing).cast("tinyint"))
    values = F.when(some, unknown).otherwise(levels.cast("array<double>"))
    return array_to_vector(of_width(levels, width, values))
