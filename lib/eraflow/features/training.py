"""The training table: packed levels, raw values and targets of every ticker at every era."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from eraflow.features import cross_section
from eraflow.features.feature import Feature
from eraflow.features.sets import EXPOSURES, columns, families

# A ticker that did not trade on the very day is taken at its last price of this many sessions; after that its label is
# unknown. So a halt of a day costs no labels, and a delisted ticker has none that reach further past its end.
STALE_SESSIONS = 5


def training_table(
    daily: DataFrame,
    prices: DataFrame,
    eras: Mapping[int, date],
    sessions: int,
    features: Sequence[Feature],
    horizons: Sequence[int],
    lag: int,
    exposures: Sequence[str],
    era_block: int,
) -> DataFrame:
    """`id, era, era_block, features array<tinyint>, raw array<double>, target_KIND_HORIZON float`.

    `id` is `TICKER_YYYY-MM-DD`. `features` are the levels 0..4 in the order of `sets.columns`, cross_section.MISSING
    where a value is not known; `raw` are the values behind them, family by family. `sessions` is the
    number of trading days there are: a label that ends after the last is null.
    """
    spark = daily.sparkSession
    # One row an era: some thousand at the most.
    calendar = spark.createDataFrame(pd.DataFrame({"era": list(eras), "date": list(eras.values())}))
    calendar = F.broadcast(calendar.select(F.col("era").cast("int"), F.col("date").cast("date")))
    rows = (
        daily.join(calendar, on="date", how="inner")
        .join(
            forward_returns(prices, horizons, lag, sessions).join(calendar.select("date"), on="date", how="left_semi"),
            on=["ticker", "date"],
            how="left",
        )
        .select(
            "era",
            F.concat_ws("_", "ticker", F.col("date").cast("string")).alias("id"),
            "sector",
            "ranked",
            F.concat(*families(features)).alias("raw"),
            "exposures",
            *(_forward(horizon) for horizon in horizons),
        )
    )
    names = list(columns(EXPOSURES))
    chosen = [names.index(name) for name in exposures]
    return rows.groupBy("era").applyInPandas(_era_rows(horizons, chosen, era_block), schema(horizons))


def schema(horizons: Sequence[int]) -> str:
    """The columns of the training table in Spark's DDL."""
    kinds = ", ".join(f"target_{kind}_{horizon} float" for horizon in horizons for kind in ("raw", "sector", "neutral"))
    return f"id string, era int, era_block int, features array<tinyint>, raw array<double>, {kinds}"


def forward_returns(prices: DataFrame, horizons: Sequence[int], lag: int, sessions: int) -> DataFrame:
    """`ticker, date` and, for each horizon, the total return from `lag` sessions after the date over that many more.

    Null where the label's last day is not known yet, or where the ticker has no price near enough to its ends.
    """
    history = Window.partitionBy("ticker").orderBy("session")

    def price_after(days: int, oldest: int) -> Column:
        return F.last("total_return").over(history.rangeBetween(oldest, days))

    entry = price_after(lag, max(0, lag - STALE_SESSIONS + 1))
    returns = [
        F.when(
            F.col("session") + lag + horizon < sessions,
            price_after(lag + horizon, lag + max(1, horizon - STALE_SESSIONS + 1)) / entry - 1.0,
        ).alias(_forward(horizon))
        for horizon in horizons
    ]
    return prices.select("ticker", "date", *returns)


def _forward(horizon: int) -> str:
    return f"forward_{horizon}"


def _era_rows(horizons: Sequence[int], chosen: Sequence[int], era_block: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def make(rows: pd.DataFrame) -> pd.DataFrame:
        # The order in which Spark brings an era's rows is not fixed; sums below depend on it to the last bit.
        rows = rows.sort_values("id", ignore_index=True)
        ranked = np.array(rows["ranked"].tolist(), dtype=np.float64)
        exposures = np.array(rows["exposures"].tolist(), dtype=np.float64)[:, chosen]
        sectors = rows["sector"].to_numpy(dtype=object)
        out = {"id": rows["id"], "era": rows["era"], "era_block": rows["era"] // era_block}
        out["features"] = pd.Series(list(cross_section.levels(ranked)))
        out["raw"] = rows["raw"]
        for horizon in horizons:
            returns = rows[_forward(horizon)].to_numpy(dtype=np.float64)
            for kind, values in cross_section.targets(returns, sectors, exposures).items():
                out[f"target_{kind}_{horizon}"] = pd.Series(values, dtype="float32")
        return pd.DataFrame(out)

    return make
