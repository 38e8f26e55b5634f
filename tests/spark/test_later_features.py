"""Features of new days come from a part of the history and equal those of all of it, however long one has rested."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark import oracles

from eraflow.config import load
from eraflow.features import sets
from eraflow.features.daily import Engine, later_features, part_for
from eraflow.sources.synthetic import sector_prices

DAYS, NEW = 1900, 5
RESTED, LATE, GONE = "S00T001", "S00T002", "S00T003"
MOMENTUM = sets.SETS["momentum"]
YEAR = 252  # bars that these features look back


def universe(days: int = DAYS) -> pd.DataFrame:
    """Four tickers: of one all is known, one rests for years, one is new, one has gone."""
    settings = load([], []).synthetic.model_dump() | {"sectors": 1, "tickers_per_sector": 4, "days": days}
    raw = sector_prices(0, **settings).drop(columns=["file", "unreadable"])
    place = raw.groupby("ticker").cumcount()
    rested = (raw["ticker"] == RESTED) & place.between(200, days - NEW - 4)
    late = (raw["ticker"] == LATE) & (place < days - 30)
    gone = (raw["ticker"] == GONE) & (place > days - 400)
    return raw[~(rested | late | gone)]


@pytest.fixture(scope="module")
def bars(spark: SparkSession) -> DataFrame:
    return oracles.bars_of(spark, universe()).where(F.col("bar").isNotNull()).cache()


@pytest.fixture(scope="module")
def first(bars: DataFrame) -> date:
    days = sorted(row["date"] for row in bars.select("date").distinct().collect())
    return days[-NEW]


@pytest.fixture(scope="module", params=["kernels", pytest.param("windows", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture(scope="module")
def whole(bars: DataFrame, engine: Engine) -> DataFrame:
    """Where all tickers are there, and as if the one that rests never were: the market's means are others."""
    every = oracles.stored_daily(bars, MOMENTUM, engine).withColumn("rests", F.lit(True))
    usual = oracles.stored_daily(bars.where(F.col("ticker") != RESTED), MOMENTUM, engine)
    return every.unionByName(usual.withColumn("rests", F.lit(False))).cache()


def same(later: DataFrame, whole: DataFrame, first: date, last: date) -> pd.DataFrame:
    days = F.col("date").between(F.lit(first), F.lit(last))
    found, wanted = oracles.values(later, MOMENTUM), oracles.values(whole.where(days), MOMENTUM)
    pd.testing.assert_frame_equal(found[["ticker", "date"]], wanted[["ticker", "date"]])
    for name in wanted.columns[2:]:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-9, err_msg=name)
    return found


@pytest.mark.parametrize("rests", [True, False], ids=["one rests", "usual"])
def test_new_days_equal_those_of_a_full_computation(
    rests: bool, engine: Engine, bars: DataFrame, whole: DataFrame, first: date
) -> None:
    rows = bars if rests else bars.where(F.col("ticker") != RESTED)
    wanted = whole.where(F.col("rests") == F.lit(rests)).drop("rests")

    later = later_features(rows, MOMENTUM, wanted.where(F.col("date") < F.lit(first)), first, engine=engine)

    found = same(later, wanted, first, date(2100, 1, 1))
    new = {"S00T000": NEW, LATE: NEW} | ({RESTED: NEW} if rests else {})
    assert found["ticker"].value_counts().to_dict() == new
    assert found.groupby("ticker")["ret_vol_126"].count().to_dict() == new | {LATE: 0}


def test_a_range_in_the_midst_equals_a_full_computation(
    engine: Engine, bars: DataFrame, whole: DataFrame, first: date
) -> None:
    usual = bars.where(F.col("ticker") != RESTED)
    wanted = whole.where(~F.col("rests")).drop("rests")
    begin, end = first - timedelta(days=300), first - timedelta(days=270)

    later = later_features(usual, MOMENTUM, wanted, begin, end, engine)

    assert part_for(usual.where(F.col("date") <= F.lit(end)), begin, YEAR).starts["S00T000"] > 0
    assert 15 < len(same(later, wanted, begin, end)) < 25


def test_older_days_are_read_only_where_a_ticker_has_rested(bars: DataFrame, first: date) -> None:
    usual = part_for(bars.where(F.col("ticker") != RESTED), first, YEAR)
    resting = part_for(bars, first, YEAR)

    assert timedelta(days=YEAR * 7 / 5) < first - usual.since < timedelta(days=YEAR * 2.5)
    assert 0 < usual.starts["S00T000"] <= DAYS - NEW - YEAR
    assert usual.starts[LATE] == 0
    oldest = bars.where(F.col("ticker") == RESTED).agg(F.min("date")).head()
    assert oldest is not None
    assert resting.since <= oldest[0] < usual.since
    assert set(resting.starts) == {"S00T000", RESTED, LATE}


def test_without_a_new_day_no_ticker_is_read(bars: DataFrame) -> None:
    assert part_for(bars, date(2100, 1, 1), YEAR).starts == {}
