"""The daily feature table by kernels: Arrow batches of whole tickers on Spark's workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from eraflow.batches import joined, matrix
from eraflow.features.kernels.compiled import Places, Values
from eraflow.features.kernels.machine import Rows, keeps_state, run
from eraflow.features.kernels.program import Program
from eraflow.packages import Batches, Source, Work
from eraflow.ticker_rows import TickerRows

Days = npt.NDArray[np.datetime64]
ROWS = 4096  # a call: fewer cost more calls, more leave the processor's cache


@dataclass(frozen=True)
class Table:
    """What the worker makes: columns `keep` as they are, and arrays of outputs by name, `floats` of them as floats.

    Rows before `first` are read and not written; of later ones those with states and, by country, those of `days`, of
    all where there are none.
    """

    program: Program
    keep: tuple[str, ...]
    arrays: Mapping[str, Sequence[str]]
    floats: frozenset[str] = frozenset()
    first: date | None = None
    days: Mapping[str, Days] | None = None

    def schema(self, bars: DataFrame) -> T.StructType:
        """What comes out of `bars`."""
        number = {name: T.FloatType() if name in self.floats else T.DoubleType() for name in self.arrays}
        arrays = [T.StructField(name, T.ArrayType(kind)) for name, kind in number.items()]
        return T.StructType(
            [*(bars.schema[name] for name in self.keep), *arrays, T.StructField("states", T.ArrayType(T.DoubleType()))]
        )


def computed(bars: DataFrame, table: Table, parts: int) -> DataFrame:
    """The table of `bars`: `ticker`, `date`, `bar` without holes, the program's inputs, and `states` to go on from.

    A worker holds the packed bars of one of so many parts, a bucket of tickers of these, and a call's rows.
    """
    return TickerRows.of(parts, Source(bars)).rows(_computing(table), table.schema(bars))


def _computing(table: Table) -> Work:
    def of(tickers: Batches) -> Iterator[pa.RecordBatch]:
        for together in joined(tickers, ROWS):
            yield of_tickers(together, table)

    return of


def of_tickers(tickers: pa.RecordBatch, table: Table) -> pa.RecordBatch:
    """The rows of whole tickers, by ticker and date, as rows of the table."""
    bar = tickers.column("bar").to_numpy().astype(np.int64)
    rows = _rows(tickers, bar)
    columns = {name: _numbers(tickers.column(name)) for name in table.program.inputs}
    written = _written(tickers, table, bar)
    count = int(written.sum())
    found = {
        name: np.empty((len(outputs), count), np.float32 if name in table.floats else np.float64)
        for name, outputs in table.arrays.items()
    }
    targets: dict[int, list[npt.NDArray[np.generic]]] = {}
    for name, outputs in table.arrays.items():
        for output, row in zip(outputs, found[name], strict=True):
            targets.setdefault(table.program.outputs[output], []).append(row)
    kept = np.zeros((0, 0))
    for place, values in run(table.program, columns, rows):
        if place < 0:
            kept = values
        for target in targets.get(place, []):
            target[:] = values if count == len(bar) else values[written]
    keys = tickers.select(list(table.keep))
    keys = keys if count == len(bar) else keys.filter(pa.array(written))
    arrays = [_lists(values) for values in found.values()]
    return pa.record_batch(
        [*keys.columns, *arrays, _sparse(kept, keeps_state(bar), written)], names=[*table.keep, *found, "states"]
    )


def _written(tickers: pa.RecordBatch, table: Table, bar: Places) -> npt.NDArray[np.bool_]:
    dates = tickers.column("date").to_numpy(zero_copy_only=False)
    written = np.ones(len(bar), dtype=bool)
    if table.days is not None:
        country = tickers.column("country").dictionary_encode()
        code, written = country.indices.to_numpy(), keeps_state(bar)
        for place, name in enumerate(country.dictionary.to_pylist()):
            written |= (code == place) & np.isin(dates, table.days.get(name, dates[:0]))
    return written if table.first is None else written & (dates >= np.datetime64(table.first))


def _rows(tickers: pa.RecordBatch, bar: Places) -> Rows:
    ends = pc.run_end_encode(tickers.column("ticker")).run_ends.to_numpy().astype(np.int64)
    bounds = np.concatenate([np.zeros(1, np.int64), ends])
    states = tickers.column("states") if "states" in tickers.schema.names else pa.nulls(len(bar))
    if states.null_count == len(bar):  # every ticker begins with its first bar
        return Rows.of(bounds, bar)
    return Rows.of(bounds, bar, np.flatnonzero(states.is_valid()), matrix(states.drop_null()))


def _numbers(column: pa.Array) -> Values:
    numbers: Values = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return numbers


def _lists(values: npt.NDArray[np.generic]) -> pa.Array:
    """Outputs x rows as a list a row, null where a value is NaN."""
    width, count = values.shape
    flat = pa.array(np.ascontiguousarray(values.T).ravel(), from_pandas=True)
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * width), flat)


def _sparse(kept: Values, at: npt.NDArray[np.bool_], written: npt.NDArray[np.bool_]) -> pa.Array:
    """The kept states as a list a row that is written, null at the rows without."""
    flat = pa.array(kept[written[at]].ravel(), from_pandas=True)
    has_states = at[written]
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(has_states, dtype=np.int32) * np.int32(kept.shape[1])])
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~has_states))
