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


@pytest.mark.parametrize("engine", ["kernels", pytest.param("windows", marks=pytest.mark.slow)])
def test_new_days_equal_those_of_a_full_computation(engine: Engine, bars: DataFrame, first: date) -> None:
    whole = oracles.stored_daily(bars, MOMENTUM, engine)

    later = later_features(bars, MOMENTUM, whole.where(F.col("date") < F.lit(first)), first, engine=engine)

    found, wanted = (oracles.values(rows.where(F.col("date") >= F.lit(first)), MOMENTUM) for rows in (later, whole))
    assert found["ticker"].value_counts().to_dict() == {"S00T000": NEW, RESTED: NEW, LATE: NEW}
    pd.testing.assert_frame_equal(found[["ticker", "date"]], wanted[["ticker", "date"]])
    for name in wanted.columns[2:]:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-9, err_msg=name)
    assert found.groupby("ticker")["ret_vol_126"].count().to_dict() == {"S00T000": NEW, RESTED: NEW, LATE: 0}


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
