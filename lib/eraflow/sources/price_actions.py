"""Adjusted closes built from dividends and splits, where a price file has none."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.sources.price_values import day_of_text
from eraflow.sources.reference import small_table

COLUMNS = ("ticker", "date", "dividend", "split")


def with_total_return(prices: DataFrame, spark: SparkSession, actions: str | None) -> DataFrame:
    """The rows with `adjusted_close` where `builds` says of what prices: close times what reinvesting makes of a share.

    A dividend is money a share on the day from which it is not paid to buyers any more, and buys shares at that day's
    close; a split of 2 makes two shares of one. Both stand in the row's `dividend` and `split`, or in the file
    `actions` (ticker, date, dividend, split; prices.actions), which counts from the ticker's first row on or after its
    day. Where prices are adjusted for splits, these are passed over, and dividends are of the same kind. Only ratios of
    adjusted closes have a meaning, so that nothing later changes them.
    """
    names = prices.columns
    rows = prices.withColumn("order", F.lit(1))
    if actions:
        its = spark.createDataFrame(_actions(spark, actions), "ticker string, date date, dividend double, split double")
        rows = rows.unionByName(its.withColumn("order", F.lit(0)), allowMissingColumns=True)
    history = Window.partitionBy("ticker").orderBy("date")
    later = history.rangeBetween(Window.currentRow, Window.unboundedFollowing)
    to_now = history.rangeBetween(Window.unboundedPreceding, Window.currentRow)
    traded = F.first(F.when(F.col("close") > 0, F.col("close")), ignorenulls=True).over(later)
    kind = F.first("builds", ignorenulls=True).over(later)
    split = F.when((kind == "none") & (F.col("split") > 0), F.col("split")).otherwise(F.lit(1.0))
    dividend = F.coalesce(F.col("dividend"), F.lit(0.0)) / traded
    # A day that is there twice counts once.
    copies = F.count("*").over(Window.partitionBy("ticker", "date", "order"))
    gained = F.coalesce(F.log(split * (1.0 + dividend)), F.lit(0.0)) / copies
    built = F.col("close") * F.exp(F.sum("gained").over(to_now))
    adjusted = F.when(F.col("builds").isNotNull(), built).otherwise(F.col("adjusted_close")).alias("adjusted_close")
    found = rows.withColumn("gained", gained).select(
        *(adjusted if name == "adjusted_close" else name for name in names), "order"
    )
    return found.where("order = 1").drop("order")


def _actions(spark: SparkSession, path: str) -> pd.DataFrame:
    """`ticker, date, dividend, split`, a row a ticker and day, of a small file. InputError: no date or number."""
    table = small_table(spark, path, "prices.actions", COLUMNS)
    found = pd.DataFrame({"ticker": table["ticker"], "date": [day_of_text(str(text)) for text in table["date"]]})
    for name, nothing in (("dividend", 0.0), ("split", 1.0)):
        text = table[name].where(table[name].notna() & (table[name] != ""), str(nothing))
        found[name] = pd.to_numeric(text, errors="coerce")
    found["split"] = found["split"].mask(found["split"] == 0, 1.0)  # as vendors write a day without one
    wrong = found["date"].isna() | ~(found["dividend"] >= 0) | ~(found["split"] > 0)
    if wrong.any():
        row = table[wrong].iloc[0]
        raise InputError(
            f"{path}: the row of {row['ticker']} on {row['date']} has no date (YYYY-MM-DD), a dividend below 0 or a "
            "split that is no number above 0; mend or remove it."
        )
    # A regular and a special dividend of one day add up; the same line twice is one.
    by_day = found.drop_duplicates().groupby(["ticker", "date"], as_index=False)
    return by_day.agg({"dividend": "sum", "split": "prod"})[list(COLUMNS)]
