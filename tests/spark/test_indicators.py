"""Every feature equals its oracle: TA-Lib's indicators, and plain pandas for momentum and exposures."""

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark import oracles
from tests.spark.oracles import Array

from eraflow.features import sets

BOUND = 1e-9

# What grows by the same amount or share for ever has a quotient of MACD and deviation that comes to rest: the deviation
# of the quotient fades into rounding noise on both sides, and with it every digit of what is divided by it. A price
# that falls by a hundredth a day, give or take a thousandth, comes near: running sums leave 3e-9 of the quotient there.
STEADY = ("growth_linear", "growth_constant", "falling")
OVER_ITS_OWN_DEVIATION = [name for name in oracles.RANKED if name.startswith("macd_norm")]


def nasty_closes() -> dict[str, Array]:
    """Histories that break naive filters: no movement, jumps, very long ones, hardly any bars."""
    random = np.random.default_rng(11)

    def walk(bars: int, deviation: float = 0.02) -> Array:
        return 50.0 * np.exp(np.cumsum(random.normal(0.0, deviation, bars)))

    jumps = walk(1200)
    jumps[700:] *= 100.0
    jumps[900:] /= 100.0
    halted = walk(900)
    halted[300:420] = halted[300]  # longer than the price's window of 63 bars, shorter than its quotient's of 252
    step = np.full(700, 10.0)
    step[400:] = 1000.0
    return {
        "flat": np.full(700, 12.5),
        "step": step,
        "halted": halted,
        "jumps": jumps,
        "growth_linear": 100.0 + np.arange(2500.0),
        "growth_constant": 20.0 * 1.001 ** np.arange(1500.0),
        "falling": 5000.0 * 0.99 ** np.arange(900) * np.exp(random.normal(0.0, 0.001, 900)),
        "alternating": np.where(np.arange(1300) % 2, 101.0, 100.0),
        "wild": walk(1500, deviation=0.4),
        "very_long": walk(17_000),
        **{f"bars_{bars}": walk(bars) for bars in (1, 2, 8, 9, 14, 15, 26, 33, 34, 253)},
    }


def nasty_prices() -> pd.DataFrame:
    random = np.random.default_rng(12)
    tickers = []
    for name, close in nasty_closes().items():
        bars = len(close)
        frame = pd.DataFrame({"ticker": name, "date": oracles.dates("1940-01-01", bars), "close": close})
        still = name in ("flat", "step")
        spread = np.zeros((2, bars)) if still else np.abs(random.normal(0.0, 0.01, (2, bars)))
        spread[:, 100:120] = 0.0  # days on which high, low and close are one
        frame["high"], frame["low"] = close * np.exp(spread[0]), close * np.exp(-spread[1])
        frame["open"], frame["adjusted_close"] = frame["close"], frame["close"]
        frame["volume"] = np.round(random.lognormal(10.0, 1.0, bars)) * (random.random(bars) < 0.95)
        tickers.append(frame.assign(sector="one"))
    return pd.concat(tickers, ignore_index=True)


@pytest.fixture(scope="module", params=["windows", "kernels"])
def nasty(spark: SparkSession, request: pytest.FixtureRequest) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Ticker -> its prices, and its features of one Spark run over all tickers by each engine."""
    raw = nasty_prices()
    daily = oracles.stored_daily(oracles.bars_of(spark, raw), engine=request.param)
    computed = dict(list(oracles.values(daily).groupby("ticker")))
    return {
        ticker: (prices.reset_index(drop=True), computed[ticker].reset_index(drop=True))
        for ticker, prices in raw.groupby("ticker")
    }


@pytest.fixture(scope="module")
def nasty_market() -> pd.Series:
    return oracles.market_return(nasty_prices())


@pytest.mark.parametrize("ticker", nasty_closes())
def test_technical_features_equal_ta_lib(ticker: str, nasty: dict[str, tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    worst = oracles.ta_lib_errors(*nasty[ticker])

    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("ticker", nasty_closes())
def test_momentum_and_exposures_equal_pandas(
    ticker: str, nasty: dict[str, tuple[pd.DataFrame, pd.DataFrame]], nasty_market: pd.Series
) -> None:
    prices, computed = nasty[ticker]
    wanted = oracles.by_pandas(prices, nasty_market)

    worst = oracles.errors(computed, wanted.drop(columns=OVER_ITS_OWN_DEVIATION) if ticker in STEADY else wanted, {})

    assert max(worst.values()) <= BOUND, worst


def test_nothing_is_divided_by_a_deviation_of_zero(nasty: dict[str, tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    divided = sets.families(oracles.FEATURES)["momentum"]
    by_returns = [name for name in divided if name.startswith("ret_vol")]

    assert nasty["flat"][1][divided].isna().all(axis=None)
    assert nasty["growth_constant"][1][by_returns].isna().all(axis=None)
    assert (nasty["growth_constant"][1]["volatility"].dropna() == 0.0).all()
