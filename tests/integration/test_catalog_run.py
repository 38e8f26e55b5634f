"""Runs whose tables are those of a schema in a catalog: Spark's own, in memory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.fault.test_resume import TINY

from eraflow.cli import job
from eraflow.pipeline.train import train

pytestmark = pytest.mark.slow

SCHEMA = "spark_catalog.eraflow_runs"
SETTINGS = (*TINY, "validation.folds=1", "models={lightgbm: {kind: linear}}", f"tables.root={SCHEMA}")


@pytest.fixture
def schema(spark: SparkSession, tmp_path: Path) -> Iterator[str]:
    spark.sql(f"CREATE SCHEMA {SCHEMA} LOCATION '{tmp_path}/schema'")
    yield SCHEMA
    spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


def trained(runs: Path, *others: str) -> int:
    settings = (*SETTINGS, f"run.dir={runs}", *others)
    return job("", train, [part for text in settings for part in ("--set", text)])


def test_a_run_pins_its_tables_in_a_catalog_and_another_fits_nothing_again(
    schema: str, spark: SparkSession, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    assert trained(runs) == trained(runs, "run.name=again") == 0
    first, again = (json.loads((runs / name / "run.json").read_text()) for name in ("demo", "again"))
    assert again["tables"] == first["tables"]
    assert again["clock"]["fits"] == {"fitted": 0, "fitted before": 2}

    pinned = spark.read.table(f"{schema}._eraflow").where("name LIKE 'pins/%'")
    held = [json.loads(row["content"]) for row in pinned.collect()]
    assert {note["folder"] for note in held} == {str(runs / name) for name in ("demo", "again")}
    found = {row["tableName"].partition("__")[0] for row in spark.sql(f"SHOW TABLES IN {schema}").collect()}
    assert found == {"prices", "prices_seen", "quality", "features", "eras", "training", "_eraflow"}
