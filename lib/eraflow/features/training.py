"""The training table: packed levels, raw values and targets of every ticker at every era."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from eraflow.features import cross_section
from eraflow.features.ranking import Ranking
from eraflow.features.sets import EXPOSURES, columns, families

# A ticker that did not trade on the very day is taken at its last price of this many sessions; after that its label is
# unknown. So a halt of a day costs no labels, and a delisted ticker has none that reach further past its end.
STALE_SESSIONS = 5


def era_days(spark: SparkSession, days: Sequence[tuple[int, str, date]]) -> DataFrame:
    """`era, country, date`: of each era and country its day; some thousand rows for each country."""
    return spark.createDataFrame(pd.DataFrame(days), "era int, country string, date date")


def on_days(rows: DataFrame, days: DataFrame) -> DataFrame:
    """The rows that are of one of the `era_days`, with its era."""
    return rows.join(F.broadcast(days), on=["country", "date"], how="inner")


def from_date(rows: DataFrame, first: date) -> DataFrame:
    """The rows of this day and of later ones."""
    return rows.where(F.col("date") >= F.lit(first))


def training_table(
    daily: DataFrame,
    prices: DataFrame,
    eras: Sequence[tuple[int, str, date]],
    sessions: Mapping[str, int],
    ranking: Ranking,
    horizons: Sequence[int],
    lag: int,
    exposures: Sequence[str],
    era_block: int,
    others: Sequence[str] = (),
    live: tuple[int, date] | None = None,
) -> DataFrame:
    """`id, era, era_block, features array<tinyint>, raw array<double>, target_KIND_HORIZON float`, and `others`.

    `id` is `TICKER_YYYY-MM-DD`. `features` are the levels 0..4 in the order of `ranking.names`, cross_section.MISSING
    where a value is not known; `raw` are the values behind them, family by family. Rows are the universe's members.
    `others` are further targets, which `daily` holds as columns.

    `eras`: of each era and country its day; of two eras with one day `daily` names the row's. `sessions`: by country
    the number of trading days there are; a label that ends after the last is null. `prices` has `masked`, where neither
    features nor labels over the day are known. `live`: the live era and its date, which its ids have, whenever a
    country traded last.
    """
    days = F.broadcast(era_days(daily.sparkSession, eras))
    labels = forward_returns(prices, horizons, lag, sessions).join(days, on=["country", "date"], how="left_semi")
    known = F.coalesce(~F.col("masked"), F.lit(True))
    keys = ["country", "date", *(["era"] if "era" in daily.columns else [])]
    named = F.when(F.col("era") == live[0], F.lit(live[1])).otherwise(F.col("date")) if live else F.col("date")
    rows = (
        daily.join(days, on=keys, how="inner")
        .join(labels.drop("country"), on=["ticker", "date"], how="left")
        .where(F.coalesce("member", F.lit(True)))
        .select(
            "era",
            F.concat_ws("_", "ticker", named.cast("string")).alias("id"),
            "sector",
            "country",
            F.transform("ranked", lambda value: F.when(known, value)).alias("ranked"),
            F.transform(
                F.concat(*families(ranking.features)), lambda value: F.when(known, value)
            ).alias("raw"),
            "exposures",
            *(_forward(horizon) for horizon in horizons),
            *others,
        )
    )  # fmt: skip
    make = _era_rows(ranking, horizons, exposures, era_block, others)
    return rows.groupBy("era").applyInPandas(make, schema(horizons, others))


def schema(horizons: Sequence[int], others: Sequence[str] = ()) -> str:
    """The columns of the training table in Spark's DDL."""
    own = [f"target_{kind}_{horizon}" for horizon in horizons for kind in ("raw", "sector", "neutral")]
    kinds = ", ".join(f"{name} float" for name in (*own, *others))
    return f"id string, era int, era_block int, features array<tinyint>, raw array<double>, {kinds}"


def forward_returns(prices: DataFrame, horizons: Sequence[int], lag: int, sessions: Mapping[str, int]) -> DataFrame:
    """`ticker, date, country, sector, member, masked` and, for each horizon, the forward return.

    It is the total return from `lag` sessions after the date over as many more as the horizon has. Null where the
    label's last day is not known yet, where the ticker has no price near enough to its ends, or where it reaches over a
    masked day.
    """
    history = Window.partitionBy("ticker").orderBy("session")

    def price_after(days: int, oldest: int) -> Column:
        return F.last("total_return").over(history.rangeBetween(oldest, days))

    def label(horizon: int) -> Column:
        there = F.col("session") + lag + horizon < F.col("sessions")
        unmasked = ~F.coalesce(F.max("masked").over(history.rangeBetween(lag, lag + horizon)), F.lit(False))
        last = price_after(lag + horizon, lag + max(1, horizon - STALE_SESSIONS + 1))
        return F.when(there & unmasked, last / entry - 1.0).alias(_forward(horizon))

    entry = price_after(lag, max(0, lag - STALE_SESSIONS + 1))
    return prices.join(_sessions(prices.sparkSession, sessions), on="country", how="inner").select(
        "ticker", "date", "country", "sector", "member", "masked", *(label(horizon) for horizon in horizons)
    )


def _sessions(spark: SparkSession, sessions: Mapping[str, int]) -> DataFrame:
    return F.broadcast(spark.createDataFrame(list(sessions.items()), "country string, sessions int"))


def _forward(horizon: int) -> str:
    return f"forward_{horizon}"


def _era_rows(
    ranking: Ranking, horizons: Sequence[int], exposures: Sequence[str], era_block: int, others: Sequence[str]
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    names = list(columns(EXPOSURES))
    chosen = [names.index(name) for name in exposures]

    def make(rows: pd.DataFrame) -> pd.DataFrame:
        # The order in which Spark brings an era's rows is not fixed; sums below depend on it to the last bit.
        rows = rows.sort_values("id", ignore_index=True)
        ranked = np.array(rows["ranked"].tolist(), dtype=np.float64)
        exposed = np.array(rows["exposures"].tolist(), dtype=np.float64)
        groups = {name: rows[name].to_numpy(dtype=object) for name in ("sector", "country")}
        out = {"id": rows["id"], "era": rows["era"], "era_block": rows["era"] // era_block}
        out["features"] = pd.Series(list(ranking.levels(ranked, groups, exposed)))
        out["raw"] = rows["raw"]
        for horizon in horizons:
            returns = rows[_forward(horizon)].to_numpy(dtype=np.float64)
            for kind, values in cross_section.targets(returns, groups["sector"], exposed[:, chosen]).items():
                out[f"target_{kind}_{horizon}"] = pd.Series(values, dtype="float32")
        out |= {name: rows[name].astype("float32") for name in others}
        return pd.DataFrame(out)

    return make
