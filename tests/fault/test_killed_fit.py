"""A fit on a cluster in which a task is killed: its model fails with its cause within the minute, all else goes on."""

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.fault.test_resume import ROOT, TINY, environment

pytestmark = pytest.mark.soak

# Two tasks with rows enough for each, and trees for more than a minute, to the last of which a killed one might go on.
SETTINGS = (
    *TINY, "synthetic.days=700", "validation.folds=1", "kinds.lightgbm.engine=synapseml", "kinds.lightgbm.trees=30000",
    "kinds.lightgbm.min_data_in_leaf=5", "kinds.lightgbm.feature_fraction=1.0",
    "models.other={kind: lightgbm, trees: 30}",
)  # fmt: skip
PATIENCE = 1200.0
AT = "%Y-%m-%d %H:%M:%S"


def on_cluster(job: str, base: Path) -> tuple[int, str]:
    """The exit code and the lines of a job on two executors."""
    places = (f"tables.root={base}/tables", f"run.dir={base}/runs")
    command = [job, *(part for text in (*SETTINGS, *places) for part in ("--set", text))]
    ended = subprocess.run(
        [sys.executable, "benchmarks/_cluster.py", "2", "1g", *command],
        cwd=ROOT, env=environment() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lib'}"}, timeout=PATIENCE, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return ended.returncode, ended.stdout


def test_a_killed_task_is_told_within_the_minute_and_the_same_command_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "runs/demo"
    code, output = on_cluster("tests/fault/killed_fit.py", tmp_path)

    assert code == 1, output
    # The task may end at once, or be deep in native code: then its executor goes.
    assert re.search(
        r"lightgbm: Spark has (killed a task: by hand|lost an executor: Command exited with code 50)", output
    )
    assert set(json.loads((run / "summary.json").read_text())) == {"other"}  # fitted by the cluster after that
    killed = re.search(r"^killed at (.+)$", output, re.MULTILINE)
    failed = re.search(r"^(\S+ \S+)  lightgbm failed$", (run / "log.txt").read_text(), re.MULTILINE)
    assert killed
    assert failed
    took = datetime.strptime(failed[1], AT) - datetime.strptime(killed[1], AT)
    assert timedelta(0) < took < timedelta(minutes=1)
    assert not (run / "run.json").exists()

    code, output = on_cluster("jobs/train.py", tmp_path)

    assert code == 0, output
    assert "other: fold 1 was finished before" in output
    assert set(json.loads((run / "summary.json").read_text())) == {"lightgbm", "other"}
