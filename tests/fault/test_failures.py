"""A job under spark-submit whose task runs out of memory ends with a line on the screen and its cause in the log."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.fault.test_resume import PATIENCE, ROOT, environment

pytestmark = pytest.mark.slow


def test_few_rows_on_many_slots_are_fitted_and_a_task_out_of_memory_ends_the_job_with_a_line(tmp_path: Path) -> None:
    settings = ["--properties-file", ROOT / "conf/spark-local.conf", "--master", "local[16]", "--driver-memory", "1g"]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "lib")))

    ended = subprocess.run(
        ["spark-submit", *settings, ROOT / "tests/fault/failing_job.py"], env=environment() | {"PYTHONPATH": paths},
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip

    screen = ended.stdout.splitlines()  # Spark sends a Python job's standard error there, too
    (log,) = tmp_path.glob("var/log/demo-*.txt")
    assert ended.returncode == 1
    assert "5 trees on 16 slots" in screen
    assert screen[-1].startswith("eraflow: java.lang.OutOfMemoryError: Java heap space (")
    assert f"{log} has the whole cause; the same command goes on from what is finished" in screen[-1]
    assert not [line for line in (*screen, *ended.stderr.splitlines()) if "LightGBM" in line or line.startswith("\tat")]
    assert "Caused by: java.lang.OutOfMemoryError: Java heap space\n\tat " in log.read_text()
