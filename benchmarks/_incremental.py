"""The project's side of `incremental.py`: brings all tables up to date and says how long each took.

Spark's start is not counted.

spark-submit --properties-file conf/spark-local.conf benchmarks/_incremental.py PRICES ROOT [OTHER_ROOT]

With a second root its features are compared with the first's: the largest difference of value or, where that is larger,
of 1, and the rows that only one of both has.
"""

from __future__ import annotations

import json
import sys
import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.config import load
from eraflow.pipeline.build import Builder
from eraflow.progress import PlainProgress
from eraflow.session import session
from eraflow.tables import Store

FAMILIES = ("technical", "momentum", "exposures")


class Timed(PlainProgress):
    """Seconds from the announcement of each table to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def stage(self, name: str) -> None:
        self._since = time.monotonic()

    def note(self, text: str) -> None:
        if text.startswith("table ") and ": version" in text:
            self.seconds[text.split()[1].rstrip(":")] = round(time.monotonic() - self._since, 1)
            self._since = time.monotonic()


def main(prices: str, root: str, other: str | None) -> None:
    spark = session("bench-incremental")
    config = load(["signals.yml"], [f"prices.path={prices}", f"tables.root={root}"])
    timed, begun = Timed(), time.monotonic()
    Builder(spark, config, Store(spark, root), timed).tables()
    told: dict[str, object] = {"seconds": round(time.monotonic() - begun, 1), "tables": timed.seconds}
    if other:
        told |= compared(*(features(spark, place) for place in (root, other)))
    print("RESULT", json.dumps(told))
    spark.stop()


def features(spark: SparkSession, root: str) -> DataFrame:
    store = Store(spark, root)
    version = store.latest("features")
    if version is None:
        raise SystemExit(f"no features in {root}")
    return store.read(version).select("ticker", "date", *FAMILIES)


def compared(one: DataFrame, other: DataFrame) -> dict[str, object]:
    both = one.join(other.select("ticker", "date", *(F.col(name).alias(f"other_{name}") for name in FAMILIES)),
                    on=["ticker", "date"], how="full")  # fmt: skip
    apart = [
        F.expr(
            f"array_max(transform(zip_with({name}, other_{name}, (a, b) -> struct(a, b)), x -> CASE "
            "WHEN x.a IS NULL AND x.b IS NULL THEN 0D WHEN x.a IS NULL OR x.b IS NULL THEN double('Infinity') "
            "ELSE abs(x.a - x.b) / greatest(abs(x.b), 1D) END))"
        )
        for name in FAMILIES
    ]
    found = both.agg(
        F.max(F.greatest(*apart)).alias("worst"),
        F.sum(F.expr("CAST(technical IS NULL OR other_technical IS NULL AS INT)")).alias("alone"),
        F.count("*").alias("rows"),
    ).head()
    return found.asDict() if found else {}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
