"""The file of real prices: every column of every ticker equals its oracle, and the past does not know the future.

One Spark run computes the set `all`; the oracles go through it ticker by ticker: some of two sectors until 2006, or
(soak) all. A sector of one ticker would leave nothing but rounding of its residuals.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark import alpha158_oracle, more_oracles, oracles
from tests.spark.test_point_in_time import Variant

from eraflow.features import cross_section, sets
from eraflow.features.daily import daily_features
from eraflow.sources import prices
from eraflow.sources.calendar import Calendars

ALL = sets.SETS["all"]
FAMILIES = sets.families([*ALL, *sets.EXPOSURES])
TICKERS = 342
BOUND = 1e-9
CUT, LAST_COMPLETE_WEEK = date(2004, 6, 16), date(2004, 6, 11)  # after each look-back, and cheap to compute again


@dataclass(frozen=True)
class Real:
    """The prices table and the daily features of the set `all`, these in files of some ten tickers each."""

    rows: Path
    tickers: int
    calendars: Calendars
    bars: DataFrame
    daily: DataFrame
    files: Sequence[Path]


@pytest.fixture(
    scope="module",
    params=[pytest.param(5, id="some", marks=pytest.mark.slow), pytest.param(1, id="all", marks=pytest.mark.soak)],
)
def every(request: pytest.FixtureRequest) -> int:
    """1 takes the whole file, 5 every 5th ticker of the two largest sectors until 2006."""
    return request.param


@pytest.fixture(scope="module")
def real(spark: SparkSession, real_prices: Path, every: int) -> Real:
    folder, rows = Path(oracles.folder_for_now()), pd.read_parquet(real_prices)
    if every > 1:
        rows = rows[rows["sector"].isin(["Industrials", "Information Technology"])]
        rows = rows[pd.to_datetime(rows["date"]) < "2007-01-01"]
    rows = rows[rows["ticker"].isin(sorted(rows["ticker"].unique())[::every])]
    rows.to_parquet(folder / "prices.parquet")
    tickers = rows["ticker"].nunique()
    assert tickers == (TICKERS if every == 1 else 17)
    raw = oracles.read_file(spark, folder / "prices.parquet")
    calendars = oracles.calendars_in(raw)
    prices.bars(oracles.held(raw), calendars, oracles.POLICIES).write.parquet(f"{folder}/bars")
    bars = spark.read.parquet(f"{folder}/bars")
    daily_features(bars.repartition(max(4, 32 // every), "ticker"), ALL).write.parquet(f"{folder}/daily")
    daily = spark.read.parquet(f"{folder}/daily")
    return Real(folder / "prices.parquet", tickers, calendars, bars, daily, sorted(folder.glob("daily/*.parquet")))


def with_means(raw: pd.DataFrame) -> pd.DataFrame:
    """The rows of the file with the mean returns of market and sector on their days."""
    raw = raw.assign(date=pd.to_datetime(raw["date"]).dt.date).sort_values(["ticker", "date"], ignore_index=True)
    returns = oracles.clipped_return(raw)
    return raw.assign(
        market_return=returns.groupby(raw["date"]).transform("mean"),
        sector_return=returns.groupby([raw["date"], raw["sector"]]).transform("mean"),
    )


def errors_in(file: Path, real_rows: Path) -> pd.DataFrame:
    """The largest error of each column (rows) for each ticker (columns) of one file of features."""
    computed = pd.read_parquet(file, columns=["ticker", "date", *FAMILIES])
    rows = pd.read_parquet(real_rows, filters=[("ticker", "in", set(computed["ticker"]))])
    of_ticker = dict(list(computed.groupby("ticker")))
    return pd.DataFrame({name: errors(group, of_ticker[name]) for name, group in rows.groupby("ticker")})


def errors(rows: pd.DataFrame, computed: pd.DataFrame) -> dict[str, float]:
    rows, computed = rows.reset_index(drop=True), computed.sort_values("date", ignore_index=True)
    assert computed["date"].tolist() == rows["date"].tolist()
    parts = [pd.DataFrame(np.stack(computed[family]), columns=names) for family, names in FAMILIES.items()]
    found = pd.concat(parts, axis=1)
    others = {name: rows[name] for name in ("volume", "market_return", "sector_return")}
    bars = oracles.on_total_return(rows).assign(raw_close=rows["close"], **others)
    bars["adjusted_volume"] = rows["volume"] * rows["close"] / bars["close"]
    market = pd.Series(rows["market_return"].to_numpy(), index=rows["date"])
    worst = oracles.ta_lib_errors(rows, found) | more_oracles.errors(found, bars)
    with np.errstate(all="ignore"):
        worst |= oracles.errors(found, oracles.by_pandas(rows, market), {})
        worst |= oracles.errors(found, alpha158_oracle.alpha158(bars), {})
    return worst


@pytest.fixture(scope="module")
def worst(real: Real) -> pd.DataFrame:
    """The largest error of each column (rows) for each ticker (columns)."""
    rows = real.rows.with_name("rows.parquet")
    with_means(pd.read_parquet(real.rows)).to_parquet(rows)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        return pd.concat(processes.map(errors_in, real.files, repeat(rows)), axis=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_column_of_every_ticker_equals_its_oracle(family: str, real: Real, worst: pd.DataFrame) -> None:
    of_family = worst.loc[FAMILIES[family]]

    assert of_family.shape == (len(FAMILIES[family]), real.tickers)
    assert of_family.max(axis=None) <= BOUND, of_family.stack().nlargest(10).to_dict()


def test_kernels_equal_windows(real: Real) -> None:
    """To 1e-9 of the value or its scale; the levels of some days are equal, but for one flip in 10,000, at ties."""
    folder = oracles.folder_for_now()
    daily_features(real.bars, ALL, "kernels").write.mode("overwrite").parquet(folder)
    scales = {"obv": np.array(1e9), "atr_14": np.array(100.0)}

    for file in real.files:
        wanted = pd.read_parquet(file, columns=["ticker", "date", *FAMILIES])
        of_its_tickers = [("ticker", "in", set(wanted["ticker"]))]
        found = pd.read_parquet(folder, columns=["ticker", "date", *FAMILIES], filters=of_its_tickers)
        one, other = (side.sort_values(["ticker", "date"], ignore_index=True) for side in (wanted, found))
        assert one[["ticker", "date"]].equals(other[["ticker", "date"]])
        for family, names in FAMILIES.items():
            a, b = (pd.DataFrame(np.stack(side[family]).astype(float), columns=names) for side in (other, one))
            worst = oracles.errors(a, b, scales)
            assert {name: error for name, error in worst.items() if error > BOUND} == {}, file

    assert flips(real.daily, real.daily.sparkSession.read.parquet(folder)) <= 1e-4


def flips(left: DataFrame, right: DataFrame) -> float:
    """The share of levels that differ, on every 50th day of both."""
    days = sorted(row["date"] for row in left.select("date").distinct().collect())[::50]
    levels = []
    for side in (left, right):
        rows = side.where(F.col("date").isin(days)).select("ticker", "date", "ranked").toPandas()
        rows = rows.sort_values(["date", "ticker"], ignore_index=True)
        values = np.stack(rows["ranked"]).astype(float)
        levels.append(np.vstack([cross_section.levels(values[at]) for at in rows.groupby("date").indices.values()]))
    return float((levels[0] != levels[1]).mean())


def differing(left: DataFrame, right: DataFrame, keys: list[str], columns: list[str]) -> int:
    """Rows that are in one frame only, or differ in any of the columns."""
    one = left.select(*keys, F.struct(*columns).alias("one"))
    both = one.join(right.select(*keys, F.struct(*columns).alias("other")), on=keys, how="full")
    return both.where(~F.col("one").eqNullSafe(F.col("other"))).count()


def test_the_past_does_not_know_the_future(spark: SparkSession, real: Real, every: int) -> None:
    raw = oracles.read_file(spark, real.rows).where(F.col("date") <= F.lit(CUT))
    cut_bars = prices.bars(oracles.held(raw), oracles.calendars_in(raw), oracles.POLICIES)
    whole = Variant(real.bars, real.calendars, real.daily, ALL)
    past = Variant(cut_bars, oracles.calendars_in(raw), oracles.stored_daily(cut_bars, ALL), ALL)

    before = real.daily.where(F.col("date") <= F.lit(CUT))
    assert differing(before, past.daily, ["ticker", "date"], [*FAMILIES, "ranked"]) == 0

    left, right = (variant.training(LAST_COMPLETE_WEEK) for variant in (whole, past))
    assert len(left) > 145 * real.tickers
    assert left["id"].tolist() == right["id"].tolist()
    assert oracles.same_bits(np.array([*left["features"]], float), np.array([*right["features"]], float))
    for name in (column for column in right if column.startswith("target_")):
        labelled = right[name].notna()
        assert oracles.same_bits(left.loc[labelled, name], right.loc[labelled, name]), name
