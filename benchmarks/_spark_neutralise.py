"""The project's side of `neutralise.py`: predictions neutral to all features, era by era.

spark-submit benchmarks/_spark_neutralise.py FOLDER OUT_FOLDER
"""

from __future__ import annotations

import sys

from pyspark.sql import functions as F

from eraflow.ensembles.neutralisation import Features, neutralise
from eraflow.session import session


def main(source: str, target: str) -> None:
    spark = session("bench-neutralise")
    table = spark.read.parquet(f"{source}/features.parquet")
    names = tuple(f"feature_{number}" for number in range(len(table.first()["features"])))
    predictions = spark.read.parquet(f"{source}/predictions.parquet").withColumn("target", F.lit(None).cast("float"))
    neutral = neutralise(predictions, Features(table, names, -1))
    neutral.select("id", "era", "prediction").write.mode("overwrite").parquet(target)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
