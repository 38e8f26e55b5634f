"""The main job on a standalone Spark cluster of this machine, of one core and of two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fault.test_resume import PATIENCE, ROOT, TINY

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cluster_takes_the_same_command(workers: int, tmp_path: Path) -> None:
    settings = [*TINY, f"tables.root={tmp_path}/tables", f"run.dir={tmp_path}/runs", "validation.folds=1"]
    job = ["jobs/train.py", *(part for text in settings for part in ("--set", text))]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    with (tmp_path / "log.txt").open("w") as log:
        subprocess.run(
            [sys.executable, "benchmarks/_cluster.py", str(workers), "1g", *job],
            cwd=ROOT, env={**os.environ, "PATH": path}, stdout=log, stderr=log, timeout=PATIENCE, check=True,
        )  # fmt: skip

    summary = json.loads((tmp_path / "runs/demo/summary.json").read_text())
    assert summary["lightgbm"]["numerai_corr"]["eras"] > 0
    assert json.loads((tmp_path / "runs/demo/run.json").read_text())["identity"]["software"]["slots"] == workers
