"""The alpha158 family equals its definitions, taken from each window by numpy."""

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.kernels import by_kernels
from tests.spark import alpha158_oracle, oracles
from tests.spark.oracles import Array

from eraflow.features import sets
from eraflow.features.alpha158 import ALPHA158
from eraflow.features.plan import with_series
from eraflow.features.resume import history
from eraflow.features.windows import lowered

BOUND = 1e-9
OUTPUTS = {name: output.raw for name, output in sets.columns(ALPHA158).items()}
BARS = "ticker string, date date, bar int, open double, high double, low double, close double, raw_close double, \
volume double, market_return double, sector_return double"
COLUMNS = [part.split()[0] for part in BARS.split(", ")]


def ticker(name: str, close: Array, seed: int, spread: float = 0.01) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    bars = len(close)
    opened = close * np.exp(random.normal(0.0, spread, bars))
    frame = pd.DataFrame({"ticker": name, "date": oracles.dates("1990-01-01", bars), "bar": np.arange(bars)})
    frame["open"], frame["close"], frame["raw_close"] = opened, close, close
    frame["high"] = np.maximum(opened, close) * np.exp(np.abs(random.normal(0.0, spread, bars)))
    frame["low"] = np.minimum(opened, close) * np.exp(-np.abs(random.normal(0.0, spread, bars)))
    frame["volume"] = np.round(random.lognormal(12.0, 1.0, bars))
    return frame.assign(market_return=0.0, sector_return=0.0)


def nasty_bars() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(158)

    def walk(bars: int, deviation: float = 0.02) -> Array:
        return 50.0 * np.exp(np.cumsum(random.normal(0.0, deviation, bars)))

    jumps = walk(400)
    jumps[100:] *= 100.0
    jumps[220:] /= 100.0
    jumps[300] *= 100.0
    halted = walk(400)
    halted[150:270] = halted[150]
    found = {
        "walk": ticker("walk", walk(700), 1),
        "wild": ticker("wild", walk(400, deviation=0.4), 2),
        "flat": ticker("flat", np.full(200, 12.3), 3, spread=0.0),
        "jumps": ticker("jumps", jumps, 4),
        "halted": ticker("halted", halted, 5),
        "line": ticker("line", 100.0 + np.arange(200.0), 6),
        "ties": ticker("ties", np.round(walk(400, deviation=0.01)), 7),
        "no_volume": ticker("no_volume", walk(400), 8),
        "dead": ticker("dead", walk(150), 9),
    }
    prices = ["open", "high", "low", "close"]
    found["halted"].loc[150:269, prices] = halted[150]
    found["halted"].loc[160:230, "volume"] = 0.0
    found["ties"][prices] = found["ties"][prices].round()
    found["ties"]["volume"] = 100.0 * random.integers(1, 4, 400)
    found["no_volume"].loc[random.random(400) < 0.03, "volume"] = 0.0
    found["dead"]["volume"] = 0.0
    for bars in (1, 4, 5, 6, 59, 60, 61):
        found[f"bars_{bars}"] = ticker(f"bars_{bars}", walk(bars), bars)
    return found


def features(spark: SparkSession, bars: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Ticker -> its features by date, all of one Spark run."""
    frame = spark.createDataFrame(bars[COLUMNS], BARS)
    found = with_series(frame, lowered(OUTPUTS), ["ticker", "date"]).toPandas().sort_values(["ticker", "date"])
    return {str(name): group.reset_index(drop=True) for name, group in found.groupby("ticker")}


@pytest.fixture(scope="module")
def computed(spark: SparkSession) -> dict[str, pd.DataFrame]:
    """The features of every nasty ticker, and of each as `*_scaled` with prices times 3.7 and volume times 2."""
    plain = pd.concat(nasty_bars().values())
    scaled = plain.assign(ticker=plain["ticker"] + "_scaled", volume=2.0 * plain["volume"])
    scaled[["open", "high", "low", "close"]] *= 3.7
    return features(spark, pd.concat([plain, scaled], ignore_index=True))


def worst_errors(found: pd.DataFrame, bars: pd.DataFrame) -> dict[str, float]:
    with np.errstate(all="ignore"):
        wanted = alpha158_oracle.alpha158(bars.reset_index(drop=True))
    assert list(wanted) == list(OUTPUTS)
    return oracles.errors(found, wanted, {})


@pytest.mark.parametrize("name", nasty_bars())
def test_every_column_equals_its_definition(name: str, computed: dict[str, pd.DataFrame]) -> None:
    worst = worst_errors(computed[name], nasty_bars()[name])

    assert {column: error for column, error in worst.items() if error > BOUND} == {}


@pytest.mark.parametrize("name", nasty_bars())
def test_the_units_of_price_and_volume_change_nothing(name: str, computed: dict[str, pd.DataFrame]) -> None:
    without_unit = [column for column in OUTPUTS if not column.startswith("corr")]  # corr reads log(volume + 1)

    worst = oracles.errors(computed[f"{name}_scaled"], computed[name][without_unit], {})

    assert {column: error for column, error in worst.items() if error > BOUND} == {}


def test_the_family_has_157_columns_and_looks_back_60_bars() -> None:
    assert len(OUTPUTS) == 157
    assert sets.families(ALPHA158) == {"alpha158": list(OUTPUTS)}
    assert history(lowered(OUTPUTS).values()) == 60


def test_a_full_window_of_5_bars_is_known_and_no_shorter_one(computed: dict[str, pd.DataFrame]) -> None:
    of_levels = ["ma_5", "std_5", "rank_5", "rsv_5", "imax_5", "qtlu_5", "vma_5", "corr_5"]
    of_changes = ["roc_5", "cord_5", "cntp_5", "sump_5", "wvma_5", "vsump_5"]

    assert list(computed["walk"][of_levels].notna().all(axis=1)[:6]) == [False] * 4 + [True] * 2
    assert list(computed["walk"][of_changes].notna().all(axis=1)[:6]) == [False] * 5 + [True]
    assert computed["bars_4"][of_levels + of_changes].isna().all(axis=None)


def test_a_window_in_which_nothing_moves_has_no_quotient(computed: dict[str, pd.DataFrame]) -> None:
    undefined = [f"{name}_{bars}" for name in ("rsqr", "corr", "cord", "rsv", "sump", "wvma") for bars in (5, 60)]

    assert computed["flat"][[*undefined, "kmid2", "kup2", "klow2", "ksft2"]].isna().all(axis=None)
    assert (computed["flat"][["std_60", "beta_60", "resi_60"]].iloc[59:] == 0.0).all(axis=None)


def test_kernels_equal_windows(computed: dict[str, pd.DataFrame]) -> None:
    bars = pd.concat(nasty_bars().values(), ignore_index=True)

    for name, found in by_kernels(bars, OUTPUTS).groupby("ticker"):
        worst = oracles.errors(found, computed[str(name)][list(OUTPUTS)], {})
        assert {column: error for column, error in worst.items() if error > BOUND} == {}, name
