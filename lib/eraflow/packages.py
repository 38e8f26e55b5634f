"""Rows that Spark moves as bytes, so that its Java takes none of them apart.

Each task of Python reads rows and packs them by buckets: a number from 0 on that comes of a row's key. Spark brings the
packages of a bucket together. Rows that pass a Java that has just begun were a third of what prices cost: it interprets
what it does with each (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession

from eraflow.batches import joined

Batches = Iterable[pa.RecordBatch]
Work = Callable[[Batches], Iterator[pa.RecordBatch]]  # what a task makes of rows
BucketOf = Callable[[pa.RecordBatch], npt.NDArray[np.int64]]  # of each row

SCHEMA = "bucket int, rows binary"
_ARROW = pa.schema([("bucket", pa.int32()), ("rows", pa.binary())])
_PACKED, _PACKED_BYTES = 1 << 18, 1 << 26  # rows that a task reads, or their bytes, before it packs them
_PART_BYTES = 1 << 25  # of files; a task gets all packages of its part as one batch, some 70 MB
_UNKNOWN = 1 << 50  # what Spark says of the size of a frame of which it does not know it
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class Source:
    """Rows in any order: what `read` makes in tasks of `frame`."""

    frame: DataFrame
    read: Work = iter


def brought_together(bucket_of: BucketOf, partitions: int, *sources: Source) -> DataFrame:
    """The rows of the sources as packages in so many partitions, each of which has whole buckets one after another.

    The sources may have different columns: a package has those of its source. A task holds the packages of its part,
    and one bucket unpacked.
    """
    frames = [source.frame.mapInArrow(_packing(source.read, bucket_of), SCHEMA) for source in sources]
    together = frames[0]
    for frame in frames[1:]:
        together = together.unionAll(frame)
    return together.repartition(partitions, "bucket").sortWithinPartitions("bucket")


def parts(frame: DataFrame, are_some_days: bool = False) -> int:
    """In how many parts the rows of a table are brought together: two for each slot, or more where its files are large.

    `frame` reads the table alone; of one that joins others Spark does not know the size. All files of its newest
    version count, or those that hold `are_some_days`: Delta looks for them in a job, and again when rows are read.
    """
    query = frame._jdf.queryExecution()
    plan = query.optimizedPlan() if are_some_days else query.analyzed()
    size = int(str(plan.stats().sizeInBytes()))
    least = 2 * frame.sparkSession.sparkContext.defaultParallelism
    return max(least, -(-size // _PART_BYTES)) if size < _UNKNOWN else least


def by_bucket(batches: Batches) -> Iterator[tuple[int, list[pa.Table]]]:
    """In a task: each bucket of `brought_together` with what its packages hold, in no certain order."""
    packages = (pair for batch in batches for pair in zip(batch.column(0).to_pylist(), batch.column(1), strict=True))
    for bucket, its in itertools.groupby(packages, key=lambda pair: pair[0]):
        yield bucket, [pa.ipc.open_stream(rows.as_buffer()).read_all() for _, rows in its]


def package(bucket: int, rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows as one row of SCHEMA."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_OPTIONS) as stream:
        stream.write_batch(rows)
    packages = pa.array([sink.getvalue().to_pybytes()], pa.binary())
    return pa.record_batch([pa.array([bucket], pa.int32()), packages], schema=_ARROW)


def _packing(read: Work, bucket_of: BucketOf) -> Work:
    def pack(batches: Batches) -> Iterator[pa.RecordBatch]:
        for rows in joined(read(batches), _PACKED, _PACKED_BYTES):
            bucket = bucket_of(rows)
            order = np.argsort(bucket, kind="stable")
            ordered, bucket = rows.take(pa.array(order)), bucket[order]
            starts = [*np.flatnonzero(np.diff(bucket, prepend=-1)), len(bucket)]
            for low, high in itertools.pairwise(starts):
                yield package(int(bucket[low]), ordered.slice(low, high - low))

    return pack


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
        yield from (package(0, rows) for rows in joined(read(batches), rows=1 << 62))

    return source.frame.mapInArrow(pack, SCHEMA).select("rows")


def _together(packages: Sequence[Row], schema: pa.Schema) -> pa.Table:
    tables = [pa.ipc.open_stream(row["rows"]).read_all() for row in packages]
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default")


def frame_of(spark: SparkSession, table: pa.Table, schema: str) -> DataFrame:
    """The rows of a small table as a frame of Spark."""
    batches = table.to_batches()
    return spark.range(0, 1, 1, 1).mapInArrow(lambda _: iter(batches), schema)
