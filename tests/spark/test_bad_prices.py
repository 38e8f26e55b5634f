"""Price files: what is refused, with which sentence, and what is accepted."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from pyspark.sql import SparkSession
from tests.spark import oracles

from eraflow.cli import job
from eraflow.config import load
from eraflow.pipeline import price_table
from eraflow.pipeline.train import train
from eraflow.pipeline.upstream import ingest
from eraflow.sources import prices, quality
from eraflow.sources.fault_rows import SEEN_SQL

ROOT = Path(__file__).parents[2]
TICKERS, DAYS = 22, 12
ROW = 30  # of T08 on 2020-01-07


def frame() -> pd.DataFrame:
    """Sound prices: 22 tickers on each of 12 days, row by row in the order of dates."""
    days = pd.bdate_range("2020-01-06", periods=DAYS).strftime("%Y-%m-%d")
    level = 10.0 + np.tile(np.arange(TICKERS), DAYS) + np.repeat(np.arange(DAYS), TICKERS) / 8
    return pd.DataFrame(
        {
            "ticker": np.tile([f"T{ticker:02}" for ticker in range(TICKERS)], DAYS),
            "date": np.repeat(days, TICKERS),
            "open": level,
            "high": level + 1,
            "low": level - 1,
            "close": level + 0.5,
            "adjusted_close": level / 2,
            "volume": 1000.0,
            "sector": np.tile(["a", "b"], TICKERS * DAYS // 2),
        }
    )


def with_cell(column: str, value: object) -> pd.DataFrame:
    changed = frame().astype({column: object})
    changed.loc[ROW, column] = value
    return changed


def saved(rows: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.infer_objects().to_parquet(path, index=False)
    return path


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or {entry.name for entry in folder.iterdir()} <= {".lock"}


@pytest.fixture
def refused(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one sentence with which a job refuses the prices at a path; nothing is written."""

    def message(path: object, *settings: str) -> str:
        arguments = ["--config", "signals.yml", *(part for text in settings for part in ("--set", text))]
        root = tmp_path / "tables"
        code = job("", ingest, [*arguments, "--set", f"tables.root={root}", "--set", f"prices.path={path}"])
        printed = capsys.readouterr()
        assert code == 2
        assert printed.out == ""
        assert printed.err.startswith("eraflow: ")
        assert printed.err.endswith(".\n")
        assert printed.err.count("\n") == 1
        assert nothing_in(root)
        return printed.err.removeprefix("eraflow: ").strip().replace(f"{tmp_path}/", "")

    return message


SHARE = "faulty rows in 1 of 22 tickers, more than 2.0% (quality.refuse_share): T08 from 2020-01-07"


def test_a_faulty_value_is_refused_where_too_many_tickers_have_one(refused: Callable[..., str], tmp_path: Path) -> None:
    below = refused(saved(with_cell("close", -1.0), tmp_path / "prices.csv"))
    empty = refused(saved(with_cell("volume", None), tmp_path / "prices.parquet"))
    mend = "mend or remove the rows, or let them be left out with --set quality"
    assert below == f"prices.csv: {SHARE} (column 'close' is -1.0); {mend}.impossible=drop."
    assert empty == f"prices.parquet: {SHARE} (column 'volume' is empty); {mend}.incomplete=drop."


def test_a_row_without_ticker_or_date_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    ticker = refused(saved(with_cell("ticker", None), tmp_path / "ticker.parquet"))
    day = refused(saved(with_cell("date", None), tmp_path / "date.csv"))
    assert ticker == "ticker.parquet: column 'ticker' is empty on 2020-01-07; mend or remove the row."
    assert day == "date.csv: column 'date' is empty for T08; mend or remove the row."


def test_text_is_no_number_and_no_date(refused: Callable[..., str], tmp_path: Path) -> None:
    number = with_cell("open", "n/a")
    day = with_cell("date", "07.01.2020")
    no_number = "column 'open' holds 'n/a', which is no number, for T08 on 2020-01-07; mend or remove the row."
    no_date = "column 'date' holds '07.01.2020', which is no date (YYYY-MM-DD), for T08; mend or remove the row."
    assert refused(saved(number, tmp_path / "a.csv")) == f"a.csv: {no_number}"
    assert refused(saved(number.astype({"open": str}), tmp_path / "a.parquet")) == f"a.parquet: {no_number}"
    assert refused(saved(day, tmp_path / "b c.csv")) == f"b c.csv: {no_date}"
    assert refused(saved(day, tmp_path / "b.parquet")) == f"b.parquet: {no_date}"


def test_more_tickers_than_there_are_are_refused(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_table, "MOST_TICKERS", TICKERS - 1)
    said = refused(saved(frame(), tmp_path / "prices.csv"))
    assert said.startswith(f"prices.csv holds {TICKERS} tickers, more than there are ")
    assert said.endswith("name the column that holds them by --set prices.columns.ticker=NAME.")


def test_a_column_of_another_type_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    flags = saved(frame().assign(volume=True), tmp_path / "flags.parquet")
    yes = saved(frame().assign(date=True), tmp_path / "yes.parquet")
    serial = saved(frame().assign(date=43836), tmp_path / "serial.parquet")
    assert refused(flags) == "flags.parquet: column 'volume' is of type boolean, which is no number; write it as one."
    assert refused(yes) == "yes.parquet: column 'date' is of type boolean, which is no date; write it as one."
    assert "column 'date' holds '43836', which is no date (YYYY-MM-DD), for T00, and 263 more rows" in refused(serial)


def test_a_fault_is_told_by_the_files_own_column_name(refused: Callable[..., str], tmp_path: Path) -> None:
    path = saved(with_cell("close", -1.0).rename(columns={"close": "Last"}), tmp_path / "prices.csv")
    assert "(column 'Last' is -1.0)" in refused(path, "prices.columns.close=Last")


def test_a_missing_column_is_refused_in_one_file_or_in_all(refused: Callable[..., str], tmp_path: Path) -> None:
    short = frame().drop(columns="close")
    said = (
        "has no column 'close' (prices.columns.close), only ticker, date, open, high, low, adjusted_close, volume, "
        "sector; map it with --set prices.columns.close=NAME."
    )
    assert refused(saved(short, tmp_path / "prices.csv")) == f"prices.csv {said}"
    assert refused(saved(short, tmp_path / "prices.parquet")) == f"prices.parquet {said}"
    saved(frame(), tmp_path / "two/first.csv")
    saved(short, tmp_path / "two/second.csv")
    assert refused(tmp_path / "two") == f"two/second.csv {said}"


def test_a_ticker_twice_on_a_date_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    path = saved(pd.concat([frame(), frame().iloc[[ROW]].assign(close=12.0)]), tmp_path / "prices.csv")
    assert f"{SHARE} (2 rows with different values)" in refused(path)


def test_an_era_without_enough_tickers_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    path = saved(frame().query("date > '2020-01-08' or ticker < 'T06'"), tmp_path / "prices.csv")
    assert refused(path, "prices.min_tickers=23") == (
        "prices.csv: on 2020-01-10 (era 1) only 22 tickers have a price, fewer than 23 (prices.min_tickers); add the "
        "missing prices, cut that date away, or lower the minimum."
    )


def test_a_feed_that_lacks_days_or_tickers_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    lacking = saved(frame().query("date < '2020-01-20' or ticker < 'T16'"), tmp_path / "lacking.csv")
    assert refused(lacking) == (
        "lacking.csv: only 16 of 22 tickers of the universe have a price on 2020-01-20 and 1 later day, and the newest "
        "day is 2020-01-17; bring them up to date, name their countries by prices.columns.country, or "
        "lower dates.complete_share."
    )
    late = frame().assign(country=np.tile(["us", "jp"], TICKERS * DAYS // 2))
    late = late.query("date < '2020-01-17' or country == 'jp'")
    assert refused(saved(late, tmp_path / "late.csv"), "prices.columns.country=country") == (
        "late.csv: country us has no prices of 2020-01-17 and 2 later days, and the newest day is 2020-01-21; bring "
        "them up to date, name holidays in dates.holidays, or leave it out of the newest era by "
        "dates.late_countries=[us]."
    )


def test_a_path_without_price_files_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    saved(frame(), tmp_path / "mixed/a.csv")
    saved(frame(), tmp_path / "mixed/a.parquet")
    said = "prices.path: there is no parquet or CSV file at none.csv; check the path."
    assert refused(tmp_path / "none.csv") == said
    assert "prices.path is not set" in refused("null")
    assert refused(tmp_path / "mixed") == (
        "prices.path: mixed holds parquet and CSV files; name one kind, e.g. by *.parquet."
    )
    assert "prices.path: ftq://host/a.csv cannot be opened (No FileSystem for scheme" in refused("ftq://host/a.csv")


def test_a_damaged_file_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    whole = saved(frame(), tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "holes.parquet").write_bytes(whole[:100] + bytes(1400) + whole[1500:])
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "line.csv").write_text(frame().to_csv(index=False) + "T00,2020-03-02,1\n")
    header = saved(frame().iloc[:0], tmp_path / "header.csv")
    assert refused(tmp_path / "cut.parquet") == (
        "cut.parquet cannot be read as a parquet file (the file is not a Parquet file); replace it or leave it out."
    )
    assert refused(tmp_path / "holes.parquet") == (
        "holes.parquet cannot be read to its end: it is damaged, or was changed meanwhile; replace it or leave it out."
    )
    assert refused(tmp_path / "nothing.csv") == "nothing.csv is empty; replace it or leave it out."
    assert refused(tmp_path / "line.csv") == (
        "line.csv: the line 'T00,2020-03-02,1' has not one value for each column; mend or remove it."
    )
    assert refused(header) == "header.csv holds no rows; name files with prices in them."


@pytest.mark.slow
def test_spark_submit_ends_with_2_and_without_a_trace(tmp_path: Path) -> None:
    path = saved(with_cell("close", -1.0), tmp_path / "prices.csv")
    settings = [f"prices.path={path}", f"tables.root={tmp_path}/tables", f"run.dir={tmp_path}/runs"]
    command = ["spark-submit", "--properties-file", "conf/spark-local.conf", "jobs/train.py", "--config", "signals.yml"]
    command += [part for text in settings for part in ("--set", text)]
    path_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    # spark-submit joins the standard error of a Python job to its own standard output.
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path_first},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )

    assert done.returncode == 2, done.stdout
    assert f"eraflow: {path}: {SHARE} (column 'close' is -1.0); mend" in done.stdout
    assert "Traceback" not in done.stdout
    assert "\tat " not in done.stdout
    assert nothing_in(tmp_path / "tables")
    assert nothing_in(tmp_path / "runs/signals")


SMALL = ("source=synthetic", "synthetic.days=120", "synthetic.sectors=2", "synthetic.tickers_per_sector=11",
         "features.set=momentum")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["validation.min_train_eras=30", "validation.period=null", "validation.folds=2"],
            "too little history for the first fold: ",
        ),
        (
            ["validation.purge=2", "validation.min_train_eras=5"],
            "the labels run over 4 eras but validation.purge is 2: fold 1 would train on era 5 (label until 2015-03-03)"
            " while era 8 is validated (from 2015-02-20); set validation.purge to at least 4 or leave it out",
        ),
        (
            ["features.set=mian"],
            "features.set: there is no feature set 'mian'; choose one of main, technical, momentum, volatility",
        ),
        (["targets.exposures=[bate]"], "targets.exposures: there is no exposure 'bate'; choose from beta, size, "),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_its_folder_is_claimed(
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    said: str,
) -> None:
    root = tmp_path_factory.getbasetemp() / "tables of runs that cannot be"  # built by the first case
    every = [*SMALL, *settings, f"tables.root={root}", f"run.dir={tmp_path}"]

    assert job("", train, [part for text in every for part in ("--set", text)]) == 2

    printed = capsys.readouterr()
    assert printed.err.startswith(f"eraflow: {said}")
    assert printed.err.count("\n") == 1
    assert nothing_in(tmp_path / "demo")


def bars_of(spark: SparkSession, path: object, *settings: str) -> pd.DataFrame:
    """The `prices` table that the files at a path would become."""
    config = load(["signals.yml"], [f"prices.path={path}", *settings])
    raw = oracles.rows_of(spark, config.prices)
    bars = prices.bars(oracles.held(raw), oracles.calendars_in(raw), config.quality.policies).toPandas()
    return bars.sort_values(["ticker", "date"], ignore_index=True)


def test_the_form_of_the_files_changes_nothing(spark: SparkSession, tmp_path: Path) -> None:
    expected = bars_of(spark, saved(frame(), tmp_path / "sorted.csv"))
    early, late = frame().iloc[: TICKERS * 5], frame().iloc[TICKERS * 5 :]
    saved(early, tmp_path / "folder/a.csv")
    saved(late[late.columns[::-1]], tmp_path / "folder/b.csv")
    saved(early, tmp_path / "glob-1.parquet")
    saved(late.assign(date=pd.to_datetime(late["date"])), tmp_path / "glob-2.parquet")
    saved(frame().iloc[:3], tmp_path / "other.parquet")
    named = frame().rename(columns={"close": "Last price", "date": "day"}).astype({"Last price": str})

    assert len(expected) == TICKERS * DAYS
    assert expected["bar"].tolist() == [*range(DAYS)] * TICKERS
    assert_frame_equal(bars_of(spark, saved(frame().sample(frac=1, random_state=1), tmp_path / "mixed.csv")), expected)
    assert_frame_equal(bars_of(spark, tmp_path / "folder"), expected)
    assert_frame_equal(bars_of(spark, tmp_path / "glob-*.parquet"), expected)
    mapped = ["prices.columns.close=Last price", "prices.columns.date=day"]
    assert_frame_equal(bars_of(spark, saved(named, tmp_path / "named.parquet"), *mapped), expected)


def test_files_without_sectors_make_one_sector(spark: SparkSession, tmp_path: Path) -> None:
    path = saved(frame().drop(columns="sector"), tmp_path / "prices.csv")
    assert bars_of(spark, path, "prices.columns.sector=null")["sector"].unique().tolist() == ["all"]


def test_halts_and_gaps_are_accepted_and_counted(spark: SparkSession, tmp_path: Path) -> None:
    rows = with_cell("volume", 0.0).query("ticker != 'T03' or date < '2020-01-08' or date > '2020-01-09'")

    bars = bars_of(spark, saved(rows, tmp_path / "prices.parquet"))
    nothing = spark.createDataFrame([], SEEN_SQL)
    findings = quality.findings(spark.createDataFrame(bars), nothing)
    found = quality.counted(findings, load([], []).quality.policies).set_index("check")

    assert bars.query("ticker == 'T03'")["bar"].tolist() == [*range(DAYS - 2)]
    assert bars.query("ticker == 'T03'")["session"].tolist() == [0, 1, *range(4, DAYS)]
    assert found["count"].to_dict() == {
        "stray (drop)": 0,
        "gap (keep)": 1,
        "zero_volume (keep)": 1,
        "stale (keep)": 0,
        "jump (keep)": 0,
        "adjustment (keep)": 0,
        "contradiction (keep)": 0,
        "incomplete (set_aside)": 0,
        "impossible (set_aside)": 0,
        "zero_range (set_aside)": 0,
        "repeated (set_aside)": 0,
        "empty (drop)": 0,
        "repeat (drop)": 0,
    }
    assert "first T08 on 2020-01-07" in found.loc["zero_volume (keep)", "detail"]
    assert "first T03 on 2020-01-10" in found.loc["gap (keep)", "detail"]
