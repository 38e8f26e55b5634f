"""Rows that Spark moves and holds as bytes: each ticker comes out whole, in the order of its dates, however it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from eraflow import packages
from eraflow.errors import InputError
from eraflow.packages import Source, collected, frame_of
from eraflow.sources.files import reading
from eraflow.ticker_rows import TickerRows, bucket_of

SCHEMA = "ticker string, date date, value double"
ARROW = pa.schema([("ticker", pa.string()), ("date", pa.date32()), ("value", pa.float64())])
COUNTED = pa.schema([("ticker", pa.string()), ("rows", pa.int64()), ("is_ordered", pa.bool_())])


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    tickers = [f"T{number}" for number in range(300)]
    days = [date(2020, 1, 1) + timedelta(days=day) for day in range(40)]
    whole = pd.DataFrame([(ticker, day) for ticker in tickers for day in days], columns=["ticker", "date"])
    return whole.assign(value=rng.normal(size=len(whole))).sample(frac=0.8, random_state=0, ignore_index=True)


def source(spark: SparkSession, rows: pd.DataFrame, parts: int) -> Source:
    return Source(spark.createDataFrame(rows, SCHEMA).repartition(parts))


def counted(tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in tickers:
        days = rows["date"].to_numpy(zero_copy_only=False)
        ticker = [rows["ticker"][0].as_py()]
        assert rows["ticker"].to_pylist() == ticker * rows.num_rows
        yield pa.record_batch([ticker, [rows.num_rows], [bool((days[1:] > days[:-1]).all())]], schema=COUNTED)


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    frames = (frame.sort_values(["ticker", "date"], ignore_index=True) for frame in (found, wanted))
    pd.testing.assert_frame_equal(*frames)


@pytest.mark.parametrize("is_held", [False, True])
def test_a_ticker_comes_out_whole_and_in_order(spark: SparkSession, rows: pd.DataFrame, is_held: bool) -> None:
    sources = [source(spark, part, parts) for part, parts in ((rows[:5000], 3), (rows[5000:], 2))]
    packed = TickerRows.of(5, *sources)
    tickers = packed.held() if is_held else packed

    found = tickers.collected(counted, COUNTED).to_pandas()

    assert found.set_index("ticker")["rows"].to_dict() == rows["ticker"].value_counts().to_dict()
    assert found["ticker"].is_unique
    assert found["is_ordered"].all()
    same(tickers.rows(iter, SCHEMA).toPandas(), rows)


def test_steps_follow_each_other_and_may_part_a_ticker_or_leave_it_out(spark: SparkSession) -> None:
    days = [date(2020, 1, day) for day in (3, 1, 2)]
    frame = pd.DataFrame({"ticker": ["A"] * 3 + ["B"] * 3, "date": days * 2, "value": 1.0})

    def apart(rows: pa.RecordBatch) -> list[pa.RecordBatch]:
        return [rows.slice(0, 1), rows.slice(1, rows.num_rows - 1)]

    def not_b(rows: pa.RecordBatch) -> list[pa.RecordBatch]:
        return [rows] if rows["ticker"][0].as_py() == "A" else []

    parted = TickerRows.of(2, source(spark, frame, 1)).then(apart, not_b)

    assert sorted(parted.collected(counted, COUNTED)["rows"].to_pylist()) == [1, 2]
    assert sorted(parted.held().then(apart).collected(counted, COUNTED)["rows"].to_pylist()) == [1, 2]


def test_held_rows_are_read_once(spark: SparkSession, rows: pd.DataFrame, tmp_path: Path) -> None:
    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with (tmp_path / "read").open("a") as file:
            file.write("x")
        yield from batches

    held = TickerRows.of(2, Source(source(spark, rows, 3).frame, read)).held()

    for _ in range(2):
        assert held.collected(counted, COUNTED).num_rows == rows["ticker"].nunique()
    held.frame.unpersist()
    assert (tmp_path / "read").read_text() == "xxx"


def test_what_lacks_a_name_or_a_date_is_not_lost(spark: SparkSession) -> None:
    frame = spark.createDataFrame(
        [(None, date(2020, 1, 1), 1.0), ("A", None, 2.0), ("A", date(2020, 1, 1), 3.0)], SCHEMA
    )

    found = TickerRows.of(2, Source(frame)).held().rows(iter, SCHEMA).toPandas()

    assert sorted(found["ticker"]) == ["", "A", "A"]
    assert found["date"].isna().sum() == 1


def test_nothing_comes_of_nothing(spark: SparkSession) -> None:
    empty = TickerRows.of(2, Source(spark.createDataFrame([], SCHEMA))).held()

    assert empty.collected(counted, COUNTED).equals(COUNTED.empty_table())


def test_what_a_task_refuses_is_said_in_its_words(spark: SparkSession, rows: pd.DataFrame) -> None:
    def refuse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise InputError("prices.csv is cut short; replace it.")
        yield from batches

    with pytest.raises(InputError, match=r"^prices\.csv is cut short; replace it\.$"), reading():
        TickerRows.of(2, Source(source(spark, rows, 1).frame, refuse)).held().collected(counted, COUNTED)


def test_a_column_that_holds_no_tickers_is_refused_before_each_of_them_is_looked_at(spark: SparkSession) -> None:
    frame = spark.range(0, 500_000, 1, 2).selectExpr("string(id) ticker", "current_date() date", "'file:/p.csv' file")

    with (
        pytest.raises(InputError, match=r"^/p\.csv holds '\d+' and too many other tickers, .* prices\.columns"),
        reading(),
    ):
        TickerRows.of(2, Source(frame)).held().collected(counted, COUNTED)


def test_buckets_are_the_same_in_all_processes_and_about_even() -> None:
    tickers = pa.array([f"TICKER {number}" for number in range(6400)])
    sizes = np.bincount(bucket_of(tickers, 64), minlength=64)

    assert bucket_of(pa.array(["AAPL", "MSFT", "AAPL"]), 64).tolist() == [19, 45, 19]
    assert sizes.min() > 60
    assert sizes.max() < 140


def test_a_small_table_becomes_a_frame_and_comes_back(spark: SparkSession, rows: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(rows, ARROW, preserve_index=False)

    same(frame_of(spark, table, SCHEMA).toPandas(), rows)
    same(collected(Source(frame_of(spark, table, SCHEMA)), ARROW).to_pandas(), rows)
    assert frame_of(spark, table.slice(0, 0), SCHEMA).count() == 0


def test_parts_follow_the_size_of_a_tables_files(
    spark: SparkSession, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.to_parquet(tmp_path / "rows.parquet")
    size, least = (tmp_path / "rows.parquet").stat().st_size, 2 * spark.sparkContext.defaultParallelism
    stored = spark.read.parquet(str(tmp_path / "rows.parquet"))
    assert packages.parts(stored) == least

    monkeypatch.setattr(packages, "_PART_BYTES", size // 20)

    assert packages.parts(stored.where("value > 0")) >= 20
    assert packages.parts(spark.createDataFrame(rows, SCHEMA)) >= least
