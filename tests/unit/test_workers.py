"""The process that Spark forks its Python workers from."""

import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

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
