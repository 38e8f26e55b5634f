"""The strategy view against a day-by-day computation in plain Python."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.scoring.strategy import (
    Holding,
    daily_returns,
    histories,
    performance,
    positions,
    quantile_returns,
    scaled,
    spreads,
)

DAYS, TICKERS = 90, 10
HOLDING = Holding(lag=2, horizon=10)
ERA_SESSIONS = (40, 45, 50, 79)  # the last tranche is cut short by the end of the prices


def prices_frame() -> pd.DataFrame:
    """Ten tickers over 90 sessions; t9 has no price in sessions 48 to 52, t8 only ten before the first era."""
    draw = np.random.default_rng(5)
    rows = []
    for ticker in range(TICKERS):
        level = 100.0
        for session in range(DAYS):
            if (ticker == 9 and 48 <= session <= 52) or (ticker == 8 and session < 30):
                continue
            ret = float(draw.normal(0, 0.01 * (1 + ticker)))
            level *= 1 + ret
            day = date(2020, 1, 1) + timedelta(days=session)
            first = session == (30 if ticker == 8 else 0)
            rows.append((f"t{ticker}", day, "", session, session, level, None if first else ret))
    return pd.DataFrame(rows, columns=["ticker", "date", "country", "session", "bar", "total_return", "daily_return"])


def predictions_frame() -> pd.DataFrame:
    draw = np.random.default_rng(6)
    rows = []
    for era, session in enumerate(ERA_SESSIONS, 1):
        day = date(2020, 1, 1) + timedelta(days=session)
        rows += [(f"t{ticker}_{day}", era, 1, "m", float(draw.normal())) for ticker in range(TICKERS)]
    return pd.DataFrame(rows, columns=["id", "era", "fold", "model", "prediction"])


@pytest.fixture(scope="module")
def prices(spark: SparkSession) -> DataFrame:
    schema = "ticker string, date date, country string, session int, bar int, total_return double, daily_return double"
    rows = [tuple(None if x != x else x for x in row) for row in prices_frame().itertuples(index=False)]
    return spark.createDataFrame(rows, schema).cache()


@pytest.fixture(scope="module")
def predictions(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(predictions_frame())


@pytest.fixture(scope="module")
def measured(predictions: DataFrame, prices: DataFrame) -> DataFrame:
    return histories(predictions, prices, HOLDING).cache()


def weights() -> dict[int, dict[str, float]]:
    """Era -> ticker -> what its tranche holds."""
    prices, predictions, out = prices_frame(), predictions_frame(), {}
    for era, session in enumerate(ERA_SESSIONS, 1):
        of_era = predictions[predictions["era"] == era].assign(ticker=lambda x: x["id"].str[:2]).set_index("ticker")
        risk = {}
        for ticker, history in prices[prices["session"] <= session].groupby("ticker"):
            returns = history["daily_return"].tail(60).dropna()
            if len(returns) >= 20 and history["session"].iloc[-1] == session:
                risk[ticker] = returns.std(ddof=0)
        scores = of_era["prediction"].loc[sorted(risk)]
        side = np.sign(scores - scores.median())
        out[era] = {t: side[t] * 0.15 / 252**0.5 / risk[t] / len(risk) / 2 for t in risk}
    return out


def test_a_tranche_is_long_above_and_short_below_the_median_by_inverse_volatility(measured: DataFrame) -> None:
    held = positions(measured, HOLDING)
    found = held.select("ticker", F.inline(F.arrays_zip("era", "session", "weight"))).toPandas()

    expected = weights()
    assert len(expected[1]) == 9  # t8 has ten returns before it
    assert len(expected[3]) == 9  # t9 has no price that day; t8 has twenty returns
    assert len(found) == sum(map(len, expected.values()))
    for row in found.itertuples(index=False):
        assert row.weight == pytest.approx(expected[row.era][row.ticker])


def test_daily_returns_are_those_of_the_tranches_that_are_held(measured: DataFrame) -> None:
    found = daily_returns(positions(measured, HOLDING), measured, HOLDING).toPandas()
    found = found.sort_values("date", ignore_index=True)

    frame = prices_frame()
    returns = frame.pivot(index="session", columns="ticker", values="daily_return").fillna(0.0)
    held = pd.DataFrame(0.0, index=range(DAYS + 1), columns=returns.columns)
    for era, session in enumerate(ERA_SESSIONS, 1):
        for ticker, weight in weights()[era].items():
            held.loc[session + 3 : session + 12, ticker] += weight
    gross = (held.loc[: DAYS - 1] * returns).sum(axis=1)
    turnover = held.diff().abs().sum(axis=1)[:DAYS]
    some = [day for day in range(DAYS) if gross[day] or turnover[day]]

    assert found["date"].tolist() == [date(2020, 1, 1) + timedelta(days=day) for day in some]
    np.testing.assert_allclose(found["gross"], gross[some], atol=1e-12)
    np.testing.assert_allclose(found["turnover"], turnover[some], atol=1e-12)
    np.testing.assert_allclose(found["exposure"], held.abs().sum(axis=1)[some], atol=1e-12)


def test_quantiles_are_mean_returns_from_the_first_held_close_to_the_last(measured: DataFrame) -> None:
    found = quantile_returns(measured).toPandas()

    levels = prices_frame().pivot(index="session", columns="ticker", values="total_return")
    of_era = predictions_frame().query("era == 2").assign(ticker=lambda x: x["id"].str[:2]).set_index("ticker")
    ret = (levels.loc[57] / levels.loc[47] - 1).dropna()
    order = of_era["prediction"].loc[ret.index].sort_values().index
    era = found[found["era"] == 2].set_index("quantile")
    assert era.loc[1, "ret"] == pytest.approx(ret[order[:2]].mean())
    assert era.loc[5, "ret"] == pytest.approx(ret[order[-2:]].mean())
    assert set(found["era"]) == {1, 2, 3}  # the fourth has no price at the end of its holding
    spread = spreads(found).set_index("era")["value"]
    assert spread[2] == pytest.approx(ret[order[-2:]].mean() - ret[order[:2]].mean())


def test_constant_predictions_have_no_quantiles(predictions: DataFrame, prices: DataFrame) -> None:
    flat = predictions.withColumn("prediction", F.when(F.col("era") == 2, 0.5).otherwise(F.col("prediction")))

    found = quantile_returns(histories(flat, prices, HOLDING)).select("era").distinct().toPandas()

    assert set(found["era"]) == {1, 3}


def test_nothing_that_was_held_earns_nothing() -> None:
    nothing = pd.DataFrame({"model": [], "date": [], "gross": [], "turnover": [], "exposure": []})
    few = pd.DataFrame({"model": "m", "era": 1, "quantile": [1, 2], "ret": [0.1, 0.2], "tickers": 1})

    assert performance(scaled(nothing, HOLDING)).empty
    assert spreads(few)["value"].isna().all()
    assert spreads(few.iloc[:0]).empty


def test_the_portfolio_has_its_target_volatility_and_costs_are_what_is_traded() -> None:
    draw = np.random.default_rng(0)
    risk = np.repeat([0.001, 0.004], 1500)  # what the unscaled positions are worth changes
    daily = pd.DataFrame(
        {
            "model": "m",
            "date": range(3000),
            "gross": draw.normal(0.0001, 1, 3000) * risk,
            "turnover": 0.02,
            "exposure": 1.0,
        }
    )

    found = scaled(daily, HOLDING)
    result = performance(found, costs=(0, 10)).set_index("cost_bp")

    assert len(found) == 3000 - 10 - 20  # the tranches fill up, then the first deviation
    assert result.loc[0, "annual_volatility"] == pytest.approx(0.15, rel=0.06)
    paid = result.loc[0, "annual_return"] - result.loc[10, "annual_return"]
    assert paid == pytest.approx(0.001 * result.loc[0, "annual_turnover"])
    later = daily.assign(gross=daily["gross"].where(daily["date"] < 2000, 0.5))
    pd.testing.assert_frame_equal(scaled(later, HOLDING).iloc[:1970], found.iloc[:1970])


def test_what_a_change_of_leverage_trades_is_counted() -> None:
    draw = np.random.default_rng(1)
    held = {"model": "m", "date": range(200), "gross": draw.normal(0, 0.01, 200), "turnover": 0.0, "exposure": 0.5}

    found = scaled(pd.DataFrame(held), HOLDING)

    assert found["turnover"].iloc[0] == pytest.approx(0.5 * found["leverage"].iloc[0])  # what is held is built up
    np.testing.assert_allclose(found["turnover"].iloc[1:], 0.5 * found["leverage"].diff().abs().iloc[1:])
    assert (found["turnover"].iloc[1:] > 0).all()
