"""The process that Spark forks its Python workers from."""

import importlib
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile
from zipimport import zipimporter

import pytest

from eraflow import workers
from eraflow.workers import MODULES


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what a process has loaded")
def test_it_answers_as_sparks_own_does_with_what_tasks_import_loaded() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "eraflow.workers", "pyspark.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    (port,) = struct.unpack("!i", process.stdout.read(4))
    loaded = Path(f"/proc/{process.pid}/maps").read_text()
    process.stdin.close()

    assert port > 1024
    assert all(library in loaded for library in ("libarrow", "lib_lightgbm", "_stats"))
    process.wait(60)  # it ends when Spark does
    process.stdout.close()


def test_what_it_imports_is_there() -> None:
    assert all(find_spec(name) for name in MODULES)


@pytest.fixture
def as_in_workers(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process as `main` leaves the one that workers are forked from."""
    monkeypatch.setattr(zipimporter, "invalidate_caches", zipimporter.invalidate_caches)  # put back in the end
    monkeypatch.setattr("pyspark.daemon.manager", lambda: None)
    monkeypatch.setattr("gc.freeze", lambda: None)
    workers.main()
    return monkeypatch


def zipped(file: Path, module: str) -> Path:
    with ZipFile(file, "w") as archive:
        archive.writestr(f"{module}.py", "")
    return file


def test_a_zip_is_not_read_again_before_each_task(tmp_path: Path, as_in_workers: pytest.MonkeyPatch) -> None:
    file = zipped(tmp_path / "some.zip", "in_a_zip")
    as_in_workers.syspath_prepend(file)
    assert find_spec("in_a_zip")
    content = file.read_bytes()
    file.write_bytes(b"no zip" * 100)  # whoever reads its directory now finds nothing in it

    importlib.invalidate_caches()

    file.write_bytes(content)
    assert find_spec("in_a_zip")


def test_files_that_are_added_are_found(tmp_path: Path, as_in_workers: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    for path in (tmp_path / "later.zip", tmp_path / "files"):
        as_in_workers.syspath_prepend(path)
    assert not find_spec("in_a_later_zip")
    assert not find_spec("in_a_folder")
    zipped(tmp_path / "later.zip", "in_a_later_zip")
    (tmp_path / "files/in_a_folder.py").touch()

    importlib.invalidate_caches()  # as Spark does before a task

    assert find_spec("in_a_later_zip")
    assert find_spec("in_a_folder")
