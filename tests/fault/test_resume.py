"""Jobs that are killed or interrupted: the same command goes on and ends with the content of an undisturbed run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = (
    "synthetic.days=360", "synthetic.sectors=3", "synthetic.tickers_per_sector=40", "kinds.lightgbm.trees=40",
    "kinds.lightgbm.min_data_in_leaf=50", "validation.folds=4", "validation.min_train_eras=20", "targets.horizons=[20]",
)  # fmt: skip
PATIENCE = 400  # seconds


def started(base: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The main job over base/tables."""
    return submitted(base, "jobs/train.py", [], [*TINY, f"run.dir={base}/runs"])


@contextmanager
def submitted(
    base: Path, job: str, options: Sequence[str], settings: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A job over base/tables in a process group of its own; its lines go to base/log.txt."""
    command = ["spark-submit", "--properties-file", "conf/spark-local.conf", job, *options]
    command += [part for text in (*settings, f"tables.root={base}/tables") for part in ("--set", text)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (base / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                stop(process, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
    os.killpg(process.pid, how)
    return process.wait(timeout=60)


def wait_for(there: Callable[[], bool], process: subprocess.Popen[bytes], base: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not there():
        assert process.poll() is None, log_of(base)
        assert time.monotonic() < until, log_of(base)
        time.sleep(0.02)


def log_of(base: Path) -> str:
    return (base / "log.txt").read_text(encoding="utf-8", errors="replace")


def ended(process: subprocess.Popen[bytes], base: Path) -> int:
    """The exit code. Of a process that does not end, the failure shows its log with the JVM's threads."""
    try:
        return process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        alive = subprocess.run(["ps", "-o", "pid,stat,wchan:20,args", "-g", str(process.pid)], capture_output=True)
        os.killpg(process.pid, signal.SIGQUIT)
        time.sleep(5)
        raise AssertionError(f"did not end:\n{alive.stdout.decode()}\n{log_of(base)}") from None


def completed(base: Path) -> Path:
    with started(base) as process:
        assert ended(process, base) == 0, log_of(base)
    return base / "runs/demo"


def is_done(base: Path, part: str) -> bool:
    return (base / f"runs/demo/state/lightgbm-{part}.json").exists()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return completed(tmp_path_factory.mktemp("undisturbed"))


def with_tables_of(run: Path, base: Path, *tables: str) -> None:
    """Spares a test what comes before the moment that it is about."""
    for table in tables:
        shutil.copytree(run.parents[1] / "tables" / table, base / "tables" / table)


def assert_same_content(run: Path, expected: Path) -> None:
    models = sorted(str(path.relative_to(expected)) for path in expected.rglob("model.txt"))
    assert len(models) == 5
    for name in ("predictions.csv", "per_era.csv", "summary.json", *models):
        assert (run / name).read_bytes() == (expected / name).read_bytes(), name
    rows, others = (
        pd.read_parquet(folder / "oof.parquet").sort_values(["fold", "era", "id"], ignore_index=True)
        for folder in (run, expected)
    )
    assert_frame_equal(rows, others, check_exact=True)
    here, there = (json.loads((folder / "run.json").read_text(encoding="utf-8")) for folder in (run, expected))
    for key in ("identity", "folds", "manifest", "quality", "unscored_eras", "tables"):
        assert here[key] == there[key], key


def test_a_run_killed_in_a_fold_goes_on_from_the_last_finished_one(undisturbed: Path, tmp_path: Path) -> None:
    with_tables_of(undisturbed, tmp_path, "prices", "quality", "features", "eras", "training")
    with started(tmp_path) as process:
        wait_for(lambda: is_done(tmp_path, "fold-2"), process, tmp_path)
        time.sleep(0.2)
        assert not is_done(tmp_path, "fold-3")
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    markers = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/demo/state/*")}
    models = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/demo/models/*/fold-[12]/model.txt")}

    run = completed(tmp_path)

    assert len(models) == 2
    assert {path: path.stat().st_mtime_ns for path in {**markers, **models}} == {**markers, **models}
    assert "lightgbm: fold 2 was finished before" in log_of(tmp_path)
    assert_same_content(run, undisturbed)


def test_a_run_killed_while_a_table_is_built_goes_on_from_the_tables_before(undisturbed: Path, tmp_path: Path) -> None:
    with_tables_of(undisturbed, tmp_path, "prices", "quality")
    with started(tmp_path) as process:
        wait_for(lambda: "building table training" in log_of(tmp_path), process, tmp_path)
        time.sleep(1)
        stop(process, signal.SIGKILL)
    assert not list(tmp_path.glob("tables/training/_delta_log/*.json"))
    assert not (tmp_path / "runs/demo/state").exists()

    run = completed(tmp_path)

    assert "table features: version 0 is fresh" in log_of(tmp_path)
    assert "table training: version 0 written" in log_of(tmp_path)
    assert_same_content(run, undisturbed)


def test_an_interrupted_run_says_so_and_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    with_tables_of(undisturbed, tmp_path, "prices", "quality", "features", "eras", "training")
    with started(tmp_path) as process:
        wait_for(lambda: is_done(tmp_path, "fold-1"), process, tmp_path)
        code = stop(process, signal.SIGINT)
    told = log_of(tmp_path)

    # A terminal's Ctrl-C reaches Java too, whose own 130 can come before the job's 1.
    assert code in {1, 130}, f"{code}: {told}"
    assert told.count("eraflow: interrupted; the same command goes on from what is finished.") == 1
    assert "Traceback" not in told

    assert_same_content(completed(tmp_path), undisturbed)
