"""Jobs whose disk becomes full: one sentence names the place, and the same command goes on once there is room."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.integration.test_classic_run import SMALL

from eraflow.cli import job
from eraflow.pipeline.train import train

pytestmark = pytest.mark.slow

Resize = Callable[[str], None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A file system in memory, whose size a test sets."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no right to mount a small file system here: a full disk is not tried")
    try:
        yield place, lambda size: subprocess.check_call(["mount", "-o", f"remount,size={size}", str(place)])
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


# pyarrow's writer tries to close its file once more when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("key", "folder", "size"),
    [
        ("classic.path", "data", "200k"),  # while a data set is invented
        ("tables.root", "tables", "100k"),  # while rows are packed
        ("run.dir", "runs", "60k"),  # while a model is saved or its predictions are
    ],
)
def test_a_full_disk_is_named_and_the_same_command_goes_on(
    spark: SparkSession,
    tmp_path: Path,
    small_disk: tuple[Path, Resize],
    key: str,
    folder: str,
    size: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small, resize = small_disk
    places = {"classic.path": f"{tmp_path}/data", "tables.root": f"{tmp_path}/tables", "run.dir": f"{tmp_path}/runs"}
    places[key] = f"{small}/{folder}"
    settings = [*SMALL, *(f"{name}={place}" for name, place in places.items())]
    command = ["--config", "classic-synthetic.yml", *(part for text in settings for part in ("--set", text))]
    resize(size)

    assert job("", train, command) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(rf"eraflow: {key}: {small}/{folder} is on a full disk \(0 MB are free\); make room, .*", told)
    assert not list(tmp_path.rglob("summary.json"))

    resize("200m")
    assert job("", train, command) == 0
    assert len(list(tmp_path.rglob("summary.json"))) == 1
