"""A job whose disk becomes full: one sentence names the place, and the same command goes on once there is room."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.integration.test_classic_run import SMALL

from eraflow.cli import job
from eraflow.pipeline.train import train

pytestmark = pytest.mark.slow

# In the order in which a run fills them: a data set is invented, rows are packed, models and predictions are saved.
SIZES = {"classic.path": "200k", "tables.root": "100k", "run.dir": "60k"}


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[Mapping[str, Path]]:
    """A full disk for each key: a file system in memory, whose size a test sets."""
    with ExitStack() as mounted:
        disks = {key: tmp_path / key for key in SIZES}
        for key, disk in disks.items():
            disk.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZES[key]}", "tmpfs", str(disk)]
            if subprocess.run(mount, capture_output=True).returncode:
                pytest.skip("no right to mount a small file system here: a full disk is not tried")
            mounted.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        yield disks


# pyarrow's writer tries to close its file once more when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_each_full_disk_is_named_and_the_same_command_goes_on(
    spark: SparkSession, small_disks: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*SMALL, "validation.folds=1", *(f"{key}={disk}/own" for key, disk in small_disks.items())]
    command = ["--config", "classic-synthetic.yml", *(part for text in settings for part in ("--set", text))]

    for key, disk in small_disks.items():
        assert job("", train, command) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert re.fullmatch(rf"eraflow: {key}: {disk}/own is on a full disk \(0 MB are free\); make room, .*", message)
        resize(disk, "200m")

    assert not list(small_disks["run.dir"].rglob("summary.json"))
    assert job("", train, command) == 0
    assert len(list(small_disks["run.dir"].rglob("summary.json"))) == 1
