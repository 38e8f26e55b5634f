"""Faulty rows of a ticker's raw prices, in arrays: which check each fails, what a year holds, which rows are sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eraflow.batches import joined, numbers
from eraflow.sources.raw_prices import NAMES, NUMBERS

Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

# (check, column) in the order in which a row is held against them; a row's `fault` is the place of the first that it
# fails, SOUND if none.
FAULTS: tuple[tuple[str, str], ...] = (
    ("unreadable", ""), ("empty", ""), ("missing", "ticker"), ("missing", "date"),
    *(("incomplete", name) for name in (*NUMBERS, *NAMES)),
    *(("impossible", name) for name in NUMBERS),
    *(("zero", name) for name in ("close", "adjusted_close")),
    *(("zero_range", name) for name in ("open", "high", "low")),
    ("without a rate", "currency"),
)  # fmt: skip
SOUND = -1
REPEAT, REPEATED = "repeat", "repeated"
# What the rows of a ticker and year are, by the check that they fail (null = sound): how many, an order-free hash of
# them, and the first of them. Of REPEAT and REPEATED, whose rows are sound by themselves, there is no hash.
SEEN = pa.schema([
    ("ticker", pa.string()), ("year", pa.int32()), ("check", pa.string()), ("rows", pa.int64()), ("hash", pa.int64()),
    ("date", pa.date32()), ("column", pa.string()), ("value", pa.string()), ("file", pa.string()),
])  # fmt: skip
SEEN_SQL = """ticker string, year int, check string, rows bigint, hash bigint, date date, column string, value string,
    file string"""
_NOTHING = np.uint64(0x9E3779B97F4A7C15)  # the hash of a name that is not there


def check_of(fault: int) -> str | None:
    """The name of the check that a row with this fault fails."""
    if fault == SOUND:
        return None
    name = FAULTS[fault][0]
    return "impossible" if name == "zero" else name


def marked(rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
    """The rows with `fault int`: the first of FAULTS that each has by itself, or SOUND. They have `rate`, too."""
    found = {name: numbers(rows, name) for name in NUMBERS}
    lacks = {name: np.isnan(values) for name, values in found.items()}
    fault = np.full(rows.num_rows, SOUND, dtype=np.int16)
    with np.errstate(invalid="ignore"):
        # The first that a row fails is put last.
        for place in reversed(range(len(FAULTS))):
            fault[_fails(*FAULTS[place], rows, found, lacks)] = place
    return (rows.append_column("fault", pa.array(fault)),)


def _fails(
    check: str,
    column: str,
    rows: pa.RecordBatch,
    values: Mapping[str, npt.NDArray[np.float64]],
    lacks: Mapping[str, Flags],
) -> Flags:
    found: Flags
    if check == "empty":
        found = np.logical_and.reduce([lacks[name] for name in NUMBERS if name != "volume"])
    elif check == "unreadable":
        found = rows.column("unreadable").is_valid().to_numpy(zero_copy_only=False)
    elif check == "without a rate":
        found = rows.column("rate").is_null().to_numpy(zero_copy_only=False)
    elif check == "missing" and column == "ticker":
        found = np.full(rows.num_rows, not rows.column("ticker")[0].as_py())
    elif check == "impossible":
        found = np.isinf(values[column]) | (values[column] < 0)
    elif check in ("zero", "zero_range"):
        found = values[column] == 0
    else:
        found = lacks[column] if column in lacks else rows.column(column).is_null().to_numpy(zero_copy_only=False)
    return found


def seen(tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What each ticker's `marked` rows hold, as rows of SEEN."""
    return joined(made for rows in tickers for made in _seen(rows))


def _seen(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    hashes = row_hashes(rows)
    fault = rows.column("fault").to_numpy()
    names = [None, *dict.fromkeys(check_of(place) for place in range(len(FAULTS)))]
    code_of = np.array([names.index(check_of(place)) for place in range(SOUND, len(FAULTS))])
    year = _years(rows)
    keys, group, count = np.unique(year * len(names) + code_of[fault - SOUND], return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    starts = np.append(0, np.cumsum(count)[:-1])
    # A sum wraps at 64 bits and does not depend on the order of the rows.
    sums = np.add.reduceat(hashes.all[order], starts).view(np.int64)
    checks = [names[code] for code in keys % len(names)]
    values = _Values(rows)
    firsts = [
        values.first(order[start : start + size]) if check else _NO_PLACE
        for check, start, size in zip(checks, starts, count, strict=True)
    ]
    years = keys // len(names)
    yield _seen_rows(rows, years, checks, count, sums, firsts)
    repeats = _repeats(rows, hashes.values, year)
    if repeats:
        years_of, kinds, numbers, places = zip(*repeats, strict=True)
        yield _seen_rows(rows, np.array(years_of), kinds, np.array(numbers), None, places)


_Place = tuple[date | None, str | None, str | None, str | None]
_NO_PLACE: _Place = (None, None, None, None)
_NO_YEAR = 0


def _seen_rows(
    rows: pa.RecordBatch,
    years: Places,
    checks: Iterable[str | None],
    count: Places,
    sums: npt.NDArray[np.int64] | None,
    firsts: Iterable[_Place],
) -> pa.RecordBatch:
    places = [pa.array(values, kind) for values, kind in zip(zip(*firsts, strict=True), SEEN.types[5:], strict=True)]
    columns = [
        pa.array([rows.column("ticker")[0].as_py()] * len(count), pa.string()),
        pa.array(years, pa.int32(), mask=years == _NO_YEAR),
        pa.array(checks, pa.string()),
        pa.array(count, pa.int64()),
        pa.nulls(len(count), pa.int64()) if sums is None else pa.array(sums, pa.int64()),
        *places,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SEEN)


class _Values:
    """What a ticker's faulty rows hold, in arrays: a wrong format of dates makes a fault of every row of a file."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        self._rows = rows

    def first(self, places: Places) -> _Place:
        """The least of these rows by date, column, value and file; what is not there comes before."""
        rows = self._rows
        day, places = _least(rows.column("date"), places)
        column, places = _least(self._columns, places)
        values = pc.struct_field(rows.column("unreadable"), "value")
        if column in (*NUMBERS, *NAMES):
            its = [_text(value) for value in rows.column(column).take(pa.array(places)).to_pylist()]
            text = pc.coalesce(values.take(pa.array(places)), pa.array(its, pa.string()))
        else:
            text = values.take(pa.array(places))
        value, among = _least(text, np.arange(len(places)))
        file, _ = _least(rows.column("file"), places[among])
        return day, column, value, file

    @cached_property
    def _columns(self) -> pa.Array:
        faulty = pa.array([*(column for _, column in FAULTS), None])
        fault = self._rows.column("fault").to_numpy()
        return pc.coalesce(
            pc.struct_field(self._rows.column("unreadable"), "column"), faulty.take(pa.array(fault % len(faulty)))
        )


def _least(values: pa.Array, places: Places) -> tuple[Any, Places]:
    """The least of the values at these places, null if one is, and the places where it stands."""
    its = values.take(pa.array(places))
    if its.null_count:
        return None, places[its.is_null().to_numpy(zero_copy_only=False)]
    least = pc.min_max(its)["min"]
    return least.as_py(), places[pc.equal(its, least).to_numpy(zero_copy_only=False)]


def _text(value: object) -> str | None:
    if isinstance(value, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": None}.get(repr(value), repr(value))
    return None if value is None else str(value)


def _repeats(rows: pa.RecordBatch, values: Hashes, year: Places) -> list[tuple[int, str, int, _Place]]:
    """Year, check, rows and first place of the days that a ticker's sound rows have more than once.

    Of REPEAT the rows beyond the first count, of REPEATED all, and its first place says how many the day has.
    """
    days = days_twice(rows, values)
    counted = np.where(days.differ, days.ends - days.starts, days.ends - days.starts - 1)
    keys = 2 * year[days.sound[days.starts]] + days.differ
    found: list[tuple[int, str, int, _Place]] = []
    for key, first in zip(*np.unique(keys, return_index=True), strict=True):
        at = days.sound[days.starts[first] : days.ends[first]]
        files = [name for name in rows.column("file").take(pa.array(at)).to_pylist() if name is not None]
        place = rows.column("date")[int(at[0])].as_py(), None, str(len(at)), max(files, default=None)
        check = REPEATED if key % 2 else REPEAT
        found.append((int(key // 2), check, int(counted[keys == key].sum()), place))
    return found


@dataclass(frozen=True)
class DaysTwice:
    """Days with several sound rows: `sound[starts:ends]` are the places of one's rows; some of them `differ`."""

    sound: Places
    starts: Places
    ends: Places
    differ: Flags


def days_twice(rows: pa.RecordBatch, values: Hashes) -> DaysTwice:
    """The days that a ticker's `marked` rows have more than once, whose numbers and names have these hashes."""
    sound = np.flatnonzero(rows.column("fault").to_numpy() == SOUND)
    days, its = rows.column("date").to_numpy(zero_copy_only=False)[sound], values[sound]
    starts = np.flatnonzero(np.append(True, days[1:] != days[:-1])[: len(days)])
    count = np.diff(np.append(starts, len(days)))
    is_other = its != np.repeat(its[starts], count)
    differ = np.logical_or.reduceat(is_other, starts) if len(starts) else np.zeros(0, dtype=bool)
    twice = count > 1
    return DaysTwice(sound, starts[twice], (starts + count)[twice], differ[twice])


@dataclass(frozen=True)
class Sound:
    """Leaves of a ticker's `marked` rows those that count, one a day.

    `aside` are tickers by the day from which on they are left out. With `drops_repeated` a day whose rows differ is
    left out whole.
    """

    aside: Mapping[str, date]
    drops_repeated: bool

    def __call__(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
        kept = rows.column("fault").to_numpy() == SOUND
        days = days_twice(rows, row_hashes(rows).values)
        left = np.zeros(
            len(days.sound) + 1, dtype=np.int64
        )  # +1 where a day's rows begin to be left out, -1 at its end
        left[np.where(days.differ & self.drops_repeated, days.starts, days.starts + 1)] += 1
        left[days.ends] -= 1
        kept[days.sound[np.cumsum(left[:-1]) > 0]] = False
        until = self.aside.get(rows.column("ticker")[0].as_py())
        if until is not None:
            kept &= rows.column("date").to_numpy(zero_copy_only=False) < np.datetime64(until)
        return (rows.filter(pa.array(kept)),)


@dataclass(frozen=True)
class RowHashes:
    """Of a row's numbers and names, and of all that the table takes of it."""

    values: Hashes
    all: Hashes


def row_hashes(rows: pa.RecordBatch) -> RowHashes:
    """Hashes that are the same in all processes."""
    values = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in NUMBERS:
        values = _mixed(values, _number_hashes(rows, name))
    for name in NAMES:
        values = _mixed(values, _name_hashes(rows.column(name)))
    days = rows.column("date").to_numpy(zero_copy_only=False).astype(np.int64)
    member = rows.column("member").to_numpy(zero_copy_only=False).astype(np.int64)
    whole = values
    for part in (pd.util.hash_array(days), pd.util.hash_array(member), _number_hashes(rows, "rate")):
        whole = _mixed(whole, part)
    return RowHashes(values, whole)


def _mixed(before: Hashes, more: Hashes) -> Hashes:
    mixed: Hashes = pd.util.hash_array(before + more)
    return mixed


def _number_hashes(rows: pa.RecordBatch, name: str) -> Hashes:
    values = numbers(rows, name)
    # One of many that are none, and one 0 of two.
    return pd.util.hash_array(np.where(np.isnan(values), np.nan, values + 0.0))


def _name_hashes(names: pa.Array) -> Hashes:
    coded = names.dictionary_encode()
    texts = pd.util.hash_array(np.array(coded.dictionary.to_pylist(), dtype=object), categorize=False)
    hashes: Hashes = np.append(texts, _NOTHING)[coded.indices.fill_null(-1).to_numpy()]
    return hashes


def _years(rows: pa.RecordBatch) -> Places:
    """The year of each row, _NO_YEAR where it has no date."""
    days = rows.column("date").to_numpy(zero_copy_only=False)
    years: Places = np.where(np.isnat(days), _NO_YEAR, days.astype("datetime64[Y]").astype(np.int64) + 1970)
    return years
