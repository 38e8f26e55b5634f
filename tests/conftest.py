"""Shared by all tests: one Spark session a process, and the real prices where this machine has them."""

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# Tests compile thousands of plans that see few rows each. By default the JVM's second compiler takes more time than its
# code gives back (a Classic run on a full disk: 126 seconds of processor time, 69 without it); without it, plans of a
# session that lives for half an hour take twice as long. So it compiles only what is called twenty times as often. Two
# processes with 3 GB of heap each would be too much for a machine of 8 GB. The soak's session is as users have it.
HOT = {"Tier4InvocationThreshold": 100_000, "Tier4MinInvocationThreshold": 12_000, "Tier4CompileThreshold": 300_000,
       "Tier4BackEdgeThreshold": 800_000, "ReservedCodeCacheSize": "480m"}  # fmt: skip
JAVA = " ".join(f"-XX:{name}={value}" for name, value in HOT.items())
SMALL = f"--driver-memory 2g --driver-java-options '{JAVA} -XX:+UseSerialGC' pyspark-shell"


@pytest.fixture(scope="session")
def spark(request: pytest.FixtureRequest):
    from eraflow.session import session

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with pytest.MonkeyPatch.context() as patch:
        if not any(item.get_closest_marker("soak") for item in request.session.items):
            patch.setenv("PYSPARK_SUBMIT_ARGS", SMALL)
        spark = session("tests")
    yield spark
    spark.stop()


def real(name: str) -> Path:
    """A file of real data; a test that needs it skips where it is absent."""
    folder = Path(os.environ.get("ERAFLOW_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / name).is_file():
        pytest.skip(f"no {name} in {folder}: set ERAFLOW_REAL_DATA to the folder that holds it")
    return folder / name


def failed_if_skipped(report: Any) -> Any:
    """With ERAFLOW_NO_SKIPS, as in CI, where all that tests need is there, a skipped test has failed."""
    if os.environ.get("ERAFLOW_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, but ERAFLOW_NO_SKIPS is set: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    return failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return failed_if_skipped((yield))


@pytest.fixture(scope="session")
def real_prices() -> Path:
    """Real daily prices."""
    return real("sp500_daily_1999_2018.parquet")


@pytest.fixture(scope="session")
def real_metadata() -> Path:
    """Numerai's own features.json of v5.0."""
    return real("numerai/features_v5.0.json")


@pytest.fixture(scope="session")
def real_columns() -> list[str]:
    """The names of v5.3's features."""
    return real("numerai/columns_v5.3.txt").read_text().split()
