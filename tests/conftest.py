"""Shared by all tests: one Spark session, and the real prices where this machine has them."""

import os
import sys
from pathlib import Path

import pytest

REAL_PRICES = "sp500_daily_1999_2018.parquet"


@pytest.fixture(scope="session")
def spark():
    from eraflow.session import session

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
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
