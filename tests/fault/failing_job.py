"""A job that fits few rows on all slots and then runs out of memory in a task; `test_failures.py` submits it."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import functions as F
from tests.spark.test_failures import model, out_of_memory, training

from eraflow.cli import job, leave


def work(spark: Any, *_: Any) -> Sequence[str]:
    fitted = model(min_data_in_leaf=10).fit(training(spark, 5, 70, files=8), range(1, 71))
    print(f"{fitted.booster.num_trees()} trees on {spark.sparkContext.defaultParallelism} slots")
    return out_of_memory(spark.range(1).select(F.lit(0)))


if __name__ == "__main__":
    leave(job(__doc__ or "", work))
