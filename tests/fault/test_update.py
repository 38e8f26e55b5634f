"""Feature tables that are extended by a week: killed amid the writing, completed, exported."""

import logging
import signal
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.fault.test_resume import over, stop, submitted, wait_for
from tests.tables import newest

from eraflow.cli import Option, job
from eraflow.config import load
from eraflow.pipeline.upstream import build
from eraflow.sources.synthetic import sector_prices
from eraflow.tables import Store

pytestmark = pytest.mark.slow


def universe() -> pd.DataFrame:
    settings = load([], []).synthetic.model_dump() | {"sectors": 2, "tickers_per_sector": 12, "days": 320}
    frame = pd.concat([sector_prices(sector, **settings) for sector in range(2)], ignore_index=True)
    return frame.drop(columns=["file", "unreadable"])


def arguments(base: Path, *options: str) -> list[str]:
    """Of `jobs/features.py` over base/prices.parquet."""
    return [
        "--config",
        "signals.yml",
        *options,
        *over(base, [f"prices.path={base}/prices.parquet", "features.set=momentum"]),
    ]


def code_of(base: Path, *options: str) -> int:
    """Of the job in the tests' session."""
    return job("", build, arguments(base, *options), [Option("--export", "export", "FOLDER", "")])


def stored(spark: SparkSession, base: Path) -> tuple[int, pd.DataFrame]:
    """The newest version of the features, and its rows."""
    store = Store(spark, f"{base}/tables")
    version = newest(store, "features")
    rows = store.read(version).select("ticker", "date", "momentum").toPandas()
    return version.number, rows.sort_values(["ticker", "date"], ignore_index=True)


def exported(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "features").sort_values(["ticker", "date"], ignore_index=True)


def test_an_update_killed_while_it_writes_leaves_the_old_table_and_is_completed(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "eraflow")
    raw = universe()
    *_, former, last_week = sorted(raw["date"].unique())[:-4]  # a Thursday, an era's day no more, and its Friday
    update, fresh = tmp_path / "update", tmp_path / "fresh"
    for base in (update, fresh):
        base.mkdir()
    raw[raw["date"] < last_week].to_parquet(update / "prices.parquet")
    assert code_of(update) == 0
    number, before = stored(spark, update)

    raw.to_parquet(update / "prices.parquet")
    files = set(update.glob("tables/features/*/year=*/*"))
    with submitted(update, "jobs/features.py", arguments(update)) as process:
        wait_for(lambda: bool(set(update.glob("tables/features/*/year=*/*")) - files), process, update)
        stop(process, signal.SIGKILL)

    number_after, after = stored(spark, update)
    assert number_after == number
    pd.testing.assert_frame_equal(after, before)

    assert code_of(update, "--export", f"{update}/plain") == 0
    assert "table prices: version 1 is fresh" in caplog.text
    assert f"table features: version {number + 1} written from {former} on" in caplog.text

    raw.to_parquet(fresh / "prices.parquet")
    assert code_of(fresh, "--export", f"{fresh}/plain") == 0
    one, other = exported(update / "plain"), exported(fresh / "plain")
    assert len(one) == len(raw)
    pd.testing.assert_frame_equal(one, other, rtol=1e-12, atol=1e-10)
    assert pd.read_csv(update / "plain/dictionary.csv")["column"].tolist() == list(one)

    assert code_of(update, "--export", f"{update}/plain") == 2
    assert f"--export {update}/plain: that is there already" in capsys.readouterr().err
