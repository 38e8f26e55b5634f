"""Nothing after a date changes a feature at or before it, and no ticker's unit of price changes what is ranked.

One run computes all variants of a universe: a variant has its own tickers and its own decades, so that nothing of it
(the market's return of a date least of all) meets another variant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark import oracles

from eraflow.features import cross_section, sets
from eraflow.features.feature import Feature
from eraflow.features.ranking import Ranking
from eraflow.features.training import training_table
from eraflow.sources import synthetic
from eraflow.sources.calendar import Calendars

HORIZONS, LAG, EXPOSURES = (5, 20), 2, ("beta", "size", "volatility", "momentum")
ALL = sets.SETS["all"]
IN_MONEY = ("amihud_21", "dollar_volume_21")
# Features that are not in the set main have their units tested beside their definitions and their future on the real
# prices; here they are part of the soak.
SETS = {"main": sets.SETS["main"], "all": ALL}
QUOTED = ["open", "high", "low", "close", "adjusted_close"]
DAYS_BETWEEN = 10
APART = timedelta(weeks=1200)
UNIT = 3.7e-12  # no fixed number may pass for a small price
CUT = date(2009, 7, 1)  # a Wednesday
LAST_COMPLETE_WEEK = date(2009, 6, 26)

Change = Callable[[pd.DataFrame], pd.DataFrame]


def universe() -> pd.DataFrame:
    """18 tickers, 430 days; one is listed late, one delisted before the cut, one halted for three days."""
    settings = {"sectors": 2, "tickers_per_sector": 9, "days": 430, "momentum": 0.1, "network": 0.0, "seed": 4}
    raw = pd.concat([synthetic.sector_prices(sector, start="2008-01-02", **settings) for sector in range(2)])
    ticker, day = raw["ticker"], raw["date"]
    late = (ticker == "S00T001") & (day < date(2008, 6, 2))
    gone = (ticker == "S00T002") & (day > date(2009, 5, 19))
    halted = (ticker == "S01T003") & day.between(date(2009, 2, 10), date(2009, 2, 12))
    return raw[~(late | gone | halted)].drop(columns=["file", "unreadable"]).reset_index(drop=True)


def cut(raw: pd.DataFrame) -> pd.DataFrame:
    return raw[raw["date"] <= CUT]


def poisoned(raw: pd.DataFrame) -> pd.DataFrame:
    """All that is quoted and traded after the cut is ten times as much."""
    later = raw["date"] > CUT
    return raw.assign(**{name: raw[name].where(~later, raw[name] * 10.0) for name in [*QUOTED, "volume"]})


def one_scaled(raw: pd.DataFrame) -> pd.DataFrame:
    """One ticker's whole history in another unit."""
    factor = np.where(raw["ticker"] == raw["ticker"].iloc[0], UNIT, 1.0)
    return raw.assign(**{name: raw[name] * factor for name in QUOTED})


def restated(raw: pd.DataFrame) -> pd.DataFrame:
    """The past as the vendor adjusts it for splits and dividends that came after the last day: a factor a ticker."""
    factors = np.random.default_rng(9).uniform(0.05, 1.0, raw["ticker"].nunique())
    factor = raw["ticker"].map(dict(zip(sorted(raw["ticker"].unique()), factors, strict=True)))
    return raw.assign(adjusted_close=raw["adjusted_close"] * factor)


CHANGES: Mapping[str, Change] = {
    "base": lambda raw: raw, "cut": cut, "poisoned": poisoned, "scaled": one_scaled, "restated": restated,
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    bars: DataFrame
    calendars: Calendars
    daily: DataFrame
    features: Sequence[Feature]

    @property
    def values(self) -> pd.DataFrame:
        return oracles.values(self.daily, self.features)

    def training(self, last: date = date.max) -> pd.DataFrame:
        """Its rows of days until `last`."""
        table = training_table(
            self.daily, self.bars.withColumn("masked", F.lit(False)), self.calendars.era_days, self.calendars.sessions,
            Ranking(self.features), HORIZONS, LAG, EXPOSURES, era_block=50,
        )  # fmt: skip
        until = table.where(F.substring("id", -10, 10) <= str(last))
        return until.toPandas().sort_values(["era", "id"], ignore_index=True)


def compute(
    spark: SparkSession, raws: Mapping[str, pd.DataFrame], features: Sequence[Feature] = ALL
) -> dict[str, Variant]:
    moved = [
        raw.assign(ticker=f"{name} " + raw["ticker"], date=raw["date"] + number * APART)
        for number, (name, raw) in enumerate(raws.items())
    ]
    daily = oracles.stored_daily(oracles.bars_of(spark, pd.concat(moved)), features)
    variants = {}
    for number, (name, raw) in enumerate(raws.items()):
        variant = daily.where(F.col("ticker").startswith(f"{name} ")).withColumns(
            {"ticker": F.substring_index("ticker", " ", -1), "date": F.date_sub("date", number * APART.days)}
        )
        variants[name] = Variant(oracles.bars_of(spark, raw), oracles.calendars_of(raw), variant, features)
    return variants


@pytest.fixture(
    scope="module",
    params=[
        "main",
        pytest.param("all", marks=pytest.mark.soak),
    ],
)
def variants(spark: SparkSession, request: pytest.FixtureRequest) -> dict[str, Variant]:
    """Of the features of a set."""
    raw = universe()
    return compute(spark, {name: change(raw) for name, change in CHANGES.items()}, SETS[request.param])


@pytest.fixture(scope="module")
def base_values(variants: dict[str, Variant]) -> pd.DataFrame:
    return variants["base"].values


@pytest.fixture(scope="module")
def base_training(variants: dict[str, Variant]) -> pd.DataFrame:
    return variants["base"].training()


def test_kernels_equal_windows(variants: dict[str, Variant], base_values: pd.DataFrame) -> None:
    base = variants["base"]
    daily = oracles.stored_daily(base.bars, base.features, "kernels")

    assert daily.dtypes == base.daily.select(daily.columns).dtypes
    scales = {"obv": np.array(1e9), "atr_14": np.array(100.0)} | {name: np.array(100.0) for name in oracles.RANKED}
    worst = oracles.errors(oracles.values(daily, base.features), base_values.drop(columns=["ticker", "date"]), scales)
    assert {name: error for name, error in worst.items() if error > 1e-9} == {}
    assert_ranked_alike(base, replace(base, daily=daily))


def until_cut(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["date"] <= CUT].reset_index(drop=True)


@pytest.mark.parametrize("future", ["cut", "poisoned"])
def test_daily_features_do_not_know_the_future(
    future: str, variants: dict[str, Variant], base_values: pd.DataFrame
) -> None:
    before, after = until_cut(base_values), until_cut(variants[future].values)
    columns = sets.columns([*variants[future].features, *sets.EXPOSURES])

    assert before[list(columns)].tail(1).notna().all(axis=None)  # every feature has something to change
    assert (before[["ticker", "date"]] == after[["ticker", "date"]]).all(axis=None)
    changed = [name for name in columns if not oracles.same_bits(before[name], after[name])]
    assert changed == []


@pytest.mark.parametrize("future", ["cut", "poisoned"])
def test_training_rows_of_complete_weeks_do_not_know_the_future(
    future: str, variants: dict[str, Variant], base_training: pd.DataFrame
) -> None:
    eras = variants["base"].calendars.eras
    complete = [era for era, day in eras.items() if day <= LAST_COMPLETE_WEEK]
    before, after = (table[table["era"].isin(complete)].reset_index(drop=True) for table in
                     (base_training, variants[future].training()))  # fmt: skip

    assert before["id"].tolist() == after["id"].tolist()
    assert oracles.same_bits(np.array([*before["features"]], float), np.array([*after["features"]], float))

    ends = {(label.era, label.horizon): label.end for label in variants["base"].calendars.labels(HORIZONS, LAG)}
    for horizon in HORIZONS:
        ended = before["era"].map(lambda era, horizon=horizon: ends[era, horizon] <= CUT)
        for kind in ("raw", "sector", "neutral"):
            name = f"target_{kind}_{horizon}"
            assert before.loc[ended, name].notna().any(), name
            assert oracles.same_bits(before.loc[ended, name], after.loc[ended, name]), name
            if future == "cut":
                assert after.loc[~ended, name].isna().all(), name


def ranked(daily: DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    frame = daily.select("ticker", "date", "ranked").toPandas().sort_values(["date", "ticker"], ignore_index=True)
    return frame[["ticker", "date"]], np.array(frame["ranked"].tolist(), dtype=np.float64)


def assert_ranked_alike(left: Variant, right: Variant) -> None:
    """The ranked values equal up to the rounding of a float, the levels of every tenth day exactly."""
    (keys, one), (other_keys, other) = ranked(left.daily), ranked(right.daily)
    pd.testing.assert_frame_equal(keys, other_keys)
    # What is measured in money knows the unit: there a level may differ, as between two currencies.
    in_money = [place for place, name in enumerate(sets.columns(left.features)) if name in IN_MONEY]
    one, other = (np.delete(values, in_money, axis=1) for values in (one, other))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
    for day, rows in [*keys.groupby("date").indices.items()][::DAYS_BETWEEN]:
        assert (cross_section.levels(one[rows]) == cross_section.levels(other[rows])).all(), day


@pytest.mark.parametrize("unit", ["scaled", "restated"])
def test_a_unit_of_price_changes_no_ranked_feature(unit: str, variants: dict[str, Variant]) -> None:
    assert_ranked_alike(variants["base"], variants[unit])


def test_a_unit_of_price_changes_what_is_not_ranked(variants: dict[str, Variant], base_values: pd.DataFrame) -> None:
    """That the test above can fail: MACD itself is in units of the price, and is stored so."""
    scaled = variants["scaled"].values
    first = base_values["ticker"] == "S00T000"

    ratio = scaled.loc[first, "macd_12_26_9"] / base_values.loc[first, "macd_12_26_9"]
    np.testing.assert_allclose(ratio.dropna(), UNIT, rtol=1e-6)
    assert oracles.same_bits(scaled.loc[~first, "macd_12_26_9"], base_values.loc[~first, "macd_12_26_9"])


@pytest.mark.parametrize(
    "features", [pytest.param("main", marks=pytest.mark.slow), pytest.param("all", marks=pytest.mark.soak)]
)
def test_a_unit_of_price_changes_no_ranked_feature_of_real_tickers(
    features: str, spark: SparkSession, real_prices: Path
) -> None:
    some = ["KSU", "TRMB", "ANTM", "AAPL", "ZTS", "XOM"]
    file = oracles.read_file(spark, real_prices).where(F.col("ticker").isin(some))
    raw = file.drop("file", "unreadable").toPandas().sort_values(["ticker", "date"], ignore_index=True)

    found = compute(spark, {"base": raw, "scaled": one_scaled(raw), "restated": restated(raw)}, SETS[features])

    for unit in ("scaled", "restated"):
        assert_ranked_alike(found["base"], found[unit])
