"""What is kept below a root of tables, and what `jobs/prune.py` removes."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from eraflow import retention
from eraflow.cli import Option, job
from eraflow.pipeline.upstream import prune
from eraflow.tables import USED, Part, Store, Version, note_of

pytestmark = pytest.mark.slow
WEEKS = 10


def write(store: Store, table: str, week: int, inputs: Sequence[Version] = ()) -> Version:
    """A week more of a table, a part of it made again; some files of 100 kB."""
    rows = store.spark.range(week * 5000, (week + 2) * 5000, 1, 1).selectExpr("id", "id * rand(1) AS value")
    part = Part(date(2024, 1, 1), f"id >= {week * 5000}") if week else None
    return store.write(table, rows, f"week {week}", inputs, part=part)


def size(root: Path, table: str) -> int:
    return sum(path.stat().st_size for path in (root / table).rglob("*.parquet") if "_delta_log" not in path.parts)


def content(store: Store, version: Version) -> pd.DataFrame:
    return store.read(version).toPandas().sort_values("id", ignore_index=True)


@pytest.fixture(scope="module")
def weekly(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Version], pd.DataFrame]:
    """Ten weeks of `prices`, of which a run has pinned the third; and what that version holds."""
    base = tmp_path_factory.mktemp("retention")
    store = Store(spark, str(base / "tables"))
    versions = [write(store, "prices/a", week) for week in range(WEEKS)]
    (base / "run").mkdir()
    retention.pin(store, base / "run", [versions[2]])
    write(store, "prices/b", 0)
    features = write(store, "features/a", 0, [versions[5]])
    retention.used(store, [versions[-1], features])
    return store, versions, content(store, versions[2])


def test_a_dry_run_removes_nothing_and_says_what_it_would(
    weekly: tuple[Store, list[Version], pd.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    store, _, _ = weekly
    before = sorted(Path(store.root).rglob("*"))
    option = Option("--dry-run", "dry_run", "", "", is_switch=True)
    settings = ["--set", f"tables.root={store.root}", "--set", "tables.keep_days=0"]

    assert job("", prune, [*settings, "--dry-run"], [option]) == 0
    assert capsys.readouterr().out.startswith(f"to remove below {store.root}: 1 tables, 7 versions of others, ")
    assert [path for path in sorted(Path(store.root).rglob("*")) if ".lock" not in path.name] == before


def test_what_is_pinned_in_use_or_made_from_stays_and_all_else_goes(
    weekly: tuple[Store, list[Version], pd.DataFrame], tmp_path: Path
) -> None:
    store, versions, third = weekly
    shutil.copytree(Path(store.root).parent, tmp_path / "copy", dirs_exist_ok=True)
    root = tmp_path / "copy/tables"
    store = Store(store.spark, str(root))
    retention.pin(store, tmp_path / "copy/run", [versions[2]])
    before, newest = size(root, "prices/a"), content(store, versions[-1])

    kept = retention.prune(store, keep_days=1)
    assert (kept.files, kept.versions, kept.tables) == (0, 0, ())

    removal = retention.prune(store, keep_days=0)

    assert removal.tables == ("prices/b",)
    assert not (root / "prices/b").exists()
    left = [store.version("prices/a", version.number) for version in versions]
    assert [version.number for version in left if version] == [2, 5, 9]
    pd.testing.assert_frame_equal(content(store, versions[2]), third)
    pd.testing.assert_frame_equal(content(store, versions[-1]), newest)
    assert len(content(store, versions[5])) == 7 * 5000
    assert before - size(root, "prices/a") > 0.3 * before
    assert retention.prune(store, keep_days=0).files == 0  # there is nothing more to remove


def test_ten_weeks_leave_no_more_than_two_once_their_run_is_gone(
    weekly: tuple[Store, list[Version], pd.DataFrame], tmp_path: Path
) -> None:
    store, versions, _ = weekly
    shutil.copytree(Path(store.root), tmp_path / "tables")
    root = tmp_path / "tables"
    store = Store(store.spark, str(root))
    retention.pin(store, tmp_path / "gone", [versions[2]])
    for name in store.notes.names(retention.PINS):
        held = store.notes.get(name)
        store.notes.put(name, held | {"folder": str(tmp_path / "gone")})
    shutil.rmtree(root / "features")

    retention.prune(store, keep_days=0)

    at_once = store.spark.range(0, (WEEKS + 1) * 5000, 1, 1).selectExpr("id", "id * rand(1) AS value")
    store.write("prices/c", at_once, "at once")
    assert size(root, "prices/a") < 1.2 * size(root, "prices/c")
    assert [store.version("prices/a", version.number) is not None for version in versions] == [False] * 9 + [True]
    assert not store.notes.names(retention.PINS)
    after = write(store, "prices/a", WEEKS)  # the table goes on
    assert len(content(store, after)) == (WEEKS + 2) * 5000

    store.remove("prices/a")
    first = write(store, "prices/a", 0)  # numbers begin anew, and are not those that were removed
    assert store.version("prices/a", first.number) == first


def test_without_a_lock_nothing_of_the_last_day_goes(spark: SparkSession, tmp_path: Path) -> None:
    class Unlocked(Store):
        has_lock = False

    store = Unlocked(spark, str(tmp_path / "tables"))
    versions = [write(store, "prices/a", week) for week in range(2)]

    assert retention.prune(store, keep_days=0) == retention.Removal((), 0, 0, 0)
    assert [store.version("prices/a", version.number) for version in versions] == versions


@pytest.fixture
def catalog(spark: SparkSession, tmp_path: Path) -> Iterator[Store]:
    """A schema of Spark's own catalog."""
    spark.sql(f"CREATE SCHEMA spark_catalog.eraflow_tests LOCATION '{tmp_path}/schema'")
    yield Store(spark, "spark_catalog.eraflow_tests")
    spark.sql("DROP SCHEMA spark_catalog.eraflow_tests CASCADE")


def test_in_a_catalog_runs_pin_versions_too_and_tables_go_that_nothing_keeps(catalog: Store, tmp_path: Path) -> None:
    class YesterdaysStore(Store):  # nothing is being written any more
        has_lock = True

    store, kept, gone = YesterdaysStore(catalog.spark, catalog.root), f"prices/{'a' * 16}", f"features/{'b' * 16}"
    versions = [write(store, kept, week) for week in range(3)]
    assert [store.version(kept, number) for number in range(4)] == [*versions, None]
    assert (store.latest(kept), store.names(), store.recipes("prices")) == (versions[-1], ["prices"], [kept])
    made = write(store, gone, 0, [versions[1]])
    store.spark.sql(f"CREATE TABLE {store.root}.their_own__table (id BIGINT) USING delta")
    (tmp_path / "run").mkdir()
    retention.pin(store, tmp_path / "run", [versions[1]])
    retention.used(store, [made])
    assert retention.prune(store, keep_days=0) == retention.Removal((), 0, 0, 0)

    store.notes.drop(note_of(USED, gone))
    assert retention.prune(store, keep_days=0, dry_run=True).tables == (gone,)
    assert store.latest(gone) == made
    assert retention.prune(store, keep_days=0).tables == (gone,)
    assert store.latest(gone) is None
    assert len(content(store, versions[1])) == 3 * 5000

    shutil.rmtree(tmp_path / "run")
    assert retention.prune(store, keep_days=0).tables == (kept,)
    assert store.notes.names(retention.PINS) == []
    left = {row["tableName"] for row in store.spark.sql(f"SHOW TABLES IN {store.root}").collect()}
    assert left == {"_eraflow", "their_own__table"}
