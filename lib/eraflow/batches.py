"""Arrow batches cut where a key changes: how workers read rows that Spark has sorted."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def groups(batches: Iterable[pa.RecordBatch], *keys: str) -> Iterator[pa.RecordBatch]:
    """The rows of each key as one batch, from batches in which rows of equal keys follow each other.

    Keys are columns without nulls. Memory holds one group and the batch that is read.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        for low, high in itertools.pairwise(_starts(batch, keys)):
            part = batch.slice(low, high - low)
            if held and any(held[0].column(key)[0] != part.column(key)[0] for key in keys):
                yield _one(held)
                held = []
            held.append(part)
    if held:
        yield _one(held)


def _starts(batch: pa.RecordBatch, keys: tuple[str, ...]) -> list[int]:
    """Where a group begins in the batch, and its end; nothing but 0 of an empty batch."""
    changes = np.zeros(max(batch.num_rows - 1, 0), dtype=bool)
    for key in keys:
        values = batch.column(key)
        changes |= pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return [0, *(np.flatnonzero(changes) + 1).tolist(), *([batch.num_rows] if batch.num_rows else [])]


def _one(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def joined(parts: Iterable[pa.RecordBatch], rows: int = 10_000, size: int = sys.maxsize) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at least so many rows or bytes each but the last.

    A small batch costs as much as a large one.
    """
    held: list[pa.RecordBatch] = []
    count = weight = 0
    for part in parts:
        if part.num_rows:
            held.append(part)
            count, weight = count + part.num_rows, weight + part.nbytes
        if count >= rows or weight >= size:
            yield _one(held)
            held, count, weight = [], 0, 0
    if held:
        yield _one(held)


def numbers(rows: pa.RecordBatch, name: str) -> npt.NDArray[np.float64]:
    """A column of doubles, NaN where it is null."""
    values: npt.NDArray[np.float64] = rows.column(name).to_numpy(zero_copy_only=False)
    return values


def matrix(rows: pa.Array) -> npt.NDArray[np.float64]:
    """Lists of one length as rows of a matrix, NaN where an element is null."""
    values: npt.NDArray[np.float64] = rows.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    return values.reshape(len(rows), -1)  # a copy, which may be written to


def lists(rows: npt.NDArray[np.generic]) -> pa.Array:
    """The rows of a matrix as lists, of its type."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))


def packed(rows: pa.RecordBatch, *keys: str) -> pa.RecordBatch:
    """A row for each combination of the keys, whose other columns are lists in the order of the rows."""
    code = np.zeros(rows.num_rows, dtype=np.int64)
    for key in keys:
        coded = rows.column(key).dictionary_encode()
        code = code * (len(coded.dictionary) + 1) + pc.fill_null(coded.indices, -1).to_numpy() + 1
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    offsets = pa.array(np.append(starts, len(order)), pa.int32())
    columns = [
        rows.column(name).take(pa.array(order[starts]))
        if name in keys
        else pa.ListArray.from_arrays(offsets, rows.column(name).take(pa.array(order)))
        for name in rows.schema.names
    ]
    return pa.record_batch(columns, names=rows.schema.names)


def unpacked(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that `packed` has made one of, without the columns that hold nothing but nulls."""
    held = [name for name in rows.schema.names if rows.column(name).null_count < rows.num_rows]
    lists = [name for name in held if pa.types.is_list(rows.column(name).type)]
    lengths = pc.list_value_length(rows.column(lists[0])).to_numpy() if lists else np.zeros(0, dtype=np.int64)
    at = pa.array(np.repeat(np.arange(len(lengths)), lengths))
    columns = [rows.column(name).flatten() if name in lists else rows.column(name).take(at) for name in held]
    return pa.record_batch(columns, names=held)
