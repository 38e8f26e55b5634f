"""Daily rows by ticker that Spark moves and holds as bytes, so that its Java takes none of them apart.

Each task of Python reads rows, and packs them by buckets of tickers. Spark brings the packages of a bucket together,
and each task goes through its tickers one by one, in the order of their dates. Rows that pass a Java that has just
begun were a third of what prices cost: it interprets what it does with each (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession

from eraflow.batches import groups, joined
from eraflow.errors import InputError
from eraflow.sources.files import shown

Batches = Iterable[pa.RecordBatch]
Work = Callable[[Batches], Iterator[pa.RecordBatch]]  # what a task makes of rows
Step = Callable[[pa.RecordBatch], Batches]  # the rows of one ticker become those of one or several

_SCHEMA = "bucket int, rows binary"
_ARROW = pa.schema([("bucket", pa.int32()), ("rows", pa.binary())])
_PACKED = 1 << 18  # rows that a task reads before it packs them
_BUCKETS = 8  # for each partition: a task holds the rows of one of them unpacked
_FEWEST = 64  # buckets in all, since a few fall unevenly on partitions
MOST_TICKERS = (
    100_000  # each costs some milliseconds, however few rows it has: a column of other names would take hours
)
_UNEVEN = 4  # times its share of so many is surely too much for a bucket
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class Source:
    """Rows in any order, with the columns `ticker` and `date` among others: what `read` makes in tasks of `frame`."""

    frame: DataFrame
    read: Work = iter


@dataclass(frozen=True)
class TickerRows:
    """The rows of each ticker in the order of their dates, which come out of the packages `frame` by `steps`.

    A ticker without a name is called "". `is_whole` says that each package holds whole tickers in their order.
    """

    frame: DataFrame
    partitions: int
    steps: tuple[Step, ...] = ()
    is_whole: bool = False

    @classmethod
    def of(cls, partitions: int, *sources: Source) -> TickerRows:
        """The rows of the sources together, in so many parts, each of which is held in memory as packages."""
        buckets = _buckets(partitions)
        frames = [source.frame.mapInArrow(_packing(source.read, buckets), _SCHEMA) for source in sources]
        together = frames[0]
        for frame in frames[1:]:
            together = together.unionAll(frame)
        return cls(together.repartition(partitions, "bucket"), partitions)

    def then(self, *steps: Step) -> TickerRows:
        return replace(self, steps=(*self.steps, *steps))

    def held(self) -> TickerRows:
        """The same rows, which Spark keeps on disks once they were made; `frame.unpersist()` lets go of them."""
        opened = self._opened

        def pack(batches: Batches) -> Iterator[pa.RecordBatch]:
            for bucket, tickers in opened(batches):
                whole = [*joined(tickers, rows=1 << 62)]
                yield from (_package(bucket, rows) for rows in whole)

        frame = self.frame.mapInArrow(pack, _SCHEMA).persist(StorageLevel.DISK_ONLY)
        return TickerRows(frame, self.partitions, is_whole=True)

    def rows(self, work: Work, schema: str) -> DataFrame:
        """What `work` makes of a task's tickers, one batch each, as rows of Spark."""
        return self.frame.mapInArrow(self._working(work), schema)

    def collected(self, work: Work, schema: pa.Schema) -> pa.Table:
        """What `work` makes of each task's tickers, rows of this schema, together on the driver."""
        return collected(self.source(work), schema)

    def source(self, work: Work) -> Source:
        """What `work` makes of a task's tickers, to be put beside other rows."""
        return Source(self.frame, self._working(work))

    def _working(self, work: Work) -> Work:
        opened = self._opened

        def run(batches: Batches) -> Iterator[pa.RecordBatch]:
            return work(ticker for _, tickers in opened(batches) for ticker in tickers)

        return run

    @property
    def _opened(self) -> Callable[[Batches], Iterator[tuple[int, Iterator[pa.RecordBatch]]]]:
        # A task gets these, and no frame.
        steps, is_whole, buckets = self.steps, self.is_whole, _buckets(self.partitions)

        def opened(batches: Batches) -> Iterator[tuple[int, Iterator[pa.RecordBatch]]]:
            for bucket, rows in _unpacked(batches) if is_whole else _gathered(batches, buckets):
                yield bucket, _stepped(groups([rows], "ticker"), steps)

        return opened


def collected(source: Source, schema: pa.Schema) -> pa.Table:
    """All rows of a source, of this schema, on the driver; whoever calls knows that they are few."""
    return _together(_packages_of(source).collect(), schema)


class Collecting:
    """The rows of a source on their way to the driver, while it does something else: they are read once it is left.

    The plan is made at once and not in the thread: where two threads import at once, Python 3.11 can stop for ever
    (`session`).
    """

    def __init__(self, source: Source, schema: pa.Schema) -> None:
        self._frame, self._schema, self._pool = _packages_of(source), schema, ThreadPoolExecutor(1)

    def __enter__(self) -> Collecting:
        self._packages = self._pool.submit(self._frame.collect)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def table(self) -> pa.Table:
        """The rows, once they are there. Raises what Spark has raised."""
        return _together(self._packages.result(), self._schema)


def _packages_of(source: Source) -> DataFrame:
    """All rows of each task as one package: as rows of Spark each would be taken apart."""
    read = source.read

    def pack(batches: Batches) -> Iterator[pa.RecordBatch]:
        yield from (_package(0, rows) for rows in joined(read(batches), rows=1 << 62))

    return source.frame.mapInArrow(pack, _SCHEMA).select("rows")


def _together(packages: Sequence[Row], schema: pa.Schema) -> pa.Table:
    tables = [pa.ipc.open_stream(row["rows"]).read_all() for row in packages]
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default")


def too_many(where: str, names: str) -> str:
    """What is said of rows with more tickers than there are."""
    return (
        f"{where} holds {names} tickers, more than there are (at most {MOST_TICKERS:,}); name the column that holds "
        "them by --set prices.columns.ticker=NAME."
    )


def frame_of(spark: SparkSession, table: pa.Table, schema: str) -> DataFrame:
    """The rows of a small table as a frame of Spark."""
    batches = table.to_batches()
    return spark.range(0, 1, 1, 1).mapInArrow(lambda _: iter(batches), schema)


def _buckets(partitions: int) -> int:
    return max(_FEWEST, _BUCKETS * partitions)


def _packing(read: Work, buckets: int) -> Work:
    def pack(batches: Batches) -> Iterator[pa.RecordBatch]:
        for rows in joined(read(batches), rows=_PACKED):
            named = rows.set_column(
                rows.schema.get_field_index("ticker"), "ticker", pc.fill_null(rows.column("ticker"), "")
            )
            bucket = bucket_of(named.column("ticker"), buckets)
            order = np.argsort(bucket, kind="stable")
            ordered, bucket = named.take(pa.array(order)), bucket[order]
            starts = [*np.flatnonzero(np.diff(bucket, prepend=-1)), len(bucket)]
            for low, high in itertools.pairwise(starts):
                yield _package(int(bucket[low]), ordered.slice(low, high - low))

    return pack


def bucket_of(tickers: pa.Array, buckets: int) -> npt.NDArray[np.int64]:
    """The bucket of each ticker, the same in all processes."""
    coded = tickers.dictionary_encode()
    names = np.array(coded.dictionary.to_pylist(), dtype=object)
    found = (pd.util.hash_array(names, categorize=False) % buckets).astype(np.int64)
    bucket: npt.NDArray[np.int64] = found[coded.indices.to_numpy()]
    return bucket


def _package(bucket: int, rows: pa.RecordBatch) -> pa.RecordBatch:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_OPTIONS) as stream:
        stream.write_batch(rows)
    packages = pa.array([sink.getvalue().to_pybytes()], pa.binary())
    return pa.record_batch([pa.array([bucket], pa.int32()), packages], schema=_ARROW)


def _packages(batches: Batches) -> Iterator[tuple[int, pa.Buffer]]:
    for batch in batches:
        for bucket, rows in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
            yield bucket, rows.as_buffer()


def _unpacked(batches: Batches) -> Iterator[tuple[int, pa.RecordBatch]]:
    for bucket, package in _packages(batches):
        yield bucket, pa.ipc.open_stream(package).read_next_batch()


def _gathered(batches: Batches, buckets: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Each bucket's rows by ticker and date; packages wait packed for the others of theirs."""
    most = _UNEVEN * MOST_TICKERS / buckets
    held: dict[int, list[pa.Buffer]] = {}
    for bucket, package in _packages(batches):
        held.setdefault(bucket, []).append(package)
    for bucket in sorted(held):
        tables = [pa.ipc.open_stream(package).read_all() for package in held.pop(bucket)]
        rows = pa.concat_tables(tables, promote_options="default")  # sides may say otherwise whether there are nulls
        if pc.count_distinct(rows["ticker"]).as_py() > most:
            where = shown(rows["file"][0].as_py() or "") if "file" in rows.column_names else ""
            raise InputError(too_many(where or "the raw prices", f"{rows['ticker'][0].as_py()!r} and too many other"))
        order = pc.sort_indices(rows, [("ticker", "ascending"), ("date", "ascending")])
        yield bucket, rows.take(order).combine_chunks().to_batches()[0]


def _stepped(tickers: Batches, steps: tuple[Step, ...]) -> Iterator[pa.RecordBatch]:
    for rows in tickers:
        parts: Batches = (rows,)
        for step in steps:
            parts = [made for part in parts for made in step(part) if made.num_rows]
        yield from parts
