"""A run whose search for settings is killed: the same command goes on with the trials that were finished."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from tests.fault.test_resume import TINY, ended, log_of, stop, submitted, wait_for, with_tables_of

pytestmark = pytest.mark.slow

TRIALS = 4
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


def test_a_run_killed_in_its_search_goes_on_and_counts_every_trial_once(tmp_path: Path) -> None:
    whole, base = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, base):
        folder.mkdir()
    with submitted(whole, "jobs/train.py", [], [*SEARCHED, f"run.dir={whole}/runs"]) as process:
        assert ended(process, whole) == 0, log_of(whole)
    with_tables_of(whole / "runs/demo", base, "prices", "quality", "features", "eras", "training")
    command = [*SEARCHED, f"run.dir={base}/runs"]
    with submitted(base, "jobs/train.py", [], command) as process:
        wait_for(lambda: len(finished_trials(base)) >= 2, process, base)
        stop(process, signal.SIGKILL)
    before = finished_trials(base)
    assert 2 <= len(before) < 2 * TRIALS
    assert not (base / "runs/demo/run.json").exists()

    with submitted(base, "jobs/train.py", [], command) as process:
        assert ended(process, base) == 0, log_of(base)

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
