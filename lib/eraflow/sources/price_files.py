"""Daily price files of many kinds as rows of one kind, whose faults can still be named by file and column.

The driver reads the head of each file and finds out what kind it is; tasks read the rows through pyarrow, which takes
more kinds of parquet and CSV than Spark's own readers do.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from eraflow.config import Prices
from eraflow.errors import InputError
from eraflow.hadoop import shown
from eraflow.packages import Source
from eraflow.session import slots
from eraflow.sources import price_formats, price_tables
from eraflow.sources.files import (
    SourceFile,
    is_local,
    is_text,
    listed,
    opened,
    opened_here,
    opened_in_store,
    unreadable,
)
from eraflow.sources.price_actions import TotalReturn, actions_of
from eraflow.sources.price_formats import Reading, reading_of, ticker_of
from eraflow.sources.price_tables import Columns, Layout, Part, layout_of, row_groups, with_keys
from eraflow.sources.price_values import EMPTY, constant, days, fits, numbers, plain, words
from eraflow.sources.raw_prices import COLUMNS, RawPrices

# What a task gives: beside the columns of raw prices what a total return is built from, and of prices of which kind.
_READ: Mapping[str, pa.DataType] = {
    **COLUMNS, "dividend": pa.float64(), "split": pa.float64(), "builds": pa.string(),
}  # fmt: skip
_SCHEMA = pa.schema([*_READ.items()])
_KINDS: Mapping[pa.DataType, str] = {pa.float64(): "number", pa.date32(): "date", pa.string(): "name"}
_DEFAULTS = {"sector": "all", "country": "", "currency": ""}
_SHOWN = 200  # characters of a line that is no row: one with a quote that is never closed goes on to the end
_THREADS = 16  # that read heads of files side by side
_LARGEST = (1 << 31) - 1  # bytes of a file that Spark hands over whole
_PART = 1 << 24  # bytes of files that one task reads, and holds the rows of, if files and row groups allow


@dataclass(frozen=True)
class Group:
    """Files that are read alike."""

    layout: Layout
    reading: Reading
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class Survey:
    """What the files of `prices.path` are, by their heads."""

    groups: tuple[Group, ...]

    @property
    def messages(self) -> tuple[str, ...]:
        """A sentence for each kind of export that was recognised."""
        return price_formats.messages(
            [group.reading for group in self.groups], [len(group.files) for group in self.groups]
        )

    @property
    def multiplies(self) -> bool:
        """Whether close times volume is traded money, free of later splits and dividends."""
        return all(group.reading.format.multiplies for group in self.groups)


def files(spark: SparkSession, config: Prices) -> list[SourceFile]:
    """The files that `prices.path` names (a file, a folder, a glob; any store that Spark reads), sorted by path."""
    if not config.path:
        raise InputError("prices.path is not set: name a parquet or CSV file with --set prices.path=FILE.")
    with opened(f"prices.path: {config.path} cannot be opened", "check the path"):
        found = listed(spark, config.path)
    if not found:
        raise InputError(f"prices.path: there is no parquet or CSV file at {config.path}; check the path.")
    if len({is_text(file.path) for file in found}) > 1:
        raise InputError(f"prices.path: {config.path} holds parquet and CSV files; name one kind, e.g. by *.parquet.")
    return found


def surveyed(spark: SparkSession, config: Prices) -> Survey:
    """What kind each file is. InputError for a file that cannot be read or lacks a column."""

    def layout(file: SourceFile) -> Layout:
        with opened(f"{shown(file.path)} cannot be opened", "replace it or leave it out"), _opened(spark, file) as head:
            return with_keys(layout_of(file.path, head), file.path)

    found = files(spark, config)
    with ThreadPoolExecutor(_THREADS) as pool:
        layouts = list(pool.map(layout, found))
    groups: dict[Layout, list[SourceFile]] = {}
    for file, its in zip(found, layouts, strict=True):
        groups.setdefault(its, []).append(file)
    return Survey(tuple(_group(its, alike, config) for its, alike in groups.items()))


def _opened(spark: SparkSession, file: SourceFile) -> BinaryIO:
    try:
        return opened_here(file.path) if is_local(file.path) else opened_in_store(spark, file)
    except OSError as error:
        raise unreadable(file.path, str(error.strerror).lower()) from None


def _group(layout: Layout, alike: Sequence[SourceFile], config: Prices) -> Group:
    path = alike[0].path
    reading = reading_of(layout.header, config, path)
    for ours, theirs in reading.columns.items():
        kind = layout.type_of(theirs)
        if not fits(kind, _READ[ours]):
            raise InputError(
                f"{shown(path)}: column {theirs!r} is of type {'boolean' if pa.types.is_boolean(kind) else kind}, "
                f"which is no {_KINDS[_READ[ours]]}; write it as one."
            )
    for file in alike:
        pattern = reading.format.ticker_from
        if "ticker" not in reading.columns and pattern and not ticker_of(file.path, pattern):
            raise InputError(
                f"{shown(file.path)} has no column of tickers, and its name does not fit prices.ticker_from "
                f"({pattern}); give a pattern whose first group is the ticker, or map a column with "
                "--set prices.columns.ticker=NAME."
            )
    return Group(layout, reading, tuple(alike))


def read(spark: SparkSession, config: Prices, tell: Callable[[str], None] = lambda _: None) -> RawPrices:
    """The rows of all files, read when they are needed.

    InputError for a file or a column that is missing. `tell` gets a sentence for each kind of export recognised.
    """
    survey = surveyed(spark, config)
    for sentence in survey.messages:
        tell(sentence)
    found = [file for group in survey.groups for file in group.files]
    source = _read_here(spark, survey) if is_local(found[0].path) else _read_in_store(spark, survey)
    builds = any(group.reading.builds_total_return for group in survey.groups)
    steps = (TotalReturn(actions_of(spark, config.actions)),) if builds else ()
    return RawPrices(source, _partitions(spark, found), steps, survey.groups[0].reading.columns)


def _read_here(spark: SparkSession, survey: Survey) -> Source:
    """Each task opens the files of its share itself, a few row groups of a parquet file at a time."""
    found = [file for group in survey.groups for file in group.files]
    share = min(_PART, sum(file.size for file in found) // slots(spark) + 1)
    parts = [
        (part, replace(group, files=()))
        for group in survey.groups
        for file in group.files
        for part in parts_of(file, share)
    ]
    tasks = min(len(parts), _partitions(spark, found))
    shares = [parts[n::tasks] for n in range(tasks)]

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for part, group in shares[task]:
                    try:
                        with opened_here(part.path) as file:
                            yield from typed_rows(part, file, group)
                    except FileNotFoundError:
                        raise InputError(
                            f"{shown(part.path)} cannot be opened by a task: it was removed, or is on the driver's "
                            "machine alone; put it where all machines see it."
                        ) from None

    return Source(spark.range(0, tasks, 1, tasks), work)


def _partitions(spark: SparkSession, found: Sequence[SourceFile]) -> int:
    """In how many parts the rows of files are read and held: each what one task may read, and at least one a slot."""
    return max(slots(spark), sum(file.size for file in found) // _PART)


def parts_of(file: SourceFile, share: int) -> Iterator[Part]:
    """Pieces of a file that tasks can read apart: of parquet row groups, of about `share` bytes of the file."""
    if is_text(file.path) or file.size <= share:
        yield Part(file.path)
        return
    with opened_here(file.path) as opened_file:
        sizes = row_groups(opened_file)
    first, held = 0, 0.0
    for group, size in enumerate(sizes):
        held += size * file.size / max(1, sum(sizes))
        if held >= share or group == len(sizes) - 1:
            yield Part(file.path, first, group + 1)
            first, held = group + 1, 0.0


def _read_in_store(spark: SparkSession, survey: Survey) -> Source:
    """Spark fetches each file whole, with the rights that it has, and hands it to a task."""
    groups = {file.path: replace(group, files=()) for group in survey.groups for file in group.files}
    for file in (file for group in survey.groups for file in group.files if file.size > _LARGEST):
        raise InputError(
            f"{file.path} is larger than the 2 GiB that a file of this store may have; write it as several files, or "
            "mount the store and name the mounted path."
        )
    content = spark.read.format("binaryFile").option("__globPaths__", "false").load(list(groups))

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path, content in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
                yield from typed_rows(Part(path), io.BytesIO(content.as_buffer()), groups[path])

    return Source(content.select("path", "content"), work)


def typed_rows(part: Part, file: BinaryIO, group: Group) -> Iterator[pa.RecordBatch]:
    """The rows of a file of the group, some ten thousand at once, with the columns that tasks give."""
    reading = group.reading
    for columns, broken in price_tables.rows(
        part, file, group.layout, reading.columns.values(), reading.format.short_rows
    ):
        length = len(next(iter(columns.values())))
        if length:
            try:
                typed = _typed(columns, length, part.path, reading)
            except pa.ArrowInvalid:
                raise unreadable(part.path, "a column of words is no UTF-8 text") from None
            yield typed
        if broken:
            yield _broken(broken, part.path)


def _typed(columns: Columns, length: int, path: str, reading: Reading) -> pa.RecordBatch:
    """Rows with the columns of _READ; of a row's values that cannot be read the first stands in `unreadable`."""
    found: Columns = {}
    faults: list[tuple[str, pa.Array, pa.Array]] = []
    kind = reading.format
    for ours, theirs in reading.columns.items():
        given = plain(columns[theirs])
        if _READ[ours] == pa.date32():
            found[ours] = days(given, reading.date_formats, kind.timezone)
        elif _READ[ours] == pa.float64():
            found[ours] = numbers(given, kind.numbers)
        else:
            found[ours] = words(given)
        faults.append((ours, given, found[ours]))
    if "ticker" not in found and kind.ticker_from:
        found["ticker"] = constant(ticker_of(path, kind.ticker_from), length)
    if kind.short_rows:
        found["volume"] = pc.fill_null(found["volume"], 0.0)
    _adjust(found, reading)
    for name, value in _DEFAULTS.items():
        found.setdefault(name, constant(value, length))
    found["file"] = constant(path, length)
    found["unreadable"] = _unreadable(faults, length)
    found["builds"] = constant(kind.adjusted if reading.builds_total_return else None, length)
    return _batch(found, length)


def _adjust(found: Columns, reading: Reading) -> None:
    """Makes open, high, low and close of one kind, beside an adjusted close."""
    kind = reading.format.adjusted
    if kind == "all" and "adjusted_close" not in found:
        found["adjusted_close"] = found["close"]
    if kind == "all-with-close":
        scale = pc.divide(found["close"], found["adjusted_close"])
        for name in ("open", "high", "low"):
            found[name] = pc.multiply(found[name], scale)


def _unreadable(faults: Sequence[tuple[str, pa.Array, pa.Array]], length: int) -> pa.Array:
    column, value = pa.nulls(length, pa.string()), pa.nulls(length, pa.string())
    for ours, given, typed in faults:
        lost = pc.and_(given.is_valid(), typed.is_null())
        if not pc.any(lost).as_py():
            continue
        text = _text(given)
        is_empty = pc.is_in(pc.utf8_lower(text), pa.array(EMPTY if _READ[ours] == pa.float64() else ("", "nan")))
        wrong = pc.and_(pc.and_(lost, pc.invert(is_empty)), column.is_null())
        column = pc.if_else(wrong, pa.scalar(ours), column)
        value = pc.if_else(wrong, text, value)
    return pa.StructArray.from_arrays([column, value], ["column", "value"], mask=column.is_null())


def _text(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:  # a time beyond what a calendar can say
        return column.view(pa.int64()).cast(pa.string())


def _broken(lines: Sequence[str], path: str) -> pa.RecordBatch:
    """Lines that are no rows, to be named."""
    faults = pa.array([{"column": "line", "value": line[:_SHOWN]} for line in lines], _READ["unreadable"])
    return _batch({"file": constant(path, len(lines)), "unreadable": faults}, len(lines))


def _batch(found: Columns, length: int) -> pa.RecordBatch:
    columns = [found[name] if name in found else pa.nulls(length, kind) for name, kind in _READ.items()]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)
