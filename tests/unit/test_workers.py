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

from eraflow.workers import MODULES, keep_directories_of_zips


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


def test_a_zip_is_not_read_again_before_each_task_and_a_new_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "later"):
        with ZipFile(tmp_path / f"{name}.zip", "w") as file:
            file.writestr(f"in_{name}.py", "")
    monkeypatch.setattr(zipimporter, "invalidate_caches", zipimporter.invalidate_caches)  # put back in the end
    keep_directories_of_zips()
    monkeypatch.syspath_prepend(tmp_path / "first.zip")
    assert find_spec("in_first")
    zipped = (tmp_path / "first.zip").read_bytes()

    (tmp_path / "first.zip").write_bytes(b"no zip" * 100)  # whoever reads it now finds nothing in it
    importlib.invalidate_caches()
    (tmp_path / "first.zip").write_bytes(zipped)

    assert find_spec("in_first")
    monkeypatch.syspath_prepend(tmp_path / "later.zip")
    assert find_spec("in_later")
