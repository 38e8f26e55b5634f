"""Oscillators, volatility, liquidity, trend and residual momentum equal TA-Lib, or each window by itself in numpy."""

import numpy as np
import pandas as pd
import pytest
import talib
from pyspark.sql import SparkSession
from tests.kernels import by_kernels
from tests.spark import more_oracles, oracles
from tests.spark.oracles import Array

from eraflow.features import sets
from eraflow.features.liquidity import LIQUIDITY
from eraflow.features.oscillators import OSCILLATORS
from eraflow.features.plan import with_series
from eraflow.features.residual import RESIDUAL
from eraflow.features.trend import TREND
from eraflow.features.volatility import VOLATILITY
from eraflow.features.windows import lowered

BOUND = 1e-9
SPLIT = 2.0**40  # prices become a trillionth: no fixed number may pass for a small price
FEATURES = (*OSCILLATORS, *VOLATILITY, *LIQUIDITY, *TREND, *RESIDUAL)
OUTPUTS = sets.columns(FEATURES)
BARS = "ticker string, date date, bar int, open double, high double, low double, close double, raw_close double, \
volume double, adjusted_volume double, market_return double, sector_return double"
COLUMNS = [part.split()[0] for part in BARS.split(", ")]


def walk(bars: int, seed: int, deviation: float = 0.02) -> Array:
    return 50.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, deviation, bars)))


def ticker(name: str, close: Array, seed: int, spread: float = 0.01) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    bars = len(close)
    opened = close * np.exp(random.normal(0.0, spread, bars))
    frame = pd.DataFrame({"ticker": name, "date": oracles.dates("1990-01-01", bars), "bar": np.arange(bars)})
    frame["open"], frame["close"], frame["raw_close"] = opened, close, close * 1.5
    frame["high"] = np.maximum(opened, close) * np.exp(np.abs(random.normal(0.0, spread, bars)))
    frame["low"] = np.minimum(opened, close) * np.exp(-np.abs(random.normal(0.0, spread, bars)))
    frame["volume"] = np.round(random.lognormal(12.0, 1.0, bars))
    group = random.normal(0.0, 0.01, (2, bars))
    return frame.assign(market_return=group[0], sector_return=group[1])


def nasty_bars() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(41)
    jumps = walk(700, 1)
    jumps[100:] *= 100.0
    jumps[420:] /= 100.0
    halted = walk(1000, 2)
    halted[150:270] = halted[150]
    found = {
        "walk": ticker("walk", walk(1200, 3), 1),
        "wild": ticker("wild", walk(700, 4, deviation=0.4), 2),
        "flat": ticker("flat", np.full(400, 12.5), 3, spread=0.0),
        "jumps": ticker("jumps", jumps, 4),
        "halted": ticker("halted", halted, 5),
        "ties": ticker("ties", np.round(walk(600, 5, deviation=0.01)), 7),
        "no_volume": ticker("no_volume", walk(500, 6), 8),
        "dead": ticker("dead", walk(150, 7), 9),
        "still_market": ticker("still_market", walk(400, 8), 10).assign(market_return=0.001),
        "is_the_market": ticker("is_the_market", walk(400, 9), 11),
    }
    prices = ["open", "high", "low", "close"]
    found["halted"].loc[150:269, prices] = halted[150]
    found["halted"].loc[160:230, "volume"] = 0.0
    found["ties"][prices] = found["ties"][prices].round()
    found["ties"]["volume"] = 100.0 * random.integers(1, 4, 600)
    found["no_volume"].loc[random.random(500) < 0.05, "volume"] = 0.0
    found["no_volume"].loc[200:240, "volume"] = 0.0
    found["dead"]["volume"] = 0.0
    found["is_the_market"]["market_return"] = more_oracles.change(found["is_the_market"]["close"].to_numpy())
    for bars in (1, 2, 14, 15, 21, 22, 27, 28, 43, 44, 252, 253):
        found[f"bars_{bars}"] = ticker(f"bars_{bars}", walk(bars, bars), bars)
    # In units of the total-return price, which with each dividend is a larger part of the traded one.
    return {
        name: frame.assign(adjusted_volume=frame["volume"] * np.linspace(1.5, 1.0, len(frame)))
        for name, frame in found.items()
    }


def features(spark: SparkSession, bars: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Ticker -> its features by date, all of one Spark run; what is ranked as `ranked_*`."""
    frame = spark.createDataFrame(bars[COLUMNS], BARS)
    wanted = {name: output.raw for name, output in OUTPUTS.items()}
    wanted |= {f"ranked_{name}": output.ranked for name, output in OUTPUTS.items()}
    found = with_series(frame, lowered(wanted), ["ticker", "date"]).toPandas().sort_values(["ticker", "date"])
    return {str(name): group.reset_index(drop=True) for name, group in found.groupby("ticker")}


@pytest.fixture(scope="module")
def computed(spark: SparkSession) -> dict[str, pd.DataFrame]:
    """The features of every nasty ticker, and of each as `*_scaled` after splits by SPLIT."""
    plain = pd.concat(nasty_bars().values())
    scaled = plain.assign(ticker=plain["ticker"] + "_scaled")
    scaled[["volume", "adjusted_volume"]] *= SPLIT
    scaled[["open", "high", "low", "close", "raw_close"]] /= SPLIT
    return features(spark, pd.concat([plain, scaled], ignore_index=True))


@pytest.mark.parametrize("name", nasty_bars())
def test_every_column_equals_its_oracle(name: str, computed: dict[str, pd.DataFrame]) -> None:
    worst = more_oracles.errors(computed[name], nasty_bars()[name].reset_index(drop=True))

    assert set(worst) == set(OUTPUTS)
    assert {column: error for column, error in worst.items() if not error <= BOUND} == {}


@pytest.mark.parametrize("name", ["walk", "wild", "jumps", "ties", "dead"])
def test_flow_and_movement_equal_ta_lib_where_prices_are_not_scaled(
    name: str, computed: dict[str, pd.DataFrame]
) -> None:
    bars = nasty_bars()[name]
    high, low, close, volume = (bars[column].to_numpy() for column in ("high", "low", "close", "adjusted_volume"))
    wanted = {
        "obv": talib.OBV(close, volume),
        "mfi_14": talib.MFI(high, low, close, volume, 14),
        "adx_14": talib.ADX(high, low, close, 14),
        "plus_di_14": talib.PLUS_DI(high, low, close, 14),
        "minus_di_14": talib.MINUS_DI(high, low, close, 14),
    }

    worst = oracles.errors(
        computed[name],
        pd.DataFrame(wanted),
        dict.fromkeys(wanted, np.array(100.0)) | {"obv": np.array(max(1.0, volume.max()))},
    )
    assert {column: error for column, error in worst.items() if not error < BOUND} == {}


@pytest.mark.parametrize("name", nasty_bars())
def test_a_split_changes_nothing_that_is_ranked(name: str, computed: dict[str, pd.DataFrame]) -> None:
    ranked = [column for column in computed[name] if column.startswith("ranked_")]

    worst = oracles.errors(computed[f"{name}_scaled"], computed[name][ranked], {"ranked_cci_14": np.array(100.0)})

    assert {column: error for column, error in worst.items() if error > BOUND} == {}


def test_kernels_equal_windows(computed: dict[str, pd.DataFrame]) -> None:
    bars = pd.concat(nasty_bars().values(), ignore_index=True)
    wanted = {name: output.raw for name, output in OUTPUTS.items()}
    wanted |= {f"ranked_{name}": output.ranked for name, output in OUTPUTS.items()}
    scales = {
        "obv": np.array(bars["adjusted_volume"].max()),
        "ranked_cci_14": np.array(100.0),
        "cci_14": np.array(100.0),
    }

    for name, found in by_kernels(bars, wanted).groupby("ticker"):
        worst = oracles.errors(found, computed[str(name)][list(wanted)], scales)
        assert {column: error for column, error in worst.items() if error > BOUND} == {}, name
