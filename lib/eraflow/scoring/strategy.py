"""What a portfolio of the predictions would have earned, day by day, where prices are known.

Each era opens a tranche: long what is predicted above the era's median and short what is below, every position
inversely to its own volatility, from the close `lag` sessions after the era's date over `horizon` sessions. Returns are
those of the tranches held on a day, never sums of overlapping ones. Without costs of borrowing, taxes or limits of
size: it shows what a signal is worth, not what a fund would earn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

SESSIONS_A_YEAR = 252
SESSIONS_A_WEEK = 5
VOLATILITY_BARS, LEAST_BARS = 60, 20
QUANTILES = 5
COSTS = (0, 1, 2, 5, 10)  # basis points of what is traded
BASIS_POINT = 1e-4
UNIT = 1e-15  # sums count in whole units, so that the order of rows changes no last digit


@dataclass(frozen=True)
class Holding:
    """How predictions are held: sessions after the era's date, sessions held, and the yearly volatility aimed at."""

    lag: int
    horizon: int
    volatility: float = 0.15

    @property
    def tranches(self) -> float:
        """Tranches of weekly eras that are held at once, each with its part of the capital."""
        return max(1.0, self.horizon / SESSIONS_A_WEEK)


def positions(predictions: DataFrame, prices: DataFrame, holding: Holding) -> DataFrame:
    """`model, era, ticker, country, session, weight`: what an era's tranche holds of each ticker; one row each.

    Parameters
    ----------
    predictions : `id string (TICKER_DATE), era, model, prediction`; several folds of an era are averaged.
    prices : the `prices` table: `ticker, date, country, session, bar, daily_return`.

    The weight is the sign of the prediction less the era's median, times daily target over the ticker's own volatility
    (standard deviation of its last 60 returns, at least 20 known), over tickers and tranches. A ticker without it, or
    one at the median, is not held.
    """
    own = Window.partitionBy("ticker").orderBy("date").rowsBetween(-(VOLATILITY_BARS - 1), Window.currentRow)
    known = prices.where(F.col("bar").isNotNull()).select(
        F.concat_ws("_", "ticker", F.col("date").cast("string")).alias("id"), "ticker", "country", "session",
        F.when(F.count("daily_return").over(own) >= LEAST_BARS, F.stddev_pop("daily_return").over(own)).alias("risk"),
    )  # fmt: skip
    scores = predictions.groupBy("model", "era", "id").agg(F.avg("prediction").alias("prediction"))
    held = scores.join(known.where("risk > 0"), on="id", how="inner")
    middle = held.groupBy("model", "era").agg(F.expr("percentile(prediction, 0.5)").alias("middle"),
                                              F.count("*").alias("tickers"))  # fmt: skip
    daily = holding.volatility / SESSIONS_A_YEAR**0.5
    weight = F.signum(F.col("prediction") - F.col("middle")) * daily / F.col("risk")
    return held.join(F.broadcast(middle), on=["model", "era"], how="inner").select(
        *("model", "era", "ticker", "country", "session"),
        (weight / F.col("tickers") / F.lit(holding.tranches)).alias("weight"),
    )


def daily_returns(held: DataFrame, prices: DataFrame, holding: Holding) -> DataFrame:
    """`model, date, gross, turnover, exposure` of what `positions` hold, on each day on which anything is held or sold.

    `gross` is the summed weight times return, `turnover` the summed absolute change of weights, `exposure` the summed
    absolute weight, all before the portfolio is scaled. A day without a price of a ticker that is held earns nothing on
    it.
    """
    first, last = holding.lag + 1, holding.lag + holding.horizon
    sessions = F.explode(F.sequence(F.col("session") + first, F.col("session") + last + 1))
    ends = F.when(F.col("day") <= F.col("session") + last, F.col("weight")).otherwise(0.0)  # the last row sells
    days = held.withColumn("day", sessions).select("model", "ticker", "country", "day", ends.alias("weight"))
    total = days.groupBy("model", "ticker", "country", "day").agg(_sum(F.col("weight")).alias("weight"))
    history = Window.partitionBy("model", "ticker").orderBy("day")
    before = F.when(F.lag("day").over(history) == F.col("day") - 1, F.lag("weight").over(history)).otherwise(0.0)
    changed = total.withColumn("change", F.abs(F.col("weight") - before))
    returns = prices.where(F.col("bar").isNotNull()).select("ticker", F.col("session").alias("day"), "daily_return")
    dates = F.broadcast(prices.select("country", F.col("session").alias("day"), "date").distinct())
    return (
        changed.join(returns, on=["ticker", "day"], how="left")
        .join(dates, on=["country", "day"], how="inner")
        .groupBy("model", "date")
        .agg(
            _sum(F.col("weight") * F.coalesce("daily_return", F.lit(0.0))).alias("gross"),
            _sum(F.col("change")).alias("turnover"),
            _sum(F.abs(F.col("weight"))).alias("exposure"),
        )
    )


def quantile_returns(predictions: DataFrame, prices: DataFrame, holding: Holding) -> DataFrame:
    """`model, era, quantile, ret, tickers`: the mean return over the holding of each fifth of an era's predictions.

    Quantile 1 has the lowest predictions. A ticker counts if it has a price at both ends. An era of constant
    predictions has no quantiles.
    """
    ends = prices.where(F.col("bar").isNotNull()).select("ticker", "session", "total_return")
    known = prices.select(F.concat_ws("_", "ticker", F.col("date").cast("string")).alias("id"), "ticker", "session")
    bought = ends.select(
        "ticker", (F.col("session") - holding.lag).alias("session"), F.col("total_return").alias("bought")
    )
    sold = ends.select(
        "ticker",
        (F.col("session") - holding.lag - holding.horizon).alias("session"),
        F.col("total_return").alias("sold"),
    )
    scores = predictions.groupBy("model", "era", "id").agg(F.avg("prediction").alias("prediction"))
    rows = scores.join(known, on="id", how="inner")
    rows = rows.join(bought, on=["ticker", "session"], how="inner").join(sold, on=["ticker", "session"], how="inner")
    whole = Window.partitionBy("model", "era").rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    varied = rows.withColumn("varies", F.max("prediction").over(whole) > F.min("prediction").over(whole))
    within = Window.partitionBy("model", "era").orderBy("prediction", F.xxhash64("id"))  # ties fall at random
    ranked = varied.where("varies").withColumn("quantile", F.ntile(QUANTILES).over(within))
    return ranked.groupBy("model", "era", "quantile").agg(
        (_sum(F.col("sold") / F.col("bought") - 1) / F.count("*")).alias("ret"), F.count("*").alias("tickers")
    )


def _sum(x: Column) -> Column:
    return F.sum(F.round(x / UNIT).cast("long")) * UNIT


def scaled(daily: pd.DataFrame, holding: Holding) -> pd.DataFrame:
    """`model, date, gross, turnover, leverage`: `daily_returns` of the portfolio brought to its target, from the past.

    Scaling single positions does not do it, since they hedge each other. A day's leverage is target over the
    exponentially weighted deviation (span 60) of the unscaled returns until the day before. Until all tranches are
    there, and 20 days more, a model has none; these days are left out. What a change of leverage trades counts in full.
    """
    daily = daily.sort_values(["model", "date"], ignore_index=True)
    models = daily["model"]
    full = daily["gross"].where(daily.groupby("model").cumcount() >= holding.horizon)
    risk = full.groupby(models).transform(lambda x: x.ewm(span=VOLATILITY_BARS, min_periods=LEAST_BARS).std().shift(1))
    leverage = holding.volatility / SESSIONS_A_YEAR**0.5 / risk.where(risk > 0)
    moved = leverage.groupby(models).diff().abs().fillna(leverage)
    held = daily.groupby("model")["exposure"].shift(1).fillna(0.0)
    traded = daily["turnover"] * leverage + moved * held
    out = daily.assign(gross=daily["gross"] * leverage, turnover=traded, leverage=leverage).drop(columns="exposure")
    return out.dropna(subset="leverage").reset_index(drop=True)


def performance(daily: pd.DataFrame, costs: Sequence[float] = COSTS) -> pd.DataFrame:
    """`model, cost_bp, annual_return, annual_volatility, sharpe, max_drawdown, annual_turnover, days` of `scaled`.

    Net of so many basis points of what is traded. Returns are added, not compounded; Sharpe is a year's, without a
    riskless rate; the drawdown is of the summed returns.
    """
    rows = []
    for model, own in daily.groupby("model", sort=True):
        for cost in costs:
            net = (own["gross"] - cost * BASIS_POINT * own["turnover"]).to_numpy()
            level = np.concatenate([[0.0], np.cumsum(net)])
            mean, spread = net.mean() * SESSIONS_A_YEAR, net.std() * SESSIONS_A_YEAR**0.5
            drawdown = float(np.max(np.maximum.accumulate(level) - level))
            traded = own["turnover"].mean() * SESSIONS_A_YEAR
            rows.append(
                (model, cost, mean, spread, mean / spread if spread > 0 else np.nan, drawdown, traded, len(net))
            )
    columns = ["model", "cost_bp", "annual_return", "annual_volatility", "sharpe", "max_drawdown", "annual_turnover"]
    return pd.DataFrame(rows, columns=[*columns, "days"])


def spreads(quantiles: pd.DataFrame) -> pd.DataFrame:
    """`model, era, metric, value` of `quantile_returns`: `quantile_spread`, the highest fifth less the lowest."""
    wide = quantiles.pivot(index=["model", "era"], columns="quantile", values="ret")
    wide = wide.reindex(columns=[1, QUANTILES])  # an era of fewer tickers has no highest
    apart = (wide[QUANTILES] - wide[1]).rename("value").reset_index()
    apart = apart.sort_values(["model", "era"], ignore_index=True)
    return apart.assign(metric="quantile_spread")[["model", "era", "metric", "value"]]
