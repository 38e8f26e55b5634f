"""A run that is stopped in a fold and in a search: the same command ends with the content of an undisturbed run.

Only what is stopped runs in a process of its own; the others run in the tests' session, which has as many slots.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.integration.test_train_job import assert_same_run

from eraflow.cli import job
from eraflow.pipeline.train import train

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = (
    "synthetic.days=360", "synthetic.sectors=3", "synthetic.tickers_per_sector=40", "kinds.lightgbm.trees=40",
    "kinds.lightgbm.min_data_in_leaf=50", "validation.folds=4", "validation.min_train_eras=20", "targets.horizons=[20]",
    "features.set=momentum",
)  # fmt: skip
TRIALS, PARTS = 2, ("fold-1", "fold-2", "final")
SEARCHED = (
    *TINY, "validation.folds=2", "models.ridge={kind: linear}", "search.model=ridge",
    "search.space={penalty: {low: 0.001, high: 1000, log: true}}", f"search.trials={TRIALS}", "search.folds=2",
    "search.min_train_eras=8",
)  # fmt: skip
PATIENCE = 400  # seconds


def environment() -> dict[str, str]:
    """Of a process of its own: this Python's commands, and a JVM that compiles in a hurry, as a short job wants it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"}


def over(base: Path, settings: Sequence[str]) -> list[str]:
    """Arguments of a job over base/tables and base/runs."""
    places = (f"tables.root={base}/tables", f"run.dir={base}/runs")
    return [part for text in (*settings, *places) for part in ("--set", text)]


@contextmanager
def submitted(base: Path, job: str, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A job in a process group of its own; its lines go to base/log.txt."""
    command = ["spark-submit", job, *arguments]
    with (base / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                stop(process, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
    os.killpg(process.pid, how)
    return process.wait(timeout=60)


def wait_for(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], base: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not is_ready():
        assert process.poll() is None, log_of(base)
        assert time.monotonic() < until, log_of(base)
        time.sleep(0.02)


def log_of(base: Path) -> str:
    return (base / "log.txt").read_text(encoding="utf-8", errors="replace")


def started(base: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The main job."""
    return submitted(base, "jobs/train.py", over(base, SEARCHED))


def is_done(base: Path, part: str) -> bool:
    return (base / f"runs/demo/state/lightgbm-{part}.json").exists()


def with_tables_of(run: Path, base: Path, *tables: str) -> None:
    """Spares a test what comes before the moment that it is about."""
    for table in tables:
        shutil.copytree(run.parents[1] / "tables" / table, base / "tables" / table)


def finished_trials(base: Path) -> list[tuple[int, str]]:
    """Number and moment of the trials of all searches that are finished."""
    query = "select trial_id, datetime_complete from trials where datetime_complete is not null"
    found: list[tuple[int, str]] = []
    for storage in (base / "runs/_cells/searches").rglob("trials.sqlite3"):
        with closing(sqlite3.connect(storage, timeout=30)) as connection:
            has = connection.execute("select count(*) from sqlite_master where name = 'trials'").fetchone()[0]
            found += connection.execute(query).fetchall() if has else []
    return found


def test_a_run_that_is_killed_and_interrupted_goes_on_to_the_content_of_an_undisturbed_one(
    spark: SparkSession, tmp_path: Path
) -> None:
    base, run, expected = tmp_path / "stopped", tmp_path / "stopped/runs/demo", tmp_path / "undisturbed/runs/demo"
    base.mkdir()
    assert job("", train, over(tmp_path / "undisturbed", SEARCHED)) == 0
    with_tables_of(expected, base, "prices", "prices_seen", "quality", "features", "eras")

    # Killed in a fold: the finished ones are kept. (`test_update` kills a job while it writes a table.)
    with started(base) as process:
        wait_for(lambda: is_done(base, "fold-1"), process, base)
        assert not is_done(base, "fold-2")
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    assert "table features: version 0 is fresh" in log_of(base)
    assert "table training: version 0 written" in log_of(base)
    models = [*run.glob("models/*/fold-1/model.txt")]
    assert len(models) == 1
    kept = {path: path.stat().st_mtime_ns for path in (*run.glob("state/*"), *models)}

    # Interrupted in the search of the next model by a terminal's Ctrl-C, which reaches Java too, whose own 130 can come
    # before the job's 1.
    with started(base) as process:
        wait_for(lambda: len(finished_trials(base)) >= 1, process, base)
        code = stop(process, signal.SIGINT)
    log, tried = log_of(base), finished_trials(base)
    assert code in {1, 130}, f"{code}: {log}"
    assert "lightgbm: fold 1 was finished before" in log
    assert log.count("eraflow: interrupted; the same command goes on from what is finished.") == 1
    assert "Traceback" not in log
    assert 1 <= len(tried) < len(PARTS) * TRIALS
    assert not (run / "run.json").exists()

    assert job("", train, over(base, SEARCHED)) == 0

    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert_same_run(run, expected)
    assert set(tried) < set(finished_trials(base))  # none of them was tried again
    assert (run / "search_trials.csv").read_bytes() == (expected / "search_trials.csv").read_bytes()
    assert pd.read_csv(run / "search_trials.csv").groupby("part").size().to_dict() == dict.fromkeys(PARTS, TRIALS)
    assert f"All {len(PARTS) * TRIALS} trials count where runs are compared" in (run / "report.html").read_text()
