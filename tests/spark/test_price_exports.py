"""Price exports of every kind by the job: from the files to the table with one setting or none."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from pyspark.sql import SparkSession
from tests.exports import FIVE, KINDS, expected, truth, wide, written
from tests.spark import oracles
from tests.tables import newest

from eraflow.cli import job
from eraflow.config import load
from eraflow.errors import InputError
from eraflow.pipeline.upstream import ingest
from eraflow.tables import Store

FILLERS = [f"T{n:02}" for n in range(8)]  # so that there are the 20 tickers that an era needs
TABLE = ["ticker", "date", *FIVE, "total_return"]
COLUMNS = ["ticker", "date", "open", "high", "low", "close", "adjusted_close", "volume", "sector"]


def ours(ticker: str) -> pd.DataFrame:
    return truth(ticker).assign(ticker=ticker, sector="all")[COLUMNS]


def total_return(frame: pd.DataFrame) -> pd.DataFrame:
    """The table's columns of what is read, where the file has adjusted closes."""
    start = frame["close"].iloc[0] / frame["adjusted_close"].iloc[0]
    return frame.assign(total_return=frame["adjusted_close"] * start)[TABLE]


def ingested(spark: SparkSession, root: Path, path: object, *settings: str) -> pd.DataFrame:
    """The table that the job makes of the files at a path, sorted by ticker and date."""
    every = [f"prices.path={path}", f"tables.root={root}", *settings]
    assert job("", ingest, ["--config", "signals.yml", *(part for text in every for part in ("--set", text))]) == 0
    store = Store(spark, str(root))
    found = store.read(newest(store, "prices")).toPandas()
    return found.assign(date=pd.to_datetime(found["date"])).sort_values(["ticker", "date"], ignore_index=True)[TABLE]


def same(found: pd.DataFrame, parts: list[pd.DataFrame]) -> None:
    wanted = pd.concat(parts).sort_values(["ticker", "date"], ignore_index=True)[TABLE]
    assert_frame_equal(found, wanted, check_dtype=False, rtol=1e-12)


@pytest.mark.slow
def test_every_kind_of_csv_in_one_folder(spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "prices: all #1"
    for kind in KINDS.values():
        written(kind, folder)
    frames = {"MSFT": truth("MSFT"), "NULL.US": truth("NULL.US")}
    wide(frames).to_csv(folder / "wide [2].csv")
    pd.concat([ours(ticker) for ticker in FILLERS]).to_csv(folder / "own.csv.gz", index=False)
    # NA pays 1.5 on a day without a row and splits two for one, M&M pays 0.5.
    (tmp_path / "actions.csv").write_text(
        "ticker,date,dividend,split\nNA,2020-01-11,1.5,\nNA,2020-01-15,,2\nM&M,2020-01-08,0.5,1\nGONE,2020-01-08,9,9\n"
    )

    found = ingested(spark, tmp_path / "tables", folder, f"prices.actions={tmp_path}/actions.csv")

    parts = [total_return(expected(kind)) for kind in KINDS.values() if kind.adjusted]
    parts += [
        total_return(frame.assign(ticker=ticker, adjusted_close=frame["close"])) for ticker, frame in frames.items()
    ]
    parts += [total_return(ours(ticker)) for ticker in FILLERS]
    for kind in (kind for kind in KINDS.values() if kind.adjusted is None):
        frame, days = expected(kind), expected(kind)["date"]
        gained = np.ones(len(frame))
        if kind.ticker == "NA":  # adjusted for splits: its dividend buys at the close of the next Monday
            gained[days >= "2020-01-13"] *= 1 + 1.5 / frame.loc[days == "2020-01-13", "close"].item()
        if kind.ticker == "M&M":
            gained[days >= "2020-01-08"] *= 1 + 0.5 / frame.loc[days == "2020-01-08", "close"].item()
        parts.append(frame.assign(total_return=frame["close"] * gained)[TABLE])
    same(found, parts)
    assert "prices: 2 files are read as yfinance (prices.adjusted: all)" in caplog.text
    assert "prices: 1 file is read as polygon (prices.adjusted: none)" in caplog.text


@pytest.mark.slow
def test_parquet_of_many_writers_in_one_folder(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "prices"
    tickers = [f"P{n:02}" for n in range(20)]
    for n, ticker in enumerate(tickers):
        frame = ours(ticker).drop(columns="ticker")
        frame["date"] = frame["date"].dt.tz_localize(["Asia/Tokyo", None, "America/New_York", "Europe/London"][n % 4])
        (folder / f"ticker={ticker}").mkdir(parents=True)
        frame = frame.set_index("date") if n % 2 else frame
        frame.to_parquet(folder / f"ticker={ticker}/part:0.parquet", compression=["snappy", "brotli", "zstd"][n % 3])
    same(ingested(spark, tmp_path / "tables", folder), [total_return(ours(ticker)) for ticker in tickers])


def test_a_split_and_a_dividend_of_raw_prices(spark: SparkSession, tmp_path: Path) -> None:
    frame = ours("A").drop(columns="adjusted_close").assign(paid=0.0, shares=1.0)
    frame.loc[5, ["paid", "shares"]] = 0.4, 2.0
    # The day stands in the file twice, as real ones have it at times: what it pays counts once.
    pd.concat([frame, frame.iloc[[5]]]).to_parquet(tmp_path / "a.parquet")
    names = ["adjusted_close=null", "dividend=paid", "split=shares"]
    config = load([], [f"prices.path={tmp_path}", *(f"prices.columns.{name}" for name in names)]).prices

    found = oracles.rows_of(spark, config).toPandas().sort_values("date").drop_duplicates("date")

    returns = found["adjusted_close"].pct_change().to_numpy()[1:]
    close = frame["close"].to_numpy()
    wanted = close[1:] / close[:-1]
    wanted[4] = (close[5] + 0.4) * 2.0 / close[4]
    np.testing.assert_allclose(returns, wanted - 1.0, atol=1e-14)


def test_files_of_another_store(spark: SparkSession, tmp_path: Path) -> None:
    """A store that Python cannot open, only Spark: Hadoop's view over a folder."""
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    hadoop.set("fs.viewfs.mounttable.here.link./data", f"file:{tmp_path}")
    (tmp_path / "csv").mkdir()
    for ticker in ("AA", "BB"):
        ours(ticker).to_csv(tmp_path / f"csv/{ticker} 1.csv", index=False)
        ours(ticker).to_parquet(tmp_path / f"{ticker}.parquet")
    written(KINDS["yfinance"], tmp_path / "csv")

    def read(path: str) -> list[tuple[str, int, float]]:
        frame = oracles.rows_of(spark, load([], [f"prices.path=viewfs://here/data/{path}"]).prices)
        rows = frame.groupBy("ticker").agg({"date": "count", "close": "sum"}).orderBy("ticker").collect()
        return [(row["ticker"], row["count(date)"], round(row["sum(close)"], 6)) for row in rows]

    sums = {ticker: (ticker, 12, round(truth(ticker)["close"].sum(), 6)) for ticker in ("A", "AA", "BB")}
    assert read("csv") == [sums["A"], sums["AA"], sums["BB"]]
    assert read("*.parquet") == [sums["AA"], sums["BB"]]
    (tmp_path / "AA.parquet").write_bytes((tmp_path / "AA.parquet").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"AA\.parquet cannot be read as a parquet file"):
        read("*.parquet")


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        (
            "serial.parquet",
            {"date": 43831},
            "serial.parquet: column 'date' holds '43831', which is no date (YYYY-MM-DD)",
        ),
        (
            "month.parquet",
            {"date": 202001},
            "month.parquet: column 'date' holds '202001', which is no date (YYYY-MM-DD)",
        ),
        ("short.csv", {"date": "020117"}, "short.csv: column 'date' holds '020117', which is no date (YYYY-MM-DD)"),
        (
            "comma.csv",
            {"close": "1,5"},
            "comma.csv: column 'close' holds '1,5', which is no number, for A on 2020-01-06",
        ),
    ],
)
def test_what_is_no_date_or_number_is_refused(
    spark: SparkSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    changed: dict[str, object],
    said: str,
) -> None:
    frame, path = ours("A").assign(**changed), tmp_path / name
    frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
    every = [f"prices.path={path}", f"tables.root={tmp_path}/tables"]
    assert job("", ingest, ["--config", "signals.yml", *(part for text in every for part in ("--set", text))]) == 2
    assert said in capsys.readouterr().err
