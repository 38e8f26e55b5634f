"""Shared by all tests: one Spark session a process, and the real prices where this machine has them."""

import os
import sys
from pathlib import Path

import pytest

REAL_PRICES = "sp500_daily_1999_2018.parquet"

# Quick tests compile thousands of plans that see a few rows each: the JVM's second compiler would take more time than
# its code gives back, and two such processes with 3 GB of heap each would be too much for a machine of 8 GB.
QUICK = "--driver-memory 2g --driver-java-options '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' pyspark-shell"


@pytest.fixture(scope="session")
def spark(request: pytest.FixtureRequest):
    from eraflow.session import session

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with pytest.MonkeyPatch.context() as patch:
        if not any(item.get_closest_marker("slow") for item in request.session.items):
            patch.setenv("PYSPARK_SUBMIT_ARGS", QUICK)
        spark = session("tests")
    yield spark
    spark.stop()


@pytest.fixture(scope="session")
def real_prices() -> Path:
    """The file of real daily prices; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("ERAFLOW_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / REAL_PRICES).is_file():
        pytest.skip(f"no {REAL_PRICES} in {folder}: set ERAFLOW_REAL_DATA to the folder that holds it")
    return folder / REAL_PRICES
