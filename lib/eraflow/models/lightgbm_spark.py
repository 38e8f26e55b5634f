"""LightGBM trained by SynapseML, in all executors at once.

SynapseML 1.1.3 fails silently in several ways; each guard below names the one that it is for. It reads its input anew
for each thing that it wants to know, so a fit takes the table's files as they are, without an exchange or a sort, and
is told the limits of bins instead of looking for them in one more pass: levels are known before any row is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from synapse.ml.lightgbm import LightGBMRanker, LightGBMRegressor

from eraflow.config.models import LightGbm
from eraflow.features.packing import of_width
from eraflow.models.base import sampled
from eraflow.models.lightgbm_rows import LEVELS, MAX_BIN, Rows
from eraflow.session import fixed_partitions, slots, threads

# A task with a few rows only can end in a crash of the native library (SynapseML #2333).
MIN_ROWS_PER_TASK = 2000
# Watched rows land on the driver at 8 bytes a value (#2294).
DRIVER_VALUES = 25_000_000
# Rows that go to the native library at once: as many as make a buffer of some megabytes, however wide they are.
BATCH_VALUES = 800_000
COLUMN_WISE = "force_col_wise=true verbosity=-1"
_DATA_SET: Mapping[str, Any] = {"maxBin": MAX_BIN, "binSampleCount": MIN_ROWS_PER_TASK, "dataTransferMode": "streaming"}


def learned(
    config: LightGbm, boosting: str, seed: int, rows: Rows, monotone: Sequence[int], groups: Sequence[Sequence[int]]
) -> tuple[str, int, bool]:
    """LightGBM's text of the model, its number of trees, and whether it has all that it should.

    `monotone` is a sign a feature, or empty; of the features only those of one of the `groups` meet in a branch.
    """
    # Partitions are counted once and then read again, so adaptive execution must not change them (#2278).
    with fixed_partitions(rows.learned.sparkSession):
        frame = _ready(rows, rows.learned, config.ranks, is_watched=False)
        estimator = _estimator(config, boosting, seed, rows, monotone, groups)
        # A parameter of the Java side alone: the Python side would hand over its own at every fit.
        estimator._java_obj.setReferenceDataset(_bins(len(rows.training.feature_names), rows.training.missing))
        _silence(estimator, "dataRandomSeed", seed)
        if rows.watched is not None:
            estimator.setValidationIndicatorCol("watched").setEarlyStoppingRound(config.early_stopping_rounds)
            watched = _as_many_as_fit(rows.watched, len(rows.training.feature_names))
            frame = frame.unionByName(_ready(rows, watched, config.ranks, is_watched=True))
        model = _fitted(estimator, frame, rows.count)
    # An exception inside an iteration ends training early without an error; an early stop names its best tree.
    trees, best = model.getBoosterNumTotalIterations(), model.getBoosterBestIteration()
    return str(model.getNativeModel()), int(trees), trees in (config.trees, best + 1)


def _estimator(
    config: LightGbm, boosting: str, seed: int, rows: Rows, monotone: Sequence[int], groups: Sequence[Sequence[int]]
) -> Any:
    """A new estimator for every fit: one keeps the bins of the data that it saw first."""
    names = rows.training.feature_names
    arguments = COLUMN_WISE
    if groups:
        arguments += f" interaction_constraints={','.join(str(list(group)).replace(' ', '') for group in groups)}"
    ranking = {
        "groupCol": "era",
        "repartitionByGroupingColumn": False,
        "objectiveSeed": seed,
    }
    weighing = {"weightCol": "weight"} if rows.weight is not None else {}  # equal weights would cost time and memory
    return (LightGBMRanker if config.ranks else LightGBMRegressor)(
        objective=config.objective,
        boostingType=boosting,
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
        seed=seed,
        baggingSeed=seed,
        featureFractionSeed=seed,
        deterministic=True,
        **_DATA_SET,
        microBatchSize=max(100, BATCH_VALUES // len(names)),
        # Of an executor: its tasks load one data set, and one of them learns from it.
        numThreads=threads(rows.learned.sparkSession),
        slotNames=list(names),  # a vector made of an array carries no names
        verbosity=-1,
        **weighing,
        **(ranking if config.ranks else {}),
        passThroughArgs=arguments,
        monotoneConstraints=list(monotone),
    )


def _ready(rows: Rows, frame: DataFrame, ranks: bool, is_watched: bool) -> DataFrame:
    """What SynapseML reads; rows that are watched weigh the same."""
    if ranks:  # the rows of an era must stand side by side, in one partition a task
        frame = frame.repartition(_tasks(frame, frame.count()), "era").sortWithinPartitions("era", "id")
    return frame.select(
        "era",
        _vector(len(rows.training.feature_names), rows.training.missing).alias("features"),
        rows.label.alias("label"),
        (F.lit(1.0) if is_watched or rows.weight is None else rows.weight).alias("weight"),
        F.lit(is_watched).alias("watched"),
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


def _as_many_as_fit(watched: DataFrame, width: int) -> DataFrame:
    """As many of the watched rows as the driver may hold."""
    return sampled(watched, DRIVER_VALUES / width / max(1, watched.count()))


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
