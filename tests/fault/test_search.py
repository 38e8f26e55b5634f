"""A run whose search for settings is killed: the same command goes on with the trials that were finished."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.fault.test_resume import TINY, over, stop, submitted, wait_for, with_tables_of

from eraflow.cli import job
from eraflow.pipeline.train import train

pytestmark = pytest.mark.slow

TRIALS = 2
SEARCHED = (
    *TINY, "validation.folds=1", "models={lightgbm: null, ridge: {kind: linear}}", "search.model=ridge",
    "search.space={penalty: {low: 0.001, high: 1000, log: true}}", f"search.trials={TRIALS}", "search.folds=2",
    "search.min_train_eras=8",
)  # fmt: skip


def finished_trials(base: Path) -> list[tuple[int, str]]:
    """Number and moment of those that are finished."""
    storage = base / "runs/demo/search.sqlite3"
    if not storage.exists():
        return []
    query = "select trial_id, datetime_complete from trials where datetime_complete is not null"
    with closing(sqlite3.connect(storage, timeout=30)) as connection:
        has = connection.execute("select count(*) from sqlite_master where name = 'trials'").fetchone()[0]
        return connection.execute(query).fetchall() if has else []


def test_a_run_killed_in_its_search_goes_on_and_counts_every_trial_once(spark: SparkSession, tmp_path: Path) -> None:
    whole, base = tmp_path / "whole", tmp_path / "killed"
    base.mkdir()
    assert job("", train, over(whole, SEARCHED)) == 0
    with_tables_of(whole / "runs/demo", base, "prices", "prices_seen", "quality", "features", "eras", "training")
    with submitted(base, "jobs/train.py", over(base, SEARCHED)) as process:
        wait_for(lambda: len(finished_trials(base)) >= 1, process, base)
        stop(process, signal.SIGKILL)
    before = finished_trials(base)
    assert 1 <= len(before) < 2 * TRIALS
    assert not (base / "runs/demo/run.json").exists()

    assert job("", train, over(base, SEARCHED)) == 0

    run, expected = base / "runs/demo", whole / "runs/demo"
    assert set(before) < set(finished_trials(base))  # none of them was tried again
    for name in ("search_trials.csv", "predictions.csv", "per_era.csv", "summary.json"):
        assert (run / name).read_bytes() == (expected / name).read_bytes(), name
    told = json.loads((run / "run.json").read_text(encoding="utf-8"))["search"]
    assert {part: found["trials"] for part, found in told.items()} == {"fold-1": TRIALS, "final": TRIALS}
    assert pd.read_csv(run / "search_trials.csv").groupby("part").size().to_dict() == {
        "final": TRIALS,
        "fold-1": TRIALS,
    }
    assert f"All {2 * TRIALS} trials count where runs are compared" in (run / "report.html").read_text()
