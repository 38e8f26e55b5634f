"""What the features cost: one exchange and one sort whatever their number, and few windows."""

from collections import Counter

import pytest
from py4j.java_gateway import JavaObject
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.features import sets
from eraflow.features.feature import CLOSE
from eraflow.features.plan import with_series
from eraflow.features.series import Rolling, Series
from eraflow.features.windows import lowered
from eraflow.session import fixed_partitions


def operators(frame: DataFrame) -> Counter[str]:
    """Operators of the plan that would run, counted by name; adaptive execution off, since it hides its stages."""
    names: Counter[str] = Counter()

    def visit(node: JavaObject) -> None:
        names[node.nodeName()] += 1
        children = node.children()
        for place in range(children.size()):
            visit(children.apply(place))

    with fixed_partitions(frame.sparkSession):
        visit(frame._jdf.queryExecution().executedPlan())
    return names


@pytest.fixture(scope="module")
def bars(spark: SparkSession) -> DataFrame:
    prices = [
        F.col("id").cast("double").alias(name)
        for name in ("open", "high", "low", "close", "raw_close", "volume", "adjusted_volume")
    ]
    return spark.range(100).select(
        F.col("id").cast("string").alias("ticker"),
        F.date_add(F.lit("2020-01-01").cast("date"), F.col("id").cast("int")).alias("date"),
        F.col("id").cast("int").alias("bar"),
        *prices,
        F.lit(0.0).alias("market_return"),
        F.lit(0.0).alias("sector_return"),
    )


# A window for each depth of what is built on one another; not one for each feature.
WINDOWS = {
    "main": 5,
    "technical": 4,
    "momentum": 5,
    "volatility": 3,
    "trend": 2,
    "residual": 3,
    "alpha158": 6,
    "all": 6,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "all" else name for name in WINDOWS]
)
def test_a_set_needs_one_exchange_one_sort_and_few_windows(name: str, bars: DataFrame) -> None:
    outputs = lowered({column: output.raw for column, output in sets.columns(sets.SETS[name]).items()})

    found = operators(with_series(bars, outputs, ["ticker", "bar"]))

    assert (found["Exchange"], found["Sort"], found["Window"]) == (1, 1, WINDOWS[name])


def test_features_of_one_depth_share_a_window(bars: DataFrame) -> None:
    apart: dict[str, Series] = {f"low_{bars}": Rolling(CLOSE, bars, "min") for bars in (3, 5, 8, 13)}

    found = operators(with_series(bars, lowered(apart), ["ticker", "bar"]))

    assert (found["Exchange"], found["Sort"], found["Window"]) == (1, 1, 1)


def test_only_what_is_kept_and_asked_for_comes_out(bars: DataFrame) -> None:
    frame = with_series(bars, {"before": CLOSE.lag(1), "twice": CLOSE * 2.0}, ["ticker", "bar"])

    assert frame.dtypes == [("ticker", "string"), ("bar", "int"), ("before", "double"), ("twice", "double")]
