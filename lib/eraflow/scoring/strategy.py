"""What a portfolio of the predictions would have earned, day by day, where prices are known.

Each era opens a tranche: long what is predicted above the era's median and short what is below, every position
inversely to its own volatility, from the close `lag` sessions after the era's date over `horizon` sessions. Returns are
those of the tranches held on a day, never sums of overlapping ones. Without costs of borrowing, taxes or limits of
size: it shows what a signal is worth, not what a fund would earn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.packages import Source, parts
from eraflow.scoring.tranches import (
    DAILY,
    HISTORY,
    KEYS,
    LEAST_BARS,
    POSITION,
    QUANTILE,
    QUANTILES,
    SESSIONS_A_YEAR,
    UNIT,
    VOLATILITY_BARS,
    Held,
    Histories,
    Holding,
    Positions,
    quantiles,
)
from eraflow.ticker_rows import TickerRows

__all__ = ["Holding", "daily_returns", "histories", "performance", "positions", "quantile_returns", "scaled", "spreads"]

COSTS = (0, 1, 2, 5, 10)  # basis points of what is traded
BASIS_POINT = 1e-4


def histories(predictions: DataFrame, prices: DataFrame, holding: Holding) -> DataFrame:
    """What prices say of predictions, and what is needed to follow positions: the only reading of prices.

    Rows are as `tranches.HISTORY` says. They are few, since they hold what is known of a ticker as lists; a caller that
    takes several views of them keeps them.

    Parameters
    ----------
    predictions : `id string (TICKER_DATE), era, model, prediction`; several folds of an era are averaged.
    prices : the `prices` table: `ticker, date, country, session, bar, daily_return, total_return`.
    """
    date = F.substring_index("id", "_", -1)
    predicted = predictions.select(
        F.expr("left(id, length(id) - length(substring_index(id, '_', -1)) - 1)").alias("ticker"),
        "model", date.cast("date").alias("date"), F.col("era").cast("int").alias("era"),
        F.col("prediction").cast("double").alias("prediction"), F.xxhash64("id").alias("tie"),
    )  # fmt: skip
    bars = prices.select(
        *("ticker", "country", "date", "session"),
        F.col("bar").isNotNull().alias("kept"),
        *("daily_return", "total_return"),
    )
    rows = predicted.unionByName(bars, allowMissingColumns=True)
    return TickerRows.of(parts(prices), Source(rows)).rows(Histories(holding), HISTORY)


def positions(histories: DataFrame, holding: Holding) -> DataFrame:
    """`model, ticker, country` and, as lists of one length, `era, session, weight`: what tranches hold of a ticker.

    The weight is the sign of the prediction less the era's median, times daily target over the ticker's own volatility
    (standard deviation of its last 60 returns, at least 20 known), over tickers and tranches. A ticker without it, or
    one at the median, is not held.
    """
    return _by_era(histories, "session", "prediction", "risk").mapInArrow(Positions(holding), POSITION)


def daily_returns(held: DataFrame, histories: DataFrame, holding: Holding) -> DataFrame:
    """`model, date, gross, turnover, exposure` of what `positions` hold, on each day on which anything is held or sold.

    `gross` is the summed weight times return, `turnover` the summed absolute change of weights, `exposure` the summed
    absolute weight, all before the portfolio is scaled. A day without a price of a ticker that is held earns nothing on
    it.
    """
    returns = histories.where("returns is not null").select("ticker", "session", "returns")
    rows = held.drop("era").unionByName(returns, allowMissingColumns=True)
    follow = Held(holding, _calendars(histories))
    days = rows.repartition("ticker").sortWithinPartitions("ticker").mapInArrow(follow, DAILY)
    return days.groupBy("model", "date").agg(
        *((F.sum(name) * UNIT).alias(name) for name in ("gross", "turnover", "exposure"))
    )


def quantile_returns(histories: DataFrame) -> DataFrame:
    """`model, era, quantile, ret, tickers`: the mean return over the holding of each fifth of an era's predictions.

    Quantile 1 has the lowest predictions. A ticker counts if it has a price at both ends. An era of constant
    predictions has no quantiles; equal ones fall at random.
    """
    return _by_era(histories, "prediction", "tie", "ret").mapInArrow(quantiles, QUANTILE)


def _by_era(histories: DataFrame, *columns: str) -> DataFrame:
    """Of predictions what is needed to compare tickers, those of a model and a chunk of eras together."""
    rows = histories.where("model is not null").select(*KEYS, "era", *columns)
    return rows.repartition("chunk", "model").sortWithinPartitions("chunk", "model")


def _calendars(histories: DataFrame) -> dict[str, np.ndarray]:
    """Of each country the dates by session, in days since 1970; -1 where no ticker has a row."""
    rows = histories.where("date is not null").select("country", "session", "date")
    found: dict[str, dict[int, int]] = {}
    for row in rows.collect():  # tasks x countries rows, of the sessions of a country each
        found.setdefault(row["country"], {}).update(zip(row["session"], row["date"], strict=True))
    calendars = {country: np.full(max(days) + 1, -1, dtype=np.int64) for country, days in found.items()}
    for country, days in found.items():
        calendars[country][list(days)] = list(days.values())
    return calendars


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
    leverage = holding.daily_volatility / risk.where(risk > 0)
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
    for model, days in daily.groupby("model", sort=True):
        for cost in costs:
            net = (days["gross"] - cost * BASIS_POINT * days["turnover"]).to_numpy()
            level = np.concatenate([[0.0], np.cumsum(net)])
            mean, spread = net.mean() * SESSIONS_A_YEAR, net.std() * SESSIONS_A_YEAR**0.5
            drawdown = float(np.max(np.maximum.accumulate(level) - level))
            traded = days["turnover"].mean() * SESSIONS_A_YEAR
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
