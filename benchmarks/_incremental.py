"""The project's side of `incremental.py`: brings all tables up to date and says how long each took.

Spark's start is not counted.

spark-submit benchmarks/_incremental.py ENGINE PRICES ROOT [OTHER_ROOT]

With a second root its features are compared with the first's: the largest difference of value or, where that is larger,
of 1 (of the price for columns in its unit, as the tests do), and the rows that only one of both has.
"""

from __future__ import annotations

import json
import sys
import time

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.config import load
from eraflow.features import sets
from eraflow.pipeline import signals_steps
from eraflow.pipeline.site import Site
from eraflow.progress import PlainProgress
from eraflow.session import session
from eraflow.tables import Store


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


def main(engine: str, prices: str, root: str, other: str | None) -> None:
    spark = session("bench-incremental")
    settings = [f"prices.path={prices}", f"tables.root={root}", f"features.engine={engine}"]
    config = load(["signals.yml"], settings)
    timed, begun = Timed(), time.monotonic()
    signals_steps.tables(Site(Store(spark, root), config, timed))
    result: dict[str, object] = {"seconds": round(time.monotonic() - begun, 1), "tables": timed.seconds}
    if other:
        result |= compared(
            table(spark, root, "features"), table(spark, other, "features"), table(spark, root, "prices")
        )
    print("RESULT", json.dumps(result))
    spark.stop()


def table(spark: SparkSession, root: str, name: str) -> DataFrame:
    store = Store(spark, root)
    (address,) = store.recipes(name)
    version = store.latest(address)
    if version is None:
        raise SystemExit(f"no {name} in {root}")
    return store.read(version)


def compared(one: DataFrame, other: DataFrame, prices: DataFrame) -> dict[str, object]:
    used = [*sets.feature_set("main"), *sets.EXPOSURES]
    outputs, families = sets.columns(used), sets.families(used)
    keys = ["ticker", "date"]
    other = other.select(*keys, *(F.col(name).alias(f"other_{name}") for name in families))
    both = one.select(*keys, *families).join(other, on=keys, how="full")
    both = both.join(prices.select(*keys, "total_return"), on=keys, how="left")

    def apart(family: str, place: int, name: str) -> Column:
        a, b = F.col(family)[place], F.col(f"other_{family}")[place]
        scale = F.lit(1.0) if outputs[name].raw == outputs[name].ranked else F.greatest(F.lit(1.0), "total_return")
        one_missing = F.when(a.isNull() & b.isNull(), 0.0).otherwise(float("inf"))
        return F.when(a.isNotNull() & b.isNotNull(), F.abs(a - b) / F.greatest(F.abs(b), scale)).otherwise(one_missing)

    every = [apart(family, place, name) for family, names in families.items() for place, name in enumerate(names)]
    found = both.agg(
        F.max(F.greatest(*every)).alias("worst"),
        F.sum((F.col("technical").isNull() | F.col("other_technical").isNull()).cast("int")).alias("alone"),
        F.count("*").alias("rows"),
    ).head()
    return found.asDict() if found else {}


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4] if len(sys.argv) > 4 else None)
