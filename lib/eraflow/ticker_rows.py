"""Daily rows by ticker as packages: each task goes through its tickers one by one, in the order of their dates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from eraflow.batches import groups, joined
from eraflow.errors import InputError
from eraflow.hadoop import shown
from eraflow.packages import SCHEMA, Batches, Source, Work, brought_together, by_bucket, collected, package

Step = Callable[[pa.RecordBatch], Batches]  # the rows of one ticker become those of one or several

_BUCKETS = 8  # for each partition: a task holds the rows of one of them unpacked
_FEWEST = 64  # buckets in all, since a few fall unevenly on partitions
MOST_TICKERS = (
    100_000  # each costs some milliseconds, however few rows it has: a column of other names would take hours
)
_UNEVEN = 4  # times its share of so many is surely too much for a bucket


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
        """The rows of the sources, which have the columns `ticker` and `date`, together in so many parts."""
        buckets = _buckets(partitions)

        def bucket_of_rows(rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
            return bucket_of(rows.column("ticker"), buckets)

        return cls(brought_together(bucket_of_rows, partitions, *sources), partitions)

    def then(self, *steps: Step) -> TickerRows:
        return replace(self, steps=(*self.steps, *steps))

    def held(self) -> TickerRows:
        """The same rows, which Spark keeps on disks once they were made; `frame.unpersist()` lets go of them."""
        opened = self._opened

        def pack(batches: Batches) -> Iterator[pa.RecordBatch]:
            for bucket, tickers in opened(batches):
                whole = [*joined(tickers, rows=1 << 62)]
                yield from (package(bucket, rows) for rows in whole)

        frame = self.frame.mapInArrow(pack, SCHEMA).persist(StorageLevel.DISK_ONLY)
        return TickerRows(frame, self.partitions, is_whole=True)

    def rows(self, work: Work, schema: str | T.StructType) -> DataFrame:
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
        steps, is_whole, most = self.steps, self.is_whole, _UNEVEN * MOST_TICKERS / _buckets(self.partitions)

        def opened(batches: Batches) -> Iterator[tuple[int, Iterator[pa.RecordBatch]]]:
            for bucket, tables in by_bucket(batches):
                rows = tables[0] if is_whole else _in_order(tables, most)
                yield bucket, _stepped(groups(rows.to_batches(), "ticker"), steps)

        return opened


def too_many(where: str, names: str) -> str:
    """What is said of rows with more tickers than there are."""
    return (
        f"{where} holds {names} tickers, more than there are (at most {MOST_TICKERS:,}); name the column that holds "
        "them by --set prices.columns.ticker=NAME."
    )


def _buckets(partitions: int) -> int:
    return max(_FEWEST, _BUCKETS * partitions)


def bucket_of(tickers: pa.Array, buckets: int) -> npt.NDArray[np.int64]:
    """The bucket of each ticker, the same in all processes."""
    coded = pc.fill_null(tickers, "").dictionary_encode()
    names = np.array(coded.dictionary.to_pylist(), dtype=object)
    found = (pd.util.hash_array(names, categorize=False) % buckets).astype(np.int64)
    bucket: npt.NDArray[np.int64] = found[coded.indices.to_numpy()]
    return bucket


def _in_order(tables: list[pa.Table], most: float) -> pa.Table:
    """A bucket's rows by ticker and date. InputError where it has more than so many tickers."""
    rows = pa.concat_tables(tables, promote_options="default")  # sides may say otherwise whether there are nulls
    rows = rows.set_column(rows.schema.get_field_index("ticker"), "ticker", pc.fill_null(rows["ticker"], ""))
    if pc.count_distinct(rows["ticker"]).as_py() > most:
        where = shown(rows["file"][0].as_py() or "") if "file" in rows.column_names else ""
        raise InputError(too_many(where or "the raw prices", f"{rows['ticker'][0].as_py()!r} and too many other"))
    order = pc.sort_indices(rows, [("ticker", "ascending"), ("date", "ascending")])
    return rows.take(order).combine_chunks()


def _stepped(tickers: Batches, steps: tuple[Step, ...]) -> Iterator[pa.RecordBatch]:
    for rows in tickers:
        parts: Batches = (rows,)
        for step in steps:
            parts = [made for part in parts for made in step(part) if made.num_rows]
        yield from parts
