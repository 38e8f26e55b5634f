"""Policies together: whatever is dropped, masked or left out, a row is held against the last one that is kept."""

from __future__ import annotations

from functools import reduce
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark import oracles, price_oracle

from eraflow.sources import prices

DAYS = oracles.dates("2020-01-06", 40)
DROPPABLE = ("zero_volume", "stale", "jump", "adjustment", "contradiction")
# No policy, each pair of them, and all five at `drop`.
DROPPED = [chosen for size in (0, 2, 5) for chosen in combinations(DROPPABLE, size)]
TENFOLD, AFTER = 10, 11


def policies(dropped: tuple[str, ...]) -> dict[str, str]:
    return {**oracles.POLICIES, **dict.fromkeys(dropped, "drop")}


def tenfold() -> pd.DataFrame:
    """Tickers whose prices do not move but for one or two ten-fold days, in all manners, or another unit for good."""
    close = np.full(len(DAYS), 20.0)
    flat = pd.DataFrame({"date": DAYS, "close": close, "adjusted_close": close / 2, "volume": 100.0})
    flat = flat.assign(open=close, high=close, low=close, sector="one", country="", member=True, rate=1.0)
    every = ["open", "high", "low", "close", "adjusted_close"]
    manners = {"all": every, "closes": ["close", "adjusted_close"], "adjusted": ["adjusted_close"], "raw": every[:4]}
    out = []
    for name, columns in manners.items():
        for volume in (100.0, 0.0):
            for last in (TENFOLD, TENFOLD + 1):  # for one day or two
                ticker = flat.assign(ticker=f"ten {name} {volume:g} {last - TENFOLD}")
                ticker.loc[TENFOLD:last, columns] *= 10.0
                ticker.loc[TENFOLD:last, "volume"] = volume
                out.append(ticker)
    pounds = flat.assign(ticker="pence, then pounds")
    pounds.loc[TENFOLD:, every] /= 100.0
    return pd.concat([*out, pounds])


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    histories = [price_oracle.history(f"T{seed:03}", DAYS, seed) for seed in range(150)]
    whole = pd.concat([*histories, tenfold()], ignore_index=True)
    return whole[[part.split()[0] for part in oracles.RAW.split(", ")]]


@pytest.fixture(scope="module")
def found(spark: SparkSession, raw: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    """The table by the policies that are at `drop`, all of them made by one job."""
    rows = oracles.held(spark.createDataFrame(raw, oracles.RAW)).held()
    calendars = oracles.calendars_of(raw)

    def table(place: int) -> DataFrame:
        bars = prices.bars(rows, calendars, policies(DROPPED[place])).withColumn("place", F.lit(place))
        return bars.select("place", *price_oracle.COLUMNS)

    every = reduce(DataFrame.unionByName, map(table, range(len(DROPPED)))).toPandas()
    return {DROPPED[place]: rows.sort_values(["ticker", "date"]) for place, rows in every.groupby("place")}


@pytest.mark.parametrize("dropped", DROPPED, ids=lambda names: "+".join(names) or "none")
def test_every_row_is_held_against_the_last_kept_one(
    dropped: tuple[str, ...], raw: pd.DataFrame, found: dict[tuple[str, ...], pd.DataFrame]
) -> None:
    sessions = {day: place for place, day in enumerate(sorted(set(raw["date"])))}
    wanted = price_oracle.bars(raw, policies(dropped), sessions).astype({"bar": float})
    table = found[dropped].drop(columns="place").reset_index(drop=True).astype({"bar": float})
    table["flags"] = table["flags"].map(list)

    pd.testing.assert_frame_equal(table, wanted, rtol=1e-12)
    assert (table["flags"].map(len) > 0).mean() > 0.3


@pytest.mark.parametrize("dropped", DROPPED, ids=lambda names: "+".join(names) or "none")
def test_a_tenfold_day_leaves_the_index_right(
    dropped: tuple[str, ...], found: dict[tuple[str, ...], pd.DataFrame]
) -> None:
    table = found[dropped]
    later = table[table["ticker"].str.startswith("ten") & (table["date"] > DAYS[AFTER])]

    assert len(later) == 16 * (len(DAYS) - AFTER - 1)
    np.testing.assert_allclose(later["total_return"], 20.0, rtol=1e-12)
    rest = later[later["date"] > DAYS[AFTER + 1]]
    assert (rest["daily_return"].dropna() == 0.0).all()


def test_prices_in_another_unit_are_a_jump_that_can_be_left_out(found: dict[tuple[str, ...], pd.DataFrame]) -> None:
    for dropped, table in found.items():
        its = table[table["ticker"] == "pence, then pounds"].set_index("date")

        assert its["flags"].map(len).sum() == 1
        assert list(its.loc[DAYS[TENFOLD], "flags"]) == ["jump"]
        np.testing.assert_allclose(its["total_return"].iloc[-1], 20.0 if "jump" in dropped else 0.2)
