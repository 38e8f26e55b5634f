"""A round's prediction that is killed: it is there whole or not at all, and the next call makes it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests import predicting
from tests.predicting import ROOT, arguments, code, state

base, made = predicting.base, predicting.made  # a finished run, and the files of a live round

pytestmark = pytest.mark.soak

# The process ends itself as the kernel would end it, before or after one call of a function.
PROGRAM = """
import importlib, os, runpy, signal, sys

where, name, moment = sys.argv[1:4]
owner = importlib.import_module(where.partition(":")[0])
for part in filter(None, where.partition(":")[2].split(".")):
    owner = getattr(owner, part)
plain = getattr(owner, name)

def killed(*args, **options):
    if moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    plain(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, killed)
sys.argv = sys.argv[4:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
JOB = str(ROOT / "jobs/predict.py")
POINTS = [
    ("eraflow.pipeline.predict:FinalModels", "of", "after"),
    ("eraflow.sources.classic_live", "read", "after"),
    ("eraflow.pipeline.predict", "_submissions", "after"),
    ("eraflow.whole_files", "write_csv", "after"),  # of the first of three files
    ("eraflow.pipeline.predict", "write_json", "before"),
    ("os", "rename", "before"),
    ("os", "rename", "after"),
]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[2]} {point[1]}")
def test_a_killed_prediction_is_there_whole_or_not_at_all(point: tuple[str, str, str], base: Path) -> None:
    before = state(base / "runs")
    given = [*point, JOB, *arguments(base, "--date", "2026-11-28")]
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *given], cwd=base, timeout=300, env={
        **os.environ, "PYTHONPATH": str(ROOT / "lib"),
    })  # fmt: skip

    assert ended.returncode == -signal.SIGKILL
    folder = base / "runs/mine/rounds/2026-11-28"
    assert folder.exists() == (point[1:] == ("rename", "after"))
    assert state(base / "runs") == before
    assert code(base, "--date", "2026-11-28") == 0
    assert (folder / "predictions.csv").read_bytes() == (folder / "predictions/both.csv").read_bytes()
    assert (folder / "manifest.json").is_file()
