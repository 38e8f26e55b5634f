"""Delta tables: whole versions or none, known by what they were made from, one writer at a time."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow.cli import job
from eraflow.errors import InputError
from eraflow.locks import locked
from eraflow.pipeline.upstream import ingest
from eraflow.tables import ROW_GROUP, Part, Store, Version


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> Store:
    return Store(spark, str(tmp_path / "tables"))


def numbers(store: Store, version: Version) -> list[int]:
    return sorted(row["id"] for row in store.read(version).collect())


def test_a_version_comes_back_with_all_that_it_was_made_from(store: Store) -> None:
    rows = store.spark.range(3)

    assert store.latest("rows") is None
    first = store.write("rows", rows, "one", manifest={"missing": -1, "features": ["a", "b"]})
    second = store.write("rows", rows.where("id > 0"), "two", inputs=[first])

    assert first == Version("rows", 0, "one", {}, {"missing": -1, "features": ["a", "b"]})
    assert list(first.manifest) == ["missing", "features"]  # in their order, which of blocks of features matters
    assert second == Version("rows", 1, "two", {"rows": 0}, {})
    assert store.latest("rows") == second
    assert [store.version("rows", number) for number in range(3)] == [first, second, None]
    assert store.version("others", 0) is None
    assert numbers(store, first) == [0, 1, 2]
    assert numbers(store, second) == [1, 2]


def test_numbers_that_hardly_repeat_are_written_without_a_dictionary(store: Store, tmp_path: Path) -> None:
    values = {"price": F.rand(1), "ranked": F.array(F.rand(2).cast("float")), "parts": F.array(F.rand(3))}
    others = {"level": F.array(F.lit(3).cast("tinyint")), "target": F.lit(0.5).cast("float"), "name": F.lit("x")}
    columns = [column.alias(name) for name, column in (values | others).items()]
    store.write("rows", store.spark.range(1000).coalesce(1).select(*columns), "one")

    (file,) = (tmp_path / "tables/rows").glob("*.parquet")
    group = pq.ParquetFile(file).metadata.row_group(0)
    parts = [group.column(place) for place in range(group.num_columns)]
    has = {part.path_in_schema.partition(".")[0]: part.has_dictionary_page for part in parts}
    assert has == dict.fromkeys(values, False) | dict.fromkeys(others, True)
    assert store.spark.conf.get("parquet.enable.dictionary#price", "as ever") == "as ever"


def test_many_open_files_hold_few_rows_each(store: Store, tmp_path: Path) -> None:
    """A file's first row group has no other limit: Parquet's memory manager minds only the later ones."""
    features = F.transform(F.sequence(F.lit(1), F.lit(40)), lambda place: F.rand(5) + place)
    rows = store.spark.range(0, 100_000, 1, 1).select((F.col("id") % 2 + 2000).alias("year"), features.alias("family"))
    store.spark.conf.set("parquet.block.size", "33554432")
    try:
        store.write("features", rows, "f1", partition_by=("year",))
        assert store.spark.conf.get("parquet.block.size") == "33554432"  # a session's setting is back
    finally:
        store.spark.conf.unset("parquet.block.size")
    files = [pq.read_metadata(file) for file in tmp_path.glob("tables/features/year=*/*.parquet")]
    assert len(files) == 2
    for found in files:
        groups = [found.row_group(place) for place in range(found.num_row_groups)]
        assert len(groups) > 1
        assert max(group.total_byte_size for group in groups) < 1.2 * ROW_GROUP


def test_nothing_in_place_of_nothing_is_a_version_too(store: Store, spark: SparkSession) -> None:
    nothing = spark.range(0)
    store.write("findings", nothing, "of last week")
    written = store.write("findings", nothing, "of this week")

    assert (written.number, written.fingerprint) == (1, "of this week")
    assert store.latest("findings") == written


def test_a_failing_write_leaves_the_version_before(store: Store) -> None:
    before = store.write("rows", store.spark.range(3), "one")
    failing = store.spark.range(0, 1000, 1, 4).withColumn(
        "id", F.when(F.col("id") < 900, F.col("id")).otherwise(F.raise_error(F.lit("broken")).cast("long"))
    )

    with pytest.raises((PySparkException, Py4JJavaError), match="broken"):
        store.write("rows", failing, "two")

    assert store.latest("rows") == before
    assert numbers(store, before) == [0, 1, 2]


def test_a_table_of_another_writer_is_not_taken_for_ours(store: Store) -> None:
    store.spark.range(3).write.format("delta").save(f"{store.root}/rows")
    assert store.latest("rows") is None


def test_tables_of_an_earlier_version_are_refused(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spark.range(3).write.format("delta").save(f"{tmp_path}/prices")
    assert job("", ingest, ["--set", f"tables.root={tmp_path}"]) == 2
    assert f"tables.root: {tmp_path} holds tables of an earlier version of eraflow" in capsys.readouterr().err


def test_an_upkeep_by_hand_is_no_version(store: Store, spark: SparkSession) -> None:
    first = store.write("rows", spark.range(0, 100, 1, 4), "one")
    second = store.write("rows", spark.range(100, 200, 1, 4), "two", part=Part(date(2024, 1, 5), "id >= 100"))
    spark.sql(f"OPTIMIZE delta.`{store.root}/rows`")

    assert store.latest("rows") == second
    assert store.changed_since("rows", second.number) == date.max
    assert store.changed_since("rows", first.number) == date(2024, 1, 5)
    assert len(numbers(store, second)) == 200


def test_a_fresh_table_is_reused_and_a_stale_one_made_anew(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    universe = ["source=synthetic", "synthetic.days=10", "synthetic.sectors=2", "synthetic.tickers_per_sector=11"]

    def printed(*settings: str) -> str:
        every = [*universe, f"tables.root={tmp_path}", *settings]
        assert job("", ingest, [part for text in every for part in ("--set", text)]) == 0
        return capsys.readouterr().out

    assert printed() == "table prices: version 0\n"
    assert printed("run.seed=9", "kinds.lightgbm.trees=7") == "table prices: version 0\n"
    assert printed("synthetic.seed=8") == "table prices: version 0\n"  # beside the other one
    assert len(Store(spark, str(tmp_path)).recipes("prices")) == 2
    assert printed() == "table prices: version 0\n"
    assert len(Store(spark, str(tmp_path)).recipes("prices")) == 2


@contextmanager
def another_writer(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a root until it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from eraflow.locks import locked\n"
        "with locked(Path(sys.argv[1]), 'tables.root'): print('locked', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def test_a_second_writer_is_told_who_holds_the_root_until_that_one_dies(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "eraflow")
    root = tmp_path / "tables"
    with another_writer(root) as holder:
        assert job("", ingest, ["--set", f"tables.root={root}", "--set", "tables.wait=1"]) == 2
        said = capsys.readouterr().err
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with locked(root, "tables.root"):
            assert str(os.getpid()) in (root / ".writer").read_text(encoding="utf-8")

    assert f"waiting for process {holder.pid} on " in caplog.text
    assert f"eraflow: tables.root: {root} is in use by process {holder.pid} on " in said
    assert said.endswith("; wait until it ends, or choose another folder.\n")
    assert [entry.name for entry in root.iterdir()] == [".lock"]


def test_a_lock_is_free_after_a_fault_and_one_process_cannot_take_it_twice(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "run.dir"):
        raise ZeroDivisionError
    held = rf"run.dir: {tmp_path} is in use by process {os.getpid()} on "
    with locked(tmp_path, "run.dir"):
        with pytest.raises(InputError, match=held), locked(tmp_path, "run.dir"):
            pass
        assert (tmp_path / ".writer").exists()


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=rf"tables.root: {tmp_path}/file/x cannot be written \(Not a directory\)"),
        locked(tmp_path / "file/x", "tables.root"),
    ):
        pass
