"""Suspicious prices: which rows each check names, and what each policy makes of them."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark import oracles

from eraflow.sources import prices, quality, sessions
from eraflow.sources.fault_rows import SEEN_SQL

DAYS = oracles.dates("2020-01-06", 30)
ZERO, STALE, JUMP, ADJUSTED, CONTRADICTION, GAP = 5, 8, 11, 14, 17, 20


def raw() -> pd.DataFrame:
    """Two tickers; B is sound, A has one row for each check."""
    level = np.linspace(10.0, 13.0, len(DAYS))
    frames = []
    for ticker in ("A", "B"):
        frame = pd.DataFrame({"ticker": ticker, "date": DAYS, "close": level, "adjusted_close": level / 2})
        frame = frame.assign(open=frame["close"], high=frame["close"], low=frame["close"], volume=100.0, sector="one")
        frames.append(frame)
    suspect = frames[0]
    suspect.loc[[ZERO, STALE], "volume"] = 0.0
    suspect.loc[STALE, ["open", "high", "low", "close"]] = suspect.loc[STALE - 1, "close"]
    for name in (*("open", "high", "low", "close"), "adjusted_close"):
        suspect.loc[JUMP:, name] *= 2.0
    suspect.loc[ADJUSTED:, "adjusted_close"] *= 1.5
    suspect.loc[CONTRADICTION, "high"] -= 0.5
    frames[0] = suspect.drop(index=GAP - 1)
    return pd.concat(frames, ignore_index=True)


def table(spark: SparkSession, **policies: str) -> DataFrame:
    names = [part.split()[0] for part in oracles.RAW.split(", ")]
    whole = raw().assign(country="", member=True, rate=1.0)[names]
    rows = oracles.held(spark.createDataFrame(whole, oracles.RAW))
    return prices.bars(rows, oracles.calendars_of(raw()), oracles.POLICIES | policies)


def of_a(frame: DataFrame) -> pd.DataFrame:
    return frame.where("ticker = 'A'").toPandas().sort_values("date").set_index("date")


def test_each_check_names_its_row_and_no_other(spark: SparkSession) -> None:
    nothing = spark.createDataFrame([], SEEN_SQL)
    found = quality.findings(table(spark), nothing).toPandas().sort_values(["date", "check"])

    assert list(zip(found["ticker"], found["date"], found["check"], strict=True)) == [
        ("A", DAYS[ZERO], "zero_volume"),
        ("A", DAYS[STALE], "stale"),
        ("A", DAYS[STALE], "zero_volume"),
        ("A", DAYS[JUMP], "jump"),
        ("A", DAYS[ADJUSTED], "adjustment"),
        ("A", DAYS[ADJUSTED], "jump"),
        ("A", DAYS[CONTRADICTION], "contradiction"),
        ("A", DAYS[GAP], "gap"),
    ]


def test_a_dropped_row_is_as_if_the_file_lacked_it(spark: SparkSession) -> None:
    kept = prices.kept(table(spark, zero_volume="drop"))
    lacking = raw()[raw()["volume"] > 0]
    names = [part.split()[0] for part in oracles.RAW.split(", ")]
    whole = lacking.assign(country="", member=True, rate=1.0)[names]
    wanted = prices.bars(
        oracles.held(spark.createDataFrame(whole, oracles.RAW)), oracles.calendars_of(raw()), oracles.POLICIES
    )

    pd.testing.assert_frame_equal(of_a(kept), of_a(wanted), rtol=1e-14)


def test_a_dropped_move_is_left_out_of_the_total_return_only(spark: SparkSession) -> None:
    plain, without = of_a(table(spark)), of_a(table(spark, jump="drop", adjustment="drop"))

    assert (without["bar"] == plain["bar"]).all()
    assert (without["close"] == plain["close"]).all()
    moved = without.index.isin([DAYS[JUMP], DAYS[ADJUSTED]])
    np.testing.assert_allclose(without.loc[~moved, "daily_return"], plain.loc[~moved, "daily_return"])
    assert (without.loc[moved, "daily_return"] == 0.0).all()
    growth = (1.0 + without["daily_return"].fillna(0.0)).cumprod() * without["close"].iloc[0]
    np.testing.assert_allclose(without["total_return"], growth, rtol=1e-12)


def test_no_label_reaches_over_a_masked_day(spark: SparkSession) -> None:
    bars = table(spark).withColumn("masked", quality.fails({"contradiction": "mask"}, "mask"))
    plain = table(spark).withColumn("masked", F.lit(False))
    found, before = (
        oracles.labelled(frame, [4], 1, len(DAYS)).query("ticker == 'A'").set_index("date")["forward_4"]
        for frame in (bars, plain)
    )

    lost = before.notna() & found.isna()
    assert [DAYS.index(day) for day in sorted(lost.index[lost])] == list(range(CONTRADICTION - 5, CONTRADICTION))


@pytest.mark.slow
def test_the_known_wrong_adjustments_of_the_real_file_are_found(spark: SparkSession, real_prices: Path) -> None:
    some = oracles.read_file(spark, real_prices).where(F.col("ticker").isin("TRMB", "ANTM", "AAPL", "KSU"))
    nothing = spark.createDataFrame([], SEEN_SQL)
    found = quality.findings(prices.bars(oracles.held(some), oracles.calendars_in(some), oracles.POLICIES), nothing)
    named = {
        (row["ticker"], row["date"], row["check"]) for row in found.where("check in ('jump', 'adjustment')").collect()
    }

    assert ("TRMB", date(2007, 2, 23), "adjustment") in named
    assert ("TRMB", date(2007, 2, 26), "jump") in named
    assert ("ANTM", date(2001, 10, 30), "jump") in named
    assert ("ANTM", date(2002, 3, 18), "adjustment") in named


def test_a_day_of_which_no_row_is_kept_is_no_session(spark: SparkSession, tmp_path: Path) -> None:
    """A feed that fills a holiday with the close of the day before; a ticker that goes on after a year; an overlap."""
    days = oracles.dates("2020-01-06", 12)
    whole = pd.DataFrame([(ticker, day) for ticker in "AB" for day in days], columns=["ticker", "date"])
    close = 20.0 + np.arange(len(whole))
    whole = whole.assign(**dict.fromkeys(("open", "high", "low", "close", "adjusted_close"), close), volume=100.0)
    filled = whole["date"] == days[7]
    whole.loc[filled] = whole[filled.shift(-1, fill_value=False)].assign(date=days[7], volume=0.0).to_numpy()
    again = whole.tail(1).assign(date=date(2021, 6, 1))
    pd.concat([whole, whole.head(2), again], ignore_index=True).assign(sector="one").to_parquet(tmp_path / "p.parquet")
    rows = oracles.held(oracles.read_file(spark, tmp_path / "p.parquet"))

    def counted(**policies: str) -> sessions.Counted:
        return sessions.counted(rows, {**oracles.POLICIES, **policies})

    kept = counted()
    assert kept.days[""] == {**dict.fromkeys(days, 2), date(2021, 6, 1): 1}
    assert (kept.rows, kept.repeats, kept.names) == (27, 2, 2)
    for check in ("stale", "zero_volume"):
        assert set(kept.days[""]) - set(counted(**{check: "drop"}).days[""]) == {days[7]}
