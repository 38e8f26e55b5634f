"""Later days are computed from a part of the history and equal a full computation; what was restated is noticed."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark import oracles
from tests.tables import newest

from eraflow.config import Config, load
from eraflow.features import sets
from eraflow.pipeline import signals_steps
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Versions
from eraflow.pipeline.training_table import live_rows
from eraflow.progress import Progress
from eraflow.sources.synthetic import sector_prices
from eraflow.tables import Store

pytestmark = pytest.mark.slow

DAYS = 520
SCALES = {"obv": 1e9, "atr_14": 100.0}  # volume of a history, price


class Notes(Progress):
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, text: str) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.lines.append(text)


def universe() -> pd.DataFrame:
    config = load([], []).synthetic.model_dump() | {"sectors": 2, "tickers_per_sector": 12, "days": DAYS}
    frame = pd.concat([sector_prices(sector, **config) for sector in range(2)], ignore_index=True)
    late = (frame["ticker"] == "S01T011") & (frame["date"] < frame["date"].unique()[DAYS - 40])
    return frame[~late].drop(columns=["file", "unreadable"])


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return universe()


@pytest.fixture(scope="module")
def last_week(raw: pd.DataFrame) -> date:
    return sorted(raw["date"].unique())[-5]


class Job:
    """`jobs/features.py` over one price file and one folder of tables.

    What is noticed does not depend on the features: those of momentum have frames, lags and recursions, too.
    """

    def __init__(self, spark: SparkSession, folder: Path, features: str = "momentum", engine: str = "windows") -> None:
        self.spark, self.folder, self.set, self.engine = spark, folder, features, engine
        self.notes = Notes()

    @property
    def config(self) -> Config:
        return load(
            ["signals.yml"],
            [
                f"prices.path={self.folder}/prices.parquet",
                f"tables.root={self.folder}/tables",
                "tables.era_block=20",
                f"features.set={self.set}",
                f"features.engine={self.engine}",
            ],
        )

    def run(self, frame: pd.DataFrame, rebuild: tuple[date, date] | None = None) -> Versions:
        frame.to_parquet(self.folder / "prices.parquet")
        self.notes.lines.clear()
        store = Store(self.spark, f"{self.folder}/tables")
        return signals_steps.tables(Site(store, self.config, self.notes, rebuild))

    def features(self, tables: Versions) -> pd.DataFrame:
        found = Store(self.spark, f"{self.folder}/tables").read(tables["features"])
        return oracles.values(found, sets.SETS[self.set])

    def training(self, tables: Versions) -> pd.DataFrame:
        table = Store(self.spark, f"{self.folder}/tables").read(tables["training"])
        return table.toPandas().sort_values("id", ignore_index=True)


@pytest.fixture(scope="module")
def complete(spark: SparkSession, raw: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = Job(spark, tmp_path_factory.mktemp("complete"))
    job.run(raw)
    return job


@pytest.fixture(scope="module")
def wanted(complete: Job, raw: pd.DataFrame) -> pd.DataFrame:
    return complete.features(complete.run(raw))


@pytest.fixture(scope="module")
def without_last_week(
    spark: SparkSession, raw: pd.DataFrame, last_week: date, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("without_last_week")
    Job(spark, folder).run(raw[raw["date"] < last_week])
    return folder


@pytest.fixture
def started(spark: SparkSession, without_last_week: Path, tmp_path: Path) -> Job:
    """A store that lacks the last week."""
    shutil.copytree(without_last_week, tmp_path, dirs_exist_ok=True)
    return Job(spark, tmp_path)


def assert_equal(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Values within 1e-12 of value or price, missing at the same places."""
    pd.testing.assert_frame_equal(left[["ticker", "date"]], right[["ticker", "date"]])
    for name in right.columns[2:]:
        one, other = left[name].to_numpy(), right[name].to_numpy()
        assert (np.isnan(one) == np.isnan(other)).all(), name
        scale = SCALES.get(name, 100.0 if name.startswith("macd_") else 1.0)
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * scale, err_msg=name)


def assert_same_training(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert left["id"].tolist() == right["id"].tolist()
    assert np.array_equal(np.array([*left["features"]]), np.array([*right["features"]]))
    for name in (column for column in right if column.startswith("target_")):
        assert oracles.same_bits(left[name], right[name]), name


@pytest.mark.parametrize("engine", ["windows", "kernels"])
@pytest.mark.parametrize("features", ["main", pytest.param("all", marks=pytest.mark.soak)])
def test_a_new_week_equals_a_full_computation(
    features: str,
    engine: str,
    spark: SparkSession,
    raw: pd.DataFrame,
    last_week: date,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    extended, whole = (Job(spark, tmp_path_factory.mktemp(features), features, engine) for _ in range(2))
    extended.run(raw[raw["date"] < last_week])

    tables, expected = extended.run(raw), whole.run(raw)

    assert any(f"changed from {last_week}" in text for text in extended.notes.lines)
    former = max(day for day in raw["date"] if day < last_week)  # in the midst of its week: an era's day no more
    assert f"table prices: version 1 written from {last_week} on" in extended.notes.lines
    assert f"table features: version 1 written from {former} on" in extended.notes.lines
    assert_equal(extended.features(tables), whole.features(expected))
    assert_same_training(extended.training(tables), whole.training(expected))


def test_live_rows_of_a_new_week_need_no_training_table(started: Job, complete: Job, raw: pd.DataFrame) -> None:
    tables = complete.run(raw)
    raw.to_parquet(started.folder / "prices.parquet")
    site = Site(Store(started.spark, f"{started.folder}/tables"), started.config, started.notes)
    made = signals_steps.of_live_rows(site, False)
    days = Days(site).of(made["prices"])

    found = live_rows(site, signals_steps.upstream(made), days).toPandas().sort_values("id", ignore_index=True)
    expected = complete.training(tables).query("era == era.max()").reset_index(drop=True)

    assert {name: version.number for name, version in made.items()} == {"prices": 1, "features": 1}
    assert newest(site.store, "training").number == 0
    assert found["id"].tolist() == expected["id"].tolist()
    assert np.array_equal(np.array([*found["features"]]), np.array([*expected["features"]]))


def test_a_dividend_restates_nothing(started: Job, raw: pd.DataFrame, last_week: date, wanted: pd.DataFrame) -> None:
    paid = raw.copy()
    paid.loc[paid["ticker"] == "S00T003", "adjusted_close"] *= 0.987

    tables = started.run(paid)

    assert any(f"changed from {last_week}" in text and "restated" not in text for text in started.notes.lines)
    assert_equal(started.features(tables), wanted)


def test_changed_past_closes_are_noticed(
    complete: Job, raw: pd.DataFrame, wanted: pd.DataFrame, tmp_path: Path
) -> None:
    first, second = sorted(raw["date"].unique())[DAYS - 60 : DAYS - 58]
    changed = raw.copy()
    changed.loc[(changed["ticker"] == "S00T003") & (changed["date"] == first), "close"] *= 1.02
    changed.loc[(changed["ticker"] == "S01T005") & (changed["date"] == second), "adjusted_close"] *= 1.02

    tables = complete.run(changed)
    fresh = Job(complete.spark, tmp_path)

    noticed = "2 tickers with a restated history"
    assert any(noticed in text and f"S00T003 from {first}" in text for text in complete.notes.lines), (
        complete.notes.lines
    )
    assert_equal(complete.features(tables), fresh.features(fresh.run(changed)))


def test_another_sector_makes_no_feature_again(started: Job, raw: pd.DataFrame, last_week: date) -> None:
    before = raw[raw["date"] < last_week]
    moved = before.assign(sector=before["sector"].mask(before["ticker"] == "S00T003", "another"))
    (started.folder / "fresh").mkdir()
    fresh = Job(started.spark, started.folder / "fresh")

    tables = started.run(moved)

    assert "table features: version 1 written, in which nothing has changed" in started.notes.lines, started.notes.lines
    assert_same_training(started.training(tables), fresh.training(fresh.run(moved)))


def test_a_row_that_is_gone_is_noticed(started: Job, raw: pd.DataFrame, last_week: date) -> None:
    day = sorted(raw["date"].unique())[DAYS - 30]
    tables = started.run(raw[(raw["date"] < last_week) & ((raw["ticker"] != "S00T003") | (raw["date"] != day))])

    found = started.features(tables)
    assert any(f"changed from {day}" in text for text in started.notes.lines)
    assert not ((found["ticker"] == "S00T003") & (found["date"] == day)).any()


@pytest.mark.parametrize("engine", ["windows", "kernels"])
def test_features_are_kept_of_the_days_of_eras_and_of_every_day_where_they_are_asked_for(
    engine: str, spark: SparkSession, raw: pd.DataFrame, tmp_path: Path
) -> None:
    job = Job(spark, tmp_path, engine=engine)
    tables = job.run(raw)
    store = Store(spark, f"{tmp_path}/tables")

    every = signals_steps.features_of_every_day(Site(store, job.config, job.notes))

    found, whole = (store.read(made["features"]).toPandas() for made in (tables, every))
    days = Days(Site(store, job.config, job.notes)).of(tables["prices"]).last_sessions.values()
    wanted = whole[whole["date"].isin([*days]) | whole["states"].notna()]
    assert len(whole) == len(raw)
    assert len(found) < 0.3 * len(whole)
    found, wanted = (frame.sort_values(["ticker", "date"], ignore_index=True) for frame in (found, wanted))
    pd.testing.assert_frame_equal(found, wanted)


def test_prices_that_end_earlier_have_features_on_their_last_day(started: Job, raw: pd.DataFrame) -> None:
    days = sorted(day for day in raw["date"].unique() if day.weekday() == 1)
    shorter = raw[raw["date"] <= days[-3]]  # a Tuesday, which is no era's day in a longer history
    (started.folder / "fresh").mkdir()
    fresh = Job(started.spark, started.folder / "fresh")

    tables = started.run(shorter)

    assert_same_training(started.training(tables), fresh.training(fresh.run(shorter)))


def test_nothing_new_writes_no_row(started: Job, raw: pd.DataFrame, last_week: date) -> None:
    before = started.features(started.run(raw[raw["date"] < last_week]))
    shuffled = raw[raw["date"] < last_week].sample(frac=1.0, random_state=3)

    after = started.features(started.run(shuffled))

    assert "table prices: 0 new rows" in started.notes.lines
    pd.testing.assert_frame_equal(before, after)


def test_a_range_is_made_again(complete: Job, raw: pd.DataFrame) -> None:
    days = sorted(raw["date"].unique())
    first, last = days[400], days[420]
    before = complete.run(raw)

    after = complete.run(raw, (first, last))

    assert after["features"].number == before["features"].number + 1
    assert any(
        f"table features: version {after['features'].number} written from {first} on" in t for t in complete.notes.lines
    )
    assert_equal(complete.features(after), complete.features(before))


def test_a_fault_in_the_new_week_writes_nothing(started: Job, raw: pd.DataFrame, last_week: date) -> None:
    broken = raw.copy()
    broken.loc[(broken["ticker"] == "S00T003") & (broken["date"] == last_week), "high"] = -1.0
    before = started.features(started.run(raw[raw["date"] < last_week]))

    with pytest.raises(Exception, match="S00T003"):
        started.run(broken)

    assert_equal(started.features(started.run(raw[raw["date"] < last_week])), before)
