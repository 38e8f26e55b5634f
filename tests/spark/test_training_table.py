"""The training table: forward returns on the trading calendar, identifiers, levels and targets."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark import oracles

from eraflow.features import cross_section, sets
from eraflow.features.momentum import VolScaledReturn
from eraflow.features.ranking import Ranking
from eraflow.features.technical import Rsi
from eraflow.features.training import STALE_SESSIONS, schema, training_table

HORIZONS, LAG, DAYS = (20, 60), 2, 130
FEATURES = (Rsi(14), VolScaledReturn(21))  # two columns, in two families
EXPOSURES = list(sets.columns(sets.EXPOSURES))
TICKERS = [f"T{number:02}" for number in range(24)]
DELISTED, HALTED, LATE = "T00", "T01", "T02"
LAST_OF_DELISTED, HALT, FIRST_OF_LATE = 70, 47, 30


def index_panel() -> pd.DataFrame:
    """Sessions x tickers: the total-return index, NaN where a ticker did not trade."""
    random = np.random.default_rng(3)
    moves = random.normal(0.0, 0.02, (DAYS, len(TICKERS)))
    panel = pd.DataFrame(100.0 * np.exp(moves.cumsum(axis=0)), columns=TICKERS)
    panel.loc[LAST_OF_DELISTED + 1 :, DELISTED] = np.nan
    panel.loc[HALT, HALTED] = np.nan
    panel.loc[: FIRST_OF_LATE - 1, LATE] = np.nan
    return panel


def wanted_forward(horizon: int) -> pd.DataFrame:
    """By pandas: a ticker without a price on the day is taken at its last of the five sessions that end there."""
    last_price = index_panel().ffill(limit=STALE_SESSIONS - 1)
    forward = last_price.shift(-LAG - horizon) / last_price.shift(-LAG) - 1.0
    return forward.where(index_panel().notna())


@pytest.fixture(scope="module")
def bars(spark: SparkSession) -> DataFrame:
    panel = index_panel().set_axis(oracles.dates("2010-01-04", DAYS)).rename_axis("date")
    rows = panel.melt(var_name="ticker", value_name="close", ignore_index=False).dropna().reset_index()
    prices = dict.fromkeys(("open", "high", "low", "adjusted_close"), rows["close"])
    sector = [("even", "odd")[int(ticker[1:]) % 2] for ticker in rows["ticker"]]
    raw = rows.assign(**prices, volume=1000.0, sector=sector)
    # The universe's calendar has every session, because others trade on the day of the halt.
    return oracles.bars_of(spark, raw).cache()


def unmasked(bars: DataFrame) -> DataFrame:
    return bars.withColumn("masked", F.lit(False))


@pytest.fixture(scope="module")
def forward(bars: DataFrame) -> pd.DataFrame:
    frame = oracles.labelled(unmasked(bars), HORIZONS, LAG, DAYS)
    sessions = {day: session for session, day in enumerate(oracles.dates("2010-01-04", DAYS))}
    return frame.assign(session=frame["date"].map(sessions))


def panel_of(forward: pd.DataFrame, horizon: int) -> pd.DataFrame:
    return forward.pivot(index="session", columns="ticker", values=f"forward_{horizon}")


@pytest.mark.parametrize("horizon", HORIZONS)
def test_forward_returns_equal_pandas(horizon: int, forward: pd.DataFrame) -> None:
    found = panel_of(forward, horizon)

    pd.testing.assert_frame_equal(
        found, wanted_forward(horizon), check_names=False, check_index_type=False, rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_label_that_ends_after_the_last_session_is_null(horizon: int, forward: pd.DataFrame) -> None:
    always_traded = panel_of(forward, horizon)[TICKERS[3:]]

    first_unknown = DAYS - LAG - horizon
    assert always_traded.loc[: first_unknown - 1].notna().all(axis=None)
    assert always_traded.loc[first_unknown:].isna().all(axis=None)


def test_a_delisted_ticker_has_no_label_past_its_end(forward: pd.DataFrame) -> None:
    found = panel_of(forward, 20)[DELISTED]

    last_label_end = LAST_OF_DELISTED + STALE_SESSIONS - 1
    last_labelled = last_label_end - LAG - 20
    assert found.loc[:last_labelled].notna().all()
    assert found.loc[last_labelled + 1 :].isna().all()


def test_a_halt_of_a_day_costs_no_label(forward: pd.DataFrame) -> None:
    found, index = panel_of(forward, 20)[HALTED], index_panel()[HALTED]

    labelled = found.loc[: DAYS - LAG - 20 - 1].drop(index=HALT)
    assert labelled.notna().all()
    assert found[HALT - LAG] == pytest.approx(index[HALT + 20] / index[HALT - 1] - 1.0)  # starts at the halt
    assert found[HALT - LAG - 20] == pytest.approx(index[HALT - 1] / index[HALT - 20] - 1.0)  # ends at the halt


def daily_frame() -> pd.DataFrame:
    """Daily features as they come out of `daily_features`, made up: 24 tickers, some values not known."""
    random = np.random.default_rng(8)
    days = oracles.dates("2010-01-04", DAYS)
    traded = index_panel().notna()
    rows = [(ticker, day) for session, day in enumerate(days) for ticker in TICKERS if traded.loc[session, ticker]]
    ranked = random.normal(size=(len(rows), 2))
    ranked[random.random(ranked.shape) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "ticker": [ticker for ticker, _ in rows],
            "date": [day for _, day in rows],
            "country": "",
            "technical": random.normal(size=(len(rows), 1)).tolist(),
            "momentum": random.normal(size=(len(rows), 1)).tolist(),
            "ranked": [[None if np.isnan(value) else value for value in row] for row in ranked.tolist()],
            "exposures": random.normal(size=(len(rows), len(EXPOSURES))).tolist(),
        }
    )


ERAS = {1: date(2010, 1, 8), 2: date(2010, 1, 15), 4: date(2010, 1, 29), 26: date(2010, 7, 2)}
CHOSEN = ["momentum", "beta"]


@pytest.fixture(scope="module")
def training(spark: SparkSession, bars: DataFrame) -> DataFrame:
    kinds = "ticker string, date date, country string, technical array<double>, momentum array<double>, \
ranked array<float>, exposures array<double>"
    daily = spark.createDataFrame(daily_frame(), kinds)
    eras = [(era, "", day) for era, day in ERAS.items()]
    return training_table(
        daily, unmasked(bars), eras, {"": DAYS}, Ranking(FEATURES), HORIZONS, LAG, CHOSEN, era_block=4
    )


@pytest.fixture(scope="module")
def rows(training: DataFrame) -> pd.DataFrame:
    return training.toPandas().sort_values(["era", "id"], ignore_index=True)


def test_one_row_for_each_ticker_that_traded_on_the_date_of_an_era(rows: pd.DataFrame, training: DataFrame) -> None:
    daily = daily_frame()
    wanted = [
        (f"{ticker}_{day}", era, era // 4)
        for era, day in ERAS.items()
        for ticker in sorted(daily.loc[daily["date"] == day, "ticker"])
    ]

    assert list(rows[["id", "era", "era_block"]].itertuples(index=False, name=None)) == wanted
    assert ", ".join(f"{name} {kind}" for name, kind in training.dtypes) == schema(HORIZONS).replace("  ", " ")


def test_features_are_levels_by_era(rows: pd.DataFrame) -> None:
    daily = daily_frame()
    for era, day in ERAS.items():
        its = daily[daily["date"] == day].sort_values("ticker")
        ranked = np.array(its["ranked"].tolist(), dtype=np.float32).astype(np.float64)
        found = rows[rows["era"] == era]

        levels = np.array(found["features"].tolist())
        assert (levels == cross_section.levels(ranked)).all()
        assert ((levels == cross_section.MISSING) == np.isnan(ranked)).all()


def test_targets_are_those_of_the_era_neutral_to_the_chosen_exposures(
    rows: pd.DataFrame, forward: pd.DataFrame
) -> None:
    daily = daily_frame().merge(forward, on=["ticker", "date"])
    chosen = [EXPOSURES.index(name) for name in CHOSEN]
    for era, day in ERAS.items():
        its = daily[daily["date"] == day].sort_values("ticker")
        found = rows[rows["era"] == era]
        for horizon in HORIZONS:
            wanted = cross_section.targets(
                its[f"forward_{horizon}"].to_numpy(),
                its["sector"].to_numpy(dtype=object),
                np.array(its["exposures"].tolist())[:, chosen],
            )
            for kind, target in wanted.items():
                np.testing.assert_array_equal(found[f"target_{kind}_{horizon}"], target)


def test_targets_are_five_values_or_null(rows: pd.DataFrame, training: DataFrame) -> None:
    names = [name for name in rows if name.startswith("target_")]
    assert len(names) == 6

    labelled = rows[rows["era"] < 26]
    for name in names:
        assert set(labelled[name].dropna()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert rows.loc[rows["era"] == 26, names].isna().all(axis=None)  # its labels have not ended
    assert training.where("target_raw_20 = 'NaN'").count() == 0  # unknown is null, never a number


def test_a_day_may_be_that_of_two_eras_with_ids_of_its_own_in_each(spark: SparkSession, bars: DataFrame) -> None:
    """A country that is shut all week stands at its last session, and its ids have the era's date."""
    kinds = "ticker string, date date, country string, ranked array<float>, exposures array<double>"
    daily = spark.createDataFrame(daily_frame()[["ticker", "date", "country", "ranked", "exposures"]], kinds)
    eras, shut = [(1, "", ERAS[1]), (2, "", ERAS[1])], date(2010, 1, 15)
    table = training_table(
        daily, unmasked(bars), eras, {"": DAYS}, Ranking(FEATURES), HORIZONS, LAG, CHOSEN, 4, id_dates={(2, ""): shut}
    )

    one, other = (rows for _, rows in table.toPandas().sort_values(["era", "id"]).groupby("era"))
    assert set(other["id"]) == {name.replace(str(ERAS[1]), str(shut)) for name in one["id"]}
    same = [name for name in one if name not in ("id", "era", "era_block")]
    pd.testing.assert_frame_equal(one[same].reset_index(drop=True), other[same].reset_index(drop=True))
