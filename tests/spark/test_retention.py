"""What is kept below a root of tables, and what `jobs/prune.py` removes."""

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from eraflow import retention
from eraflow.cli import Option, job
from eraflow.pipeline.upstream import prune
from eraflow.tables import Part, Store, Version

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
    there = [store.version("prices/a", version.number) for version in versions]
    assert [version.number for version in there if version] == [2, 5, 9]
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
    for name in store.notes(retention.PINS):
        held = store.noted(name)
        store.note(name, held | {"folder": str(tmp_path / "gone")})
    shutil.rmtree(root / "features")

    retention.prune(store, keep_days=0)

    at_once = store.spark.range(0, (WEEKS + 1) * 5000, 1, 1).selectExpr("id", "id * rand(1) AS value")
    store.write("prices/c", at_once, "at once")
    assert size(root, "prices/a") < 1.2 * size(root, "prices/c")
    assert [store.version("prices/a", version.number) is not None for version in versions] == [False] * 9 + [True]
    assert not store.notes(retention.PINS)
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
