"""The training benchmark the naive Spark way: wide columns, VectorAssembler, SynapseML's defaults; prints JSON.

Arguments: train.parquet, the model.json that eraflow has saved, trees, the output.
"""

import json
import sys
import time

from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from synapse.ml.lightgbm import LightGBMRegressor


def main(path: str, saved: str, trees: str, out: str) -> None:
    with open(saved) as text:
        about = json.load(text)
    features, target = about["feature_names"], about["target"]
    spark = SparkSession.builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    wide = spark.read.parquet(path).where(F.col(target).isNotNull())
    assembler = VectorAssembler(inputCols=features, outputCol="features", handleInvalid="keep")
    rows = assembler.transform(wide).select("id", "features", F.col(target).cast("double").alias("label"))
    started = time.monotonic()
    model = LightGBMRegressor(numIterations=int(trees), learningRate=0.01, maxDepth=5, numLeaves=31,
                              featureFraction=0.1, minDataInLeaf=20, seed=1).fit(rows)  # fmt: skip
    fitted = time.monotonic()
    model.transform(rows).select("id", "prediction").write.mode("overwrite").parquet(out)
    print(json.dumps({"runs": [{"fit": fitted - started, "predict": time.monotonic() - fitted}]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
