"""The main job on a standalone Spark cluster of this machine, of one core and of two."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fault.test_resume import PATIENCE, ROOT, TINY, environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both runs are; the first builds the tables of both."""
    return tmp_path_factory.mktemp("cluster")


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.soak)])
def test_a_cluster_takes_the_same_command(workers: int, base: Path) -> None:
    places = [f"tables.root={base}/tables", f"run.dir={base}/runs", f"run.name=on-{workers}"]
    settings = [*TINY, *places, "validation.folds=1", "kinds.lightgbm.engine=synapseml"]
    job = ["jobs/train.py", *(part for text in settings for part in ("--set", text))]

    with (base / f"{workers}.txt").open("w") as log:
        subprocess.run(
            [sys.executable, "benchmarks/_cluster.py", str(workers), "1g", *job],
            cwd=ROOT, env=environment(), stdout=log, stderr=log, timeout=PATIENCE, check=True,
        )  # fmt: skip

    run = base / f"runs/on-{workers}"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["lightgbm"]["numerai_corr"]["eras"] > 0
    assert json.loads((run / "run.json").read_text())["identity"]["software"]["slots"] == workers
