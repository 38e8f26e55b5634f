"""Numerai Signals' files, invented in the shape of v2.1: what meets the prices, what does not, what is refused."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark import oracles
from tests.spark.test_incremental import Notes

from eraflow.cli import job
from eraflow.config import Config, load
from eraflow.features import cross_section
from eraflow.pipeline import signals_steps
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.pipeline.upstream import build
from eraflow.sources import signals_files
from eraflow.sources.signals_files import with_tickers
from eraflow.sources.ticker_map import Line
from eraflow.tables import Store

pytestmark = pytest.mark.slow

FEATURES = ["feature_value_factor", "feature_rsi_60d_country_ranknorm"]
TARGET = "target_factor_neutral_20"
TICKERS = [f"T{number:02}" for number in range(24)]
GOOD_FRIDAY = "2010-04-02"
DAYS = pd.bdate_range("2010-02-01", "2010-06-16").difference(pd.to_datetime([GOOD_FRIDAY]))
LIVE = pd.Timestamp("2010-06-16")  # a Wednesday, the newest day of the prices
WEEKS = pd.date_range("2010-02-01", "2010-06-11", freq="W-FRI").append(pd.DatetimeIndex([LIVE]))
UNKNOWN = ["T22", "T23"]  # have prices, but no row of Numerai's


def prices() -> pd.DataFrame:
    random = np.random.default_rng(2)
    close = 30.0 * np.exp(random.normal(0.0, 0.02, (len(DAYS), len(TICKERS))).cumsum(axis=0))
    frame = pd.DataFrame(close, DAYS.date, TICKERS).rename_axis("date").reset_index()
    frame = frame.melt(id_vars="date", var_name="ticker", value_name="close")
    same = dict.fromkeys(("open", "high", "low", "adjusted_close"), frame["close"])
    return frame.assign(**same, volume=1000.0, sector="one")


def signals() -> pd.DataFrame:
    random = np.random.default_rng(3)
    names = [*(f"{ticker} US" for ticker in TICKERS if ticker not in UNKNOWN), "ONLY US", "OTHER JP"]
    frame = pd.DataFrame([(name, day) for day in WEEKS for name in names], columns=["numerai_ticker", "date"])
    frame["composite_figi"] = "BBG0"
    for name in FEATURES:
        frame[name] = random.uniform(size=len(frame))
    frame[TARGET] = random.choice([0.0, 0.25, 0.5, 0.75, 1.0], len(frame))
    frame.loc[frame["numerai_ticker"] == "T05 US", FEATURES[0]] = np.nan
    return frame


def mapping() -> pd.DataFrame:
    """As real ones are: with names that prices lack, lines that are empty, said twice, or say something else."""
    named = [*TICKERS, "ONLY"]
    lines = [(ticker, f"{ticker} US") for ticker in named]
    lines += [("T03", "T03 US"), ("T07", "T06 US"), ("SYMBOL_NOT_FOUND", "OTHER JP"), ("T05", "")]
    return pd.DataFrame(lines, columns=["ticker", "numerai_ticker"])


def write(folder: Path, frame: pd.DataFrame, names: pd.DataFrame) -> None:
    prices().to_parquet(folder / "prices.parquet")
    (folder / "signals").mkdir(exist_ok=True)
    early, late = frame["date"] < WEEKS[10], frame["date"] >= LIVE
    frame[early].to_parquet(folder / "signals/train.parquet")
    frame[~early & ~late].to_parquet(folder / "signals/validation.parquet")
    frame[late].drop(columns=TARGET, errors="ignore").to_parquet(folder / "signals/live.parquet")
    names.to_csv(folder / "mapping.csv", index=False)


def settings(folder: Path) -> list[str]:
    return [
        f"prices.path={folder}/prices.parquet", f"tables.root={folder}/tables", f"signals.path={folder}/signals",
        f"signals.mapping={folder}/mapping.csv", f"signals.features=[{', '.join(FEATURES)}]",
        f"targets.signals=[{TARGET}]", f"targets.main={TARGET}", "features.set=trend",
    ]  # fmt: skip


def config(folder: Path) -> Config:
    return load(["signals.yml"], settings(folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    write(folder, signals(), mapping())
    return folder


@pytest.fixture(scope="module")
def store(spark: SparkSession, folder: Path) -> Store:
    return Store(spark, f"{folder}/tables")


@pytest.fixture(scope="module")
def tables(spark: SparkSession, folder: Path, store: Store) -> Versions:
    return signals_steps.tables(Site(store, config(folder), Notes()))


@pytest.fixture(scope="module")
def rows(store: Store, tables: Versions) -> pd.DataFrame:
    frame = store.read(tables["training"]).toPandas().sort_values("id", ignore_index=True)
    parts = frame["id"].str.split("_", expand=True)
    return frame.assign(ticker=parts[0], date=pd.to_datetime(parts[1]))


def wanted(rows: pd.DataFrame) -> pd.DataFrame:
    """Numerai's row of the Friday of each row's week, and its live row."""
    theirs = signals().assign(ticker=lambda frame: frame["numerai_ticker"].str.removesuffix(" US"))
    friday = rows["date"].dt.to_period("W-FRI").dt.end_time.dt.normalize()
    keys = rows[["ticker"]].assign(date=friday.where(friday <= LIVE, LIVE))
    found = keys.merge(theirs, on=["ticker", "date"], how="left")
    found.loc[found["date"] == LIVE, TARGET] = np.nan  # live.parquet has none
    return found


def test_features_and_targets_stand_beside_our_own(rows: pd.DataFrame, tables: Versions) -> None:
    names = tables["training"].manifest["features"]
    theirs = wanted(rows)

    assert names[-2:] == FEATURES
    assert oracles.same_bits(rows[TARGET].to_numpy(float), theirs[TARGET].to_numpy("float32").astype(float))
    found = np.array(rows["features"].tolist())[:, -2:]
    for _, place in rows.groupby("era").indices.items():
        levels = cross_section.levels(theirs.loc[place, FEATURES].to_numpy(float))
        assert (found[place] == levels).all()
    assert (found[rows["ticker"].isin(UNKNOWN)] == cross_section.MISSING).all()


def test_a_friday_without_trading_belongs_to_the_day_before_it(rows: pd.DataFrame) -> None:
    thursday = rows[rows["date"] == pd.Timestamp(GOOD_FRIDAY) - pd.Timedelta(days=1)]

    assert thursday[TARGET].notna().sum() == len(TICKERS) - len(UNKNOWN)


def test_of_two_rows_of_a_week_the_first_line_of_the_map_has_the_ticker(spark: SparkSession) -> None:
    """FB became META on a Thursday; in one week Numerai has both."""
    before, both, after = date(2022, 6, 3), date(2022, 6, 10), date(2022, 6, 17)
    theirs = spark.createDataFrame(
        [("FB US", before), ("FB US", both), ("META US", both), ("META US", after), ("X US", both)],
        "numerai_ticker string, date date",
    )
    lines = [Line("META", "META US", rank=0), Line("META", "FB US", last=both, rank=1), Line("X", "X US", last=before)]

    found = {(row["numerai_ticker"], row["date"]): row["ticker"] for row in with_tickers(theirs, lines).collect()}

    assert found == {
        ("FB US", before): "META", ("FB US", both): None, ("META US", both): "META", ("META US", after): "META",
        ("X US", both): None,
    }  # fmt: skip


def test_what_met_and_what_did_not_is_told(store: Store, tables: Versions, rows: pd.DataFrame) -> None:
    found = store.read(tables["signals_match"])
    table = found.toPandas().groupby(["check", "ticker"])["rows"].sum()
    counted = signals_files.counted(found).set_index("check")

    eras = rows["era"].nunique()
    assert table.loc[("matched", "T00")] == eras == len(WEEKS)
    assert table.loc[("no row", "T22")] == eras
    assert table.loc[("map: no price", "ONLY")] == 1
    assert counted["count"].to_dict() == {
        "Signals: matched": eras * (len(TICKERS) - len(UNKNOWN)),
        "Signals: no row": eras * len(UNKNOWN),
        "Signals: no price": 0,
        "Signals: not mapped": 2 * eras,
        "Signals: map: empty": 2,
        "Signals: map: repeated": 1,
        "Signals: map: contradiction": 1,
        "Signals: map: no price": 1,
    }
    assert "T07" in counted.loc["Signals: map: contradiction", "detail"]


@pytest.fixture
def refused(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def message(*others: str, frame: pd.DataFrame | None = None, names: pd.DataFrame | None = None) -> str:
        write(tmp_path, signals() if frame is None else frame, mapping() if names is None else names)
        every = [part for text in [*settings(tmp_path), *others] for part in ("--set", text)]
        assert job("", build, ["--config", "signals.yml", *every]) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert not list((tmp_path / "tables").glob("[st]*/_delta_log"))
        return printed.removeprefix("eraflow: ").strip().replace(f"{tmp_path}/", "")

    return message


def test_faulty_files_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    frame = signals()
    twice = pd.concat([frame, frame[frame["numerai_ticker"] == "T03 US"].head(1)])
    assert refused(frame=twice) == (
        "signals/train.parquet: T03 US has 2 rows in the week of 2010-02-05; keep one row for each ticker and week, "
        "in one file."
    )
    assert refused(frame=frame.drop(columns=FEATURES[0])).startswith(
        f"signals/train.parquet has no column '{FEATURES[0]}'"
    )
    assert refused(frame=frame.drop(columns=TARGET)).startswith(f"signals/train.parquet has no column '{TARGET}'")
    assert refused(frame=frame.astype({FEATURES[1]: str})).startswith(
        f"signals/train.parquet: column '{FEATURES[1]}' is of type string, no number"
    )
    unnamed = frame.assign(numerai_ticker=frame["numerai_ticker"].where(frame.index != 3, None))
    assert refused(frame=unnamed).startswith("signals/train.parquet: column 'numerai_ticker' is empty")
    assert refused(names=mapping().rename(columns={"ticker": "symbol"})) == (
        "signals.mapping: mapping.csv has no columns ticker and numerai_ticker, only numerai_ticker, symbol; name them "
        "by signals.mapping_columns.ticker and signals.mapping_columns.numerai."
    )
    assert refused(names=mapping().assign(to="soon")).startswith("mapping.csv: column 'to' holds 'soon'")
    assert refused("signals.path=nowhere").startswith("signals.path: nowhere holds none of train.parquet")


def test_settings_that_cannot_be_are_refused(refused: Callable[..., str]) -> None:
    assert "name targets that end with one of _20, _60" in refused("targets.signals=[target_raw_7]")
    assert "targets.signals: names targets, but signals.path no folder" in refused(
        "signals.path=null", "signals.mapping=null", "signals.features=[]"
    )
    assert refused("features.set=trend", "signals.features=[drawdown_252]").startswith(
        "signals.features: 'drawdown_252' is a feature of the set trend too"
    )


def test_a_submission_takes_numerais_names_of_the_newest_week(store: Store, tables: Versions) -> None:
    names = {ticker: f"{ticker} US" for ticker in TICKERS if ticker not in UNKNOWN}
    newest = LIVE.date()
    assert signals_files.live_names(store.read(tables["signals"]), newest) == (names, True)
    assert signals_files.live_names(store.read(tables["signals"]), newest + timedelta(days=7)) == (names, False)
