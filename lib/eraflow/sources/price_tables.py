"""The columns of a CSV or parquet file as its writer left them: first its header, then its rows, part by part."""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from eraflow.errors import InputError
from eraflow.hadoop import shown
from eraflow.sources.files import damaged, is_text, unreadable
from eraflow.sources.price_formats import Header
from eraflow.sources.price_values import constant

Columns = dict[str, pa.Array]  # by the file's names, all of one length

TICKER = "Ticker"  # what a wide table's tickers become a column of
_FIELDS = ("open", "high", "low", "close", "adj close", "volume", "dividends", "stock splits", "capital gains")
_DELIMITERS = ",;\t|"
_HEAD = 1 << 20  # bytes that hold the header of a file, however many tickers are side by side in it
_BLOCK = 1 << 23  # bytes of a CSV that are read at once
_ROWS = 1 << 16  # rows of a parquet file that are read at once
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_INDEX = "__index_level_"  # how pandas saves an index without a name
_TIMES = (pa.types.is_date, pa.types.is_timestamp)


@dataclass(frozen=True)
class Layout:
    """What files have in common that are read alike."""

    names: tuple[str, ...]  # columns in the file's order
    types: tuple[pa.DataType, ...]
    keys: tuple[str, ...]  # names of `name=value` folders in the path
    fields: tuple[tuple[str, str], ...] = ()  # of a wide table: field and ticker of each column but the first
    header_lines: int = 0  # CSV
    delimiter: str = ","

    @property
    def header(self) -> Header:
        if self.fields:
            names = (self.names[0], TICKER, *dict.fromkeys(name for name, _ in self.fields))
            return Header((*names, *self.keys), wide=True)
        index = {name: kind for name, kind in zip(self.names, self.types, strict=True) if name.startswith(_INDEX)}
        days = [name for name, kind in index.items() if any(holds(kind) for holds in _TIMES)]
        return Header((*self.names, *self.keys), days=tuple(days or (index if len(index) == 1 else ())))

    def type_of(self, name: str) -> pa.DataType:
        """The type of a column by a name of the header."""
        if self.fields:
            place = next((n for n, (field, _) in enumerate(self.fields, 1) if field == name), None)
            return self.types[place if place else 0] if name != TICKER else pa.string()
        return self.types[self.names.index(name)] if name in self.names else pa.string()


@dataclass(frozen=True)
class Part:
    """A file, or some row groups of a parquet file."""

    path: str
    first: int = 0
    last: int | None = None  # after it; None = to the end


def layout_of(path: str, file: BinaryIO) -> Layout:
    """What the head of a file says. InputError: it is empty, cut short, or of another kind than its name."""
    try:
        is_empty = not file.read(1)
        file.seek(0)
        found = Layout((), (), ()) if is_empty else _of_csv(path, file) if is_text(path) else _of_parquet(file)
    except UnicodeDecodeError:
        raise unreadable(path, "it is no UTF-8 text") from None
    except (pa.ArrowException, OSError, EOFError, csv.Error) as error:
        raise unreadable(path, _cause(error)) from None
    if not found.names:
        raise InputError(f"{shown(path)} is empty; replace it or leave it out.")
    return found


def row_groups(file: BinaryIO) -> list[int]:
    """The bytes that each row group of a parquet file comes to when its compression is undone."""
    found = pa.parquet.ParquetFile(file).metadata
    return [found.row_group(n).total_byte_size for n in range(found.num_row_groups)]


def _cause(error: Exception) -> str:
    text = str(error).split("\n")[0].rstrip(".")
    if "magic bytes" in text or "smaller than the minimum file footer" in text:
        return "the file is not a Parquet file"
    return text[:1].lower() + text[1:200] if text else type(error).__name__


def _keys(path: str) -> dict[str, str | None]:
    """What `name=value` folders of a path say."""
    parts = (part.partition("=") for part in path.split("/")[:-1])
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, equals, value in parts if equals}


def _of_parquet(file: BinaryIO) -> Layout:
    schema = pa.parquet.read_schema(file)
    return _with_fields(Layout(tuple(schema.names), tuple(schema.types), ()))


def _with_fields(found: Layout) -> Layout:
    """A table of two-level columns, as pandas writes them: "('Close', 'AAPL')"."""
    pairs: dict[str, tuple[str, str]] = {}
    for name in found.names:
        try:
            pair = ast.literal_eval(name) if name.startswith("('") else None
        except (ValueError, SyntaxError):
            pair = None
        if isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(level, str) for level in pair):
            pairs[name] = pair
    index = [name for name in found.names if name not in pairs or not all(pairs[name])]
    fields = _ordered([pairs[name] for name in found.names if name not in index])
    if not fields or len(index) != 1:
        return found
    order = [found.names.index(index[0]), *(n for n, name in enumerate(found.names) if name != index[0])]
    names = tuple(found.names[n] for n in order)
    return Layout(names, tuple(found.types[n] for n in order), found.keys, tuple(fields))


def _ordered(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of field and ticker, whichever comes first; none if neither level names fields."""
    for field in (0, 1):
        if pairs and all(pair[field].casefold() in _FIELDS for pair in pairs):
            return [(pair[field], pair[1 - field]) for pair in pairs]
    return []


def _of_csv(path: str, file: BinaryIO) -> Layout:
    with pa.input_stream(file, compression="gzip" if path.lower().endswith(".gz") else None) as stream:
        head = stream.read(_HEAD)
    text = head.decode("utf-8-sig", errors="strict" if len(head) < _HEAD else "ignore")
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=lambda one: (first.count(one), one == ","))
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    for row in lines:
        if any(cell.strip() for cell in row):
            rows.append((lines.line_num, [cell.strip() for cell in row]))
        if len(rows) == 3:
            break
    if not rows:
        return Layout((), (), ())
    end, names = rows[0]
    fields: list[tuple[str, str]] = []
    if len(rows) == 3 and len({len(row) for _, row in rows}) == 1 and rows[2][1][0] and not any(rows[2][1][1:]):
        fields = _ordered(list(zip(rows[0][1][1:], rows[1][1][1:], strict=True)))
        end, names = (rows[2][0], [rows[2][1][0], *map(str, fields)]) if fields else (end, names)
    return Layout(tuple(names), (pa.string(),) * len(names), (), tuple(fields), end, delimiter)


def with_keys(layout: Layout, path: str) -> Layout:
    """The layout with the names of `name=value` folders; a column of the same name in the file goes before."""
    keys = tuple(name for name in _keys(path) if name not in layout.names)
    return Layout(layout.names, layout.types, keys, layout.fields, layout.header_lines, layout.delimiter)


class _Lines:
    """CSV lines with fewer or more values than there are names, as they come up."""

    def __init__(self, layout: Layout, short: bool) -> None:
        self._layout, self._short = layout, short
        self._texts: list[str] = []

    def aside(self, row: Any) -> str:
        """What pyarrow calls for each of them."""
        if row.text.strip():
            self._texts.append(row.text)
        return "skip"

    def taken(self) -> tuple[Columns, list[str]]:
        """The rows among them, if rows may lack their last values, and the other lines; both are gone then."""
        texts, self._texts = self._texts, []
        names, cut, broken = self._layout.names, [], []
        for text in texts:
            row = next(csv.reader([text], delimiter=self._layout.delimiter))
            if self._short and len(names) - 2 <= len(row) < len(names):
                cut.append(row + [""] * (len(names) - len(row)))
            else:
                broken.append(text)
        return {name: pa.array([row[n] for row in cut], pa.string()) for n, name in enumerate(names)}, broken


def rows(
    part: Part, file: BinaryIO, layout: Layout, names: Iterable[str], short: bool
) -> Iterator[tuple[Columns, list[str]]]:
    """The columns `names` of a file's rows, some ten thousand at once, and the lines that are no rows.

    With `short` a line may lack its last values, which are empty then. InputError: the file is damaged, or written in
    a way that cannot be read, which is told.
    """
    keys = _keys(part.path)
    try:
        parts = _csv_rows(part, file, layout, short) if is_text(part.path) else _parquet_rows(part, file, layout, names)
        for columns, broken in parts:
            tables = _long(columns, layout.fields) if layout.fields else [columns]
            for table in tables:
                length = len(next(iter(table.values()))) if table else 0
                yield {**table, **{name: constant(keys[name], length) for name in layout.keys}}, broken
                broken = []
    except pa.ArrowNotImplementedError as error:
        raise unreadable(part.path, _cause(error)) from None
    except (pa.ArrowException, OSError, EOFError) as error:
        if "UTF8" in str(error):
            raise unreadable(part.path, "it is no UTF-8 text") from None
        raise InputError(damaged(shown(part.path))) from None


def _parquet_rows(
    part: Part, file: BinaryIO, layout: Layout, names: Iterable[str]
) -> Iterator[tuple[Columns, list[str]]]:
    source = pa.parquet.ParquetFile(file)
    groups = range(part.first, source.metadata.num_row_groups if part.last is None else part.last)
    wanted = list(layout.names) if layout.fields else [name for name in layout.names if name in set(names)]
    for batch in source.iter_batches(batch_size=_ROWS, row_groups=list(groups), columns=wanted, use_threads=False):
        yield {name: batch.column(name) for name in layout.names if name in batch.schema.names}, []


def _csv_rows(part: Part, file: BinaryIO, layout: Layout, short: bool) -> Iterator[tuple[Columns, list[str]]]:
    names = [f"c{n}" for n in range(len(layout.names))]  # those of a header may repeat
    lines = _Lines(layout, short)
    compression = "gzip" if part.path.lower().endswith(".gz") else None
    try:
        reader = pa.csv.open_csv(
            pa.input_stream(file, compression=compression),
            read_options=pa.csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, skip_rows=layout.header_lines, column_names=names
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=lines.aside
            ),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid as error:
        if "Could not skip initial" in str(error):  # a header without an end of line, and nothing after it
            return
        raise
    for batch in reader:
        swallowed = _swallowed(batch, layout)
        sound = batch.take(pa.array(sorted(set(range(len(batch))) - set(swallowed)))) if swallowed else batch
        yield dict(zip(layout.names, sound.columns, strict=True)), list(swallowed.values())
    yield lines.taken()


def _swallowed(batch: pa.RecordBatch, layout: Layout) -> dict[int, str]:
    """Rows of a CSV with a value that holds whole lines of the file, and that value: a quote was not closed."""
    found = {}
    for column in batch.columns:
        broken = pc.match_substring(column, "\n")
        for row in pc.indices_nonzero(broken).to_pylist():
            text = column[row].as_py()
            if any(line.count(layout.delimiter) >= len(layout.names) - 1 for line in text.split("\n")[1:]):
                found[row] = text
    return found


def _long(columns: Mapping[str, pa.Array], fields: Sequence[tuple[str, str]]) -> Iterator[Columns]:
    """A wide table, one ticker after the other; where all of a ticker's values are empty it has no row."""
    first, *values = columns.items()
    by_ticker: dict[str, Columns] = {}
    for (field, ticker), (_, column) in zip(fields, values, strict=True):
        by_ticker.setdefault(ticker, {})[field] = column
    for ticker, its in by_ticker.items():
        observed = [_observed(column) for column in its.values()]
        is_observed = observed[0]
        for other in observed[1:]:
            is_observed = pc.or_(is_observed, other)
        table: Columns = {first[0]: first[1], TICKER: constant(ticker, len(first[1])), **its}
        yield {name: column.filter(is_observed) for name, column in table.items()}


def _observed(column: pa.Array) -> pa.Array:
    observed = column.is_valid()
    if pa.types.is_floating(column.type):
        return pc.and_(observed, pc.invert(pc.is_nan(column.fill_null(float("nan")))))
    return pc.and_(observed, pc.not_equal(column.fill_null(""), "")) if pa.types.is_string(column.type) else observed
