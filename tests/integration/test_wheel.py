"""The wheel away from the checkout: what it holds and asks for, every job found, a job run; and the zip for workers."""

import os
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from eraflow import py_files
from eraflow.command import job_files

ROOT = Path(__file__).parents[2]
RANGES = {"numpy", "pandas", "pyarrow", "pyspark", "delta-spark", "setuptools"}  # what a platform brings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, by the command of `make dist`."""
    folder = tmp_path_factory.mktemp("dist")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "wheel", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (file,) = folder.glob("eraflow-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder with the wheel's content and nothing else, as an installer lays it into an environment."""
    folder = wheel.parent / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def away(installed: Path, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """What `python WORDS` says where only the wheel's eraflow can be found, in a folder of its own."""
    folder = installed.parent / "away"
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ | {"PYTHONPATH": str(installed)}, timeout=timeout,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_wheel_pins_what_decides_results_and_leaves_a_range_to_what_a_platform_brings(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (place,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    wanted = map(Requirement, HeaderParser().parsestr(archive.read(place).decode()).get_all("Requires-Dist") or [])
    exact = {each.name: all(one.operator == "==" for one in each.specifier) for each in wanted}
    assert {name for name, is_exact in exact.items() if not is_exact} == RANGES
    assert len(exact) > 20


def test_every_job_is_found_and_helped_from_the_wheel(installed: Path) -> None:
    script = (
        "import sys, eraflow\nfrom eraflow.command import job_files, main\nprint(eraflow.__file__)\n"
        "for name in job_files():\n    try:\n        main([name, '--help'])\n    except SystemExit as end:\n"
        "        assert end.code == 0\n"
    )
    done = away(installed, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
    for name in job_files():
        assert f"usage: eraflow {name} " in done.stdout


def test_a_job_runs_from_the_wheel_and_its_folder_holds_what_it_writes(installed: Path) -> None:
    words = ("synthetic.days=100", "synthetic.sectors=2", "synthetic.tickers_per_sector=12", "prices.min_tickers=20")
    done = away(installed, "-m", "eraflow", "ingest", *(part for word in words for part in ("--set", word)))
    assert done.returncode == 0, done.stderr
    assert "table prices: version 0" in done.stdout
    assert (installed.parent / "away/var/tables/demo/prices").is_dir()


def test_workers_import_all_that_tasks_need_from_the_zip(tmp_path: Path) -> None:
    py_files.write(tmp_path / "eraflow.zip")
    script = (
        "import importlib, eraflow, rich\nfrom eraflow.workers import MODULES\n"
        "for name in MODULES:\n    importlib.import_module(name)\nprint(eraflow.__file__)\nprint(rich.__file__)\n"
    )
    done = away(tmp_path / "eraflow.zip", "-c", script)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(f"{tmp_path}/eraflow.zip/") for line in done.stdout.splitlines())
    assert {"lightgbm", "numpy", "pandas"} <= set(py_files.native())


def test_a_job_that_is_started_from_the_zip_says_where_it_belongs(tmp_path: Path) -> None:
    py_files.write(tmp_path / "eraflow.zip")
    done = away(tmp_path / "eraflow.zip", "-m", "eraflow", "config", "run.seed")
    assert done.returncode == 2
    assert done.stderr.startswith(f"eraflow: {tmp_path}/eraflow.zip holds eraflow for workers alone")


def test_the_zip_of_the_same_content_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        py_files.write(tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert not [
        name for name in zipfile.ZipFile(tmp_path / "one.zip").namelist() if "/conf/" in name or "pycache" in name
    ]
