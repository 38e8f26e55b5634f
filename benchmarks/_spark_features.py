"""The project's side of `features.py`: the raw outputs of the feature set `main` from one parquet file of prices.

spark-submit benchmarks/_spark_features.py windows|kernels IN.parquet OUT_FOLDER

The same work as the peers do: no table, no manifest, no ranks and no exposures, so neither checks nor the market's mean
return, for which a run reads the prices once more. It writes plain parquet: ticker, date and the 14 features; with
`nothing` for OUT_FOLDER it computes them all and writes none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from eraflow.batches import joined
from eraflow.features.kernels.compiled import Values
from eraflow.features.kernels.machine import Rows, run
from eraflow.features.kernels.program import program
from eraflow.features.kernels.tables import ROWS
from eraflow.features.plan import with_series
from eraflow.features.series import Series
from eraflow.features.sets import SETS, columns
from eraflow.features.windows import lowered
from eraflow.packages import Source, parts
from eraflow.session import session
from eraflow.tables import write_parquet
from eraflow.ticker_rows import TickerRows

KEYS = ("ticker", "date")
PRICES = ("high", "low", "close", "adjusted_close")


def main(engine: str, source: str, target: str) -> None:
    spark = session("bench-features")
    outputs = {name: output.raw for name, output in columns(SETS["main"]).items()}
    prices = spark.read.parquet(source)
    if engine == "windows":
        features = with_series(on_total_return(prices), lowered(outputs), KEYS)
    else:
        features = by_kernels(prices, outputs)
    if target == "nothing":
        features.write.mode("overwrite").format("noop").save()
    else:
        write_parquet(features, target)
    spark.stop()


def by_kernels(prices: DataFrame, outputs: Mapping[str, Series]) -> DataFrame:
    """As a worker of the kernels' engine does it, the index made there and each feature written as a column."""
    made = program(outputs)
    schema = ", ".join(["ticker string, date date", *(f"{name} double" for name in outputs)])

    def work(tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in joined(tickers, ROWS):
            found = {
                place: pa.array(values, from_pandas=True) for place, values in run(made, *indexed(rows)) if place >= 0
            }
            columns = [found[made.outputs[name]] for name in outputs]
            yield pa.record_batch([*rows.select(KEYS).columns, *columns], names=[*KEYS, *outputs])

    bars = prices.select(*KEYS, *PRICES)
    return TickerRows.of(parts(prices), Source(bars)).rows(work, schema)


def indexed(tickers: pa.RecordBatch) -> tuple[dict[str, Values], Rows]:
    """What `on_total_return` says, of whole tickers in the order of their dates."""
    ends = pc.run_end_encode(tickers.column("ticker")).run_ends.to_numpy().astype(np.int64)
    bounds = np.append(0, ends)
    first = np.repeat(bounds[:-1], np.diff(bounds))
    high, low, close, adjusted = (tickers.column(name).to_numpy() for name in PRICES)
    index = adjusted * (close / adjusted)[first]
    scale = index / close
    bar = np.arange(len(first)) - first
    return {"bar": bar.astype(float), "high": high * scale, "low": low * scale, "close": index}, Rows.of(bounds, bar)


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
