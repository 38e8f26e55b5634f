"""The project's side of `features.py`: the raw outputs of the feature set `main` from one parquet file of prices.

spark-submit --properties-file conf/spark-local.conf benchmarks/_spark_features.py windows|kernels IN.parquet OUT_FOLDER

The same work as the peers do: no table, no manifest, no ranks and no exposures, so neither checks nor the market's mean
return, for which a run reads the prices once more. It writes plain parquet: ticker, date and the 14 features; with
`nothing` for OUT_FOLDER it computes them all and writes none.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from eraflow.features.kernels.program import program
from eraflow.features.kernels.tables import Table, computed
from eraflow.features.plan import with_series
from eraflow.features.series import Series
from eraflow.features.sets import SETS, columns
from eraflow.features.windows import lowered
from eraflow.session import session

KEYS = ("ticker", "date")


def main(engine: str, source: str, target: str) -> None:
    spark = session("bench-features")
    outputs = {name: output.raw for name, output in columns(SETS["main"]).items()}
    bars = on_total_return(spark.read.parquet(source))  # sorted by its window
    features = with_series(bars, lowered(outputs), KEYS) if engine == "windows" else by_kernels(bars, outputs)
    writer = features.write.mode("overwrite")
    if target == "nothing":
        writer.format("noop").save()
    else:
        writer.option("compression", "zstd").parquet(target)
    spark.stop()


def by_kernels(bars: DataFrame, outputs: Mapping[str, Series]) -> DataFrame:
    made = computed(bars, Table(program(outputs), KEYS, {"features": [*outputs]}))
    return made.select(*KEYS, *(F.get("features", F.lit(place)).alias(name) for place, name in enumerate(outputs)))


def on_total_return(prices: DataFrame) -> DataFrame:
    """`ticker, date, bar` and high, low, close scaled to the total-return index that starts at the first close."""
    history = Window.partitionBy("ticker").orderBy("date")
    to_now = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    bars = prices.select(
        *("ticker", "date", "high", "low", "close", "adjusted_close"),
        (F.row_number().over(history) - 1).alias("bar"),
        (F.first("close").over(to_now) / F.first("adjusted_close").over(to_now)).alias("start"),
    )
    index = F.col("adjusted_close") * F.col("start")
    scale = index / F.col("close")
    return bars.select(
        *("ticker", "date", "bar"),
        (F.col("high") * scale).alias("high"),
        (F.col("low") * scale).alias("low"),
        index.alias("close"),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
