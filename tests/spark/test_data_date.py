"""Two countries, Numerai's files and one data date: what the live era holds, and what a week later has become of it."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.spark.test_incremental import Notes, assert_same_training

from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.features.cross_section import levels
from eraflow.features.missing import most_missing
from eraflow.pipeline import signals_steps
from eraflow.pipeline.signals_live import collected
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Versions
from eraflow.pipeline.training_table import live_rows
from eraflow.sources import lives
from eraflow.tables import Store

pytestmark = pytest.mark.slow

# New York's: Labor Day, Good Friday, Juneteenth, Independence Day (kept on Friday in 2026), Christmas.
US_CLOSED = [
    "2024-09-02", "2024-12-25", "2025-04-18", "2025-06-19", "2025-07-04", "2025-09-01", "2025-12-25", "2026-04-03",
    "2026-06-19", "2026-07-03", "2026-09-07",
]  # fmt: skip
FRIDAY, MONDAY, NEXT_FRIDAY = date(2026, 9, 4), date(2026, 9, 7), date(2026, 9, 11)
US = [f"U{number:02}" for number in range(10)] + ["U_X", "BRK-B"]
JP = [f"{7000 + number}.T" for number in range(12)]
REUSED, LEFT, AGAIN = "U09", "2024-10-31", "2026-01-05"
STRAY = [date(2025, 9, 1), date(2026, 3, 1)]  # Labor Day, and a Sunday
FEATURE = "feature_value_factor"


def prices(last: str) -> pd.DataFrame:
    """Daily prices; the days of one ticker are the same however long they go on."""
    frames = []
    for number, ticker in enumerate([*US, *JP]):
        closed = US_CLOSED if ticker in US else ["2025-01-01", "2026-01-01"]
        days = pd.bdate_range("2024-08-01", "2026-12-31").difference(pd.to_datetime(closed))
        if ticker == REUSED:
            days = days[(days <= LEFT) | (days >= AGAIN)]
        if ticker == "U00":
            days = days.union(pd.to_datetime(STRAY))
        close = 30.0 * np.exp(np.random.default_rng(number).normal(0.0, 0.02, len(days)).cumsum())
        frame = pd.DataFrame({"ticker": ticker, "date": days.date, "close": close, "country": ticker[-2:] == ".T"})
        frames.append(frame[days <= last])
    whole = pd.concat(frames, ignore_index=True)
    same = dict.fromkeys(("open", "high", "low", "adjusted_close"), whole["close"])
    return whole.assign(**same, volume=1000.0, sector="one", country=np.where(whole["country"], "jp", "us"))


def unfinished(frame: pd.DataFrame, day: date) -> pd.DataFrame:
    """One more day, of which bars are not finished: whoever reads them is told of prices below zero."""
    newest = frame.drop_duplicates("ticker", keep="last").assign(date=day, close=-1.0)
    return pd.concat([frame, newest], ignore_index=True)


def numerai(live: date) -> pd.DataFrame:
    """Numerai's rows: one a ticker and Friday, whether its exchange traded or not, and those of the live date."""
    names = [*(f"{ticker} US" for ticker in US if ticker != "BRK-B"), "BRK/B US"]
    names += [f"{ticker.removesuffix('.T')} JP" for ticker in JP] + ["GONE US"]
    days = sorted({*pd.date_range("2024-08-02", live, freq="W-FRI").date, live})
    keys = [(name, day) for day in days for name in names]
    frame = pd.DataFrame(keys, columns=["numerai_ticker", "date"])
    return frame.assign(**{FEATURE: [hash_of(*key) for key in keys]})


def hash_of(name: str, day: date) -> float:
    return float(pd.util.hash_array(np.array([f"{name} {day}"], dtype=object))[0] % 1_000_003)


class Job:
    """`jobs/features.py` over one folder."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder, self.notes = spark, folder, Notes()
        self.store = Store(spark, f"{folder}/tables")
        self.settings: tuple[str, ...] = ()

    def run(self, frame: pd.DataFrame, live: date, *settings: str) -> Versions:
        frame.to_parquet(self.folder / "prices.parquet")
        rows = numerai(live)
        (self.folder / "signals").mkdir(exist_ok=True)
        rows[rows["date"] < live].to_parquet(self.folder / "signals/validation.parquet")
        rows[rows["date"] == live].to_parquet(self.folder / "signals/live.parquet")
        self.notes.lines.clear()
        self.settings = settings
        return signals_steps.tables(Site(self.store, self.config, self.notes))

    @property
    def config(self) -> Config:
        settings = [
            f"prices.path={self.folder}/prices.parquet", f"tables.root={self.folder}/tables",
            "prices.columns.country=country", "prices.min_tickers=10", f"signals.path={self.folder}/signals",
            f"signals.features=[{FEATURE}]", "features.set=trend", "targets.horizons=[20]", *self.settings,
        ]  # fmt: skip
        return load(["signals.yml"], settings)

    def training(self, tables: Versions) -> pd.DataFrame:
        frame = self.store.read(tables["training"]).toPandas().sort_values(["era", "id"], ignore_index=True)
        parts = frame["id"].str.rsplit("_", n=1, expand=True)
        return frame.assign(ticker=parts[0], date=pd.to_datetime(parts[1]).dt.date)


@pytest.fixture(scope="module")
def monday(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Versions]:
    """One country has been there before; then the other is added."""
    job, before = Job(spark, tmp_path_factory.mktemp("monday")), prices("2026-09-03")
    job.run(before[before["country"] == "us"], date(2026, 9, 3))
    return job, job.run(unfinished(prices("2026-09-07"), date(2026, 9, 8)), MONDAY)


@pytest.fixture(scope="module")
def rows(monday: tuple[Job, Versions]) -> pd.DataFrame:
    job, tables = monday
    return job.training(tables)


def test_the_live_era_is_at_numerais_date_for_all_countries(monday: tuple[Job, Versions], rows: pd.DataFrame) -> None:
    job, tables = monday
    eras = job.store.read(tables["eras"]).toPandas()
    live = rows[rows["era"] == rows["era"].max()]

    assert eras["date"].max() == MONDAY
    assert live["date"].unique().tolist() == [MONDAY]
    assert sorted(lives.named(live["id"]).str.rsplit("_", n=1).str[0]) == sorted([*US, *JP])
    assert not rows["id"].duplicated().any()
    assert job.store.read(tables["prices"]).agg(F.max("date")).first()[0] == MONDAY
    assert any("the newest era is of 2026-09-07; nothing later is read" in text for text in job.notes.lines)


def test_on_its_holiday_a_country_stands_at_its_last_session(monday: tuple[Job, Versions], rows: pd.DataFrame) -> None:
    job, tables = monday
    last = f"country = 'us' AND date = '{FRIDAY}' OR country = 'jp' AND date = '{MONDAY}'"
    features = job.store.read(tables["features"]).where(last).select("ticker", "ranked").toPandas()
    live = rows[rows["date"] == MONDAY].set_index("ticker")["features"].loc[features["ticker"]]

    wanted = levels(np.array([*features["ranked"]], dtype=float))
    assert len(features) == len(US) + len(JP)
    assert {0, 1, 2, 3, 4} <= set(wanted.flat)
    np.testing.assert_array_equal(np.array([*live])[:, : wanted.shape[1]], wanted)


def test_numerais_row_of_the_same_date_stands_beside_our_features(rows: pd.DataFrame) -> None:
    """On Good Friday and the other holidays too; in ids the day on which a country traded last."""
    for day in ("2026-04-03", "2026-06-19", "2026-07-03", "2026-08-28", "2026-09-07"):
        numerais = pd.Timestamp(day).date()
        of_us = numerais - timedelta(days=1) if day in US_CLOSED and numerais != MONDAY else numerais
        found = rows[rows["date"] == rows["ticker"].str.endswith(".T").map({True: numerais, False: of_us})]
        assert {"U_X", "BRK-B", "7003.T", f"{REUSED}@{AGAIN}"} < set(found["ticker"])
        values = np.array([[hash_of(numerais_name(ticker), numerais)] for ticker in found["ticker"]])
        assert [level[-1] for level in found["features"]] == levels(values)[:, 0].tolist(), day


def numerais_name(ticker: str) -> str:
    name = ticker.partition("@")[0].replace("BRK-B", "BRK/B")
    return f"{name.removesuffix('.T')} JP" if name.endswith(".T") else f"{name} US"


def test_a_stray_row_is_no_session_and_is_named(monday: tuple[Job, Versions]) -> None:
    job, tables = monday
    found = job.store.read(tables["quality"]).where("check = 'stray'").toPandas()
    us = job.store.read(tables["prices"]).where("country = 'us'")

    assert sorted(zip(found["ticker"], found["date"], strict=True)) == [("U00", day) for day in STRAY]
    assert us.where("session is not null").where(F.col("date").isin(STRAY)).count() == 0
    gaps = {row["ticker"] for row in job.store.read(tables["quality"]).where("check = 'gap'").collect()}
    assert gaps == set()


def test_a_name_that_is_used_again_is_another_ticker(monday: tuple[Job, Versions]) -> None:
    job, tables = monday
    bars = job.store.read(tables["prices"]).where(F.col("ticker").startswith(REUSED)).toPandas()
    by_ticker = bars.sort_values("date").groupby("ticker")

    assert by_ticker["date"].min().to_dict() == {
        REUSED: date(2024, 8, 1), f"{REUSED}@{AGAIN}": pd.Timestamp(AGAIN).date(),
    }  # fmt: skip
    first = by_ticker.head(1)
    assert first["bar"].tolist() == [0, 0]
    assert (first["total_return"] == first["close"]).all()
    assert first["daily_return"].isna().all()


def test_what_met_is_told(monday: tuple[Job, Versions], rows: pd.DataFrame) -> None:
    job, tables = monday
    found = job.store.read(tables["signals_match"]).toPandas().groupby("check")["rows"].sum()

    assert found["matched"] == len(rows)
    assert "no row" not in found
    assert found["not mapped"] == len(numerai(MONDAY)["date"].unique())  # GONE US


def test_live_rows_alone_are_those_of_the_training_table(monday: tuple[Job, Versions]) -> None:
    job, tables = monday
    site = Site(job.store, job.config, job.notes)
    made = signals_steps.of_live_rows(site, False)
    days = Days(site).of(made["prices"], made["signals"])
    whole = job.training(tables)

    found = live_rows(site, signals_steps.upstream(made), days).toPandas().sort_values("id", ignore_index=True)
    expected = whole[whole["era"] == whole["era"].max()].sort_values("id", ignore_index=True)

    assert set(made) == {"prices", "features", "signals"}
    assert days.data_date == MONDAY
    assert found["id"].tolist() == expected["id"].tolist()
    assert found["era"].tolist() == expected["era"].tolist()
    assert np.array_equal(np.array([*found["features"]]), np.array([*expected["features"]]))
    assert signals_steps.recipe(site, made) == tables["training"].recipe


def test_a_late_country_is_left_out_by_name_and_all_is_as_if_it_had_been_made_at_once(
    monday: tuple[Job, Versions], rows: pd.DataFrame, tmp_path: Path
) -> None:
    job, _ = monday
    whole = prices("2026-09-11")
    late = whole[(whole["country"] == "jp") | (whole["date"] <= date(2026, 9, 9))]
    fresh, allowed = Job(job.spark, tmp_path), "dates.late_countries=[us]"

    with pytest.raises(InputError, match="country us has no prices of 2026-09-10 and 1 later day, and Numerai's live"):
        fresh.run(late, NEXT_FRIDAY)
    assert not list((tmp_path / "tables").glob("*/_delta_log"))

    tables = job.run(late, NEXT_FRIDAY, allowed)
    lines = list(job.notes.lines)
    wanted, found = fresh.training(fresh.run(late, NEXT_FRIDAY, allowed)), job.training(tables)

    assert_same_training(found, wanted)
    assert any("table prices: " in text and "changed from 2026-09-08" in text for text in lines), lines
    assert any("country us is left out of the newest era" in text for text in lines)
    assert tables["eras"].manifest["late"] == {"us": "2026-09-09"}
    assert sorted(found.loc[found["date"] > FRIDAY, "id"]) == sorted(f"{ticker}_{NEXT_FRIDAY}" for ticker in JP)
    assert found.loc[found["date"] <= FRIDAY, "id"].tolist() == rows.loc[rows["date"] <= FRIDAY, "id"].tolist()


def test_more_missing_values_than_models_learn_from_are_refused(monday: tuple[Job, Versions]) -> None:
    job, tables = monday
    table = job.store.read(tables["training"])
    rows = table.select("era", "id", "features").toPandas()
    live = rows["era"].max()
    names, missing = tuple(tables["training"].manifest["features"]), tables["training"].manifest["missing"]

    most = most_missing(table.where(F.col("era").between(live - 20, live - 1)), names, missing)
    lacks = pd.DataFrame(rows["features"].tolist(), index=rows["era"], columns=names) == missing
    shares = lacks.groupby(level="era").mean().loc[live - 20 : live - 1].max()
    assert most == pytest.approx(shares[shares > 0].to_dict())
    assert shares.max() > 0 == shares[FEATURE]

    found = collected(table.where(F.col("era") == int(live)), int(live), names, missing, None)
    found.refuse_missing({"most_missing": most}, "here", "wait")
    levels = found.levels.copy()
    levels[: round(0.4 * len(levels)), names.index(FEATURE)] = missing
    with pytest.raises(InputError, match=rf"here: more is missing.*{FEATURE} in 4\d% \(at most 0% before\); wait\."):
        replace(found, levels=levels).refuse_missing({"most_missing": most}, "here", "wait")
