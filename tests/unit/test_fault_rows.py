"""Faulty rows of one ticker in arrays, held against the same said row by row in plain Python."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.sources.fault_rows import SOUND, Sound, check_of, marked, row_hashes, seen
from eraflow.sources.raw_prices import COLUMNS, NAMES, NUMBERS, PRICES

DAYS = [date(2020, 12, 30), date(2020, 12, 31), date(2021, 1, 4), date(2021, 1, 5)]
SCHEMA = pa.schema([*COLUMNS.items(), ("member", pa.bool_()), ("rate", pa.float64())])

Row = dict[str, Any]

numbers = st.sampled_from([1.0, 2.0, 2.0, 2.0, 0.0, -1.0, math.inf, math.nan, None])
rows_of_a_ticker = st.lists(
    st.fixed_dictionaries({
        "ticker": st.just("A"), "date": st.sampled_from([*DAYS, None]),
        **dict.fromkeys(NUMBERS, st.one_of(st.just(2.0), numbers)),
        "sector": st.sampled_from(["one", "one", "two", None]), "country": st.sampled_from(["", "", None]),
        "currency": st.sampled_from(["", "", None]), "file": st.sampled_from(["file:/a.csv", "file:/b.csv", None]),
        "unreadable": st.sampled_from([None, None, None, None, {"column": "close", "value": "x"}]),
        "member": st.booleans(), "rate": st.sampled_from([1.0, 1.0, 1.0, 2.0, None]),
    }),
    min_size=1, max_size=12,
)  # fmt: skip


def batch(rows: list[Row]) -> pa.RecordBatch:
    ordered = sorted(rows, key=lambda row: (row["date"] is None, row["date"] or DAYS[0]))
    return marked(pa.RecordBatch.from_pylist(ordered, SCHEMA))[0]


def lacks(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def fault(row: Row) -> tuple[str, str] | None:
    """The first check that a row fails, and the column."""
    if row["unreadable"]:
        return "unreadable", ""
    if all(lacks(row[name]) for name in (*PRICES, "adjusted_close")):
        return "empty", ""
    if row["date"] is None:
        return "missing", "date"
    for name in (*NUMBERS, *NAMES):
        if lacks(row[name]):
            return "incomplete", name
    for name in NUMBERS:
        if math.isinf(row[name]) or row[name] < 0:
            return "impossible", name
    for name in ("close", "adjusted_close"):
        if row[name] == 0:
            return "impossible", name
    for name in ("open", "high", "low"):
        if row[name] == 0:
            return "zero_range", name
    return ("without a rate", "currency") if row["rate"] is None else None


def text(value: object) -> str | None:
    return None if lacks(value) else "Infinity" if value == math.inf else str(value)


def place(row: Row) -> tuple[Any, ...]:
    column = (fault(row) or ("", ""))[1]
    value = text(row[column]) if column in (*NUMBERS, *NAMES) else None
    if row["unreadable"]:
        column, value = row["unreadable"]["column"], row["unreadable"]["value"]
    return row["date"], column, value, row["file"]


def first_key(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Ordered as Spark orders structs: what is not there comes first."""
    return tuple((part is not None, part if part is not None else "") for part in found)


def values(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in (*NUMBERS, *NAMES))


@settings(max_examples=300, deadline=None)
@given(rows_of_a_ticker)
def test_what_a_year_holds_is_what_its_rows_say(rows: list[Row]) -> None:
    found = [row for part in seen([batch(rows)]) for row in part.to_pylist()]

    counts: Counter[tuple[int | None, str | None]] = Counter()
    places = defaultdict(list)
    sound = defaultdict(list)
    for row in rows:
        failed = fault(row)
        key = row["date"].year if row["date"] else None, failed[0] if failed else None
        counts[key] += 1
        if failed:
            places[key].append(place(row))
        else:
            sound[row["date"]].append(row)
    for day, its in sorted(sound.items()):
        if len(its) > 1:
            differ = len({values(row) for row in its}) > 1
            key = day.year, "repeated" if differ else "repeat"
            counts[key] += len(its) if differ else len(its) - 1
            files = [row["file"] for row in its if row["file"]]
            places[key].append((day, None, str(len(its)), max(files, default=None)))
    assert {(row["year"], row["check"]): row["rows"] for row in found} == counts
    for row in found:
        if row["check"]:
            wanted = min(places[row["year"], row["check"]], key=first_key)
            assert (row["date"], row["column"], row["value"], row["file"]) == wanted
        assert (row["hash"] is None) == (row["check"] in ("repeat", "repeated"))


@settings(max_examples=200, deadline=None)
@given(rows_of_a_ticker, st.booleans(), st.sampled_from([None, DAYS[2]]))
def test_the_rows_that_count_are_sound_and_one_a_day(rows: list[Row], drops: bool, aside: date | None) -> None:
    (kept,) = Sound({"A": aside} if aside else {}, drops)(batch(rows))

    days = defaultdict(set)
    for row in rows:
        if fault(row) is None and (aside is None or row["date"] < aside):
            days[row["date"]].add(values(row))
    wanted = sorted(day for day, its in days.items() if not drops or len(its) == 1)
    assert kept["date"].to_pylist() == wanted
    for row in kept.to_pylist():
        assert values(row) in days[row["date"]]


@pytest.mark.parametrize("name", ["date", *NUMBERS, *NAMES, "member", "rate"])
def test_a_hash_tells_of_each_column_that_the_table_takes(name: str) -> None:
    row = dict.fromkeys(NUMBERS, 2.0) | dict.fromkeys(NAMES, "one") | {"date": DAYS[0], "member": True, "rate": 1.0}
    others = {"date": DAYS[1], "member": False} | dict.fromkeys(NAMES, "two")
    rows = batch([{**row, "ticker": "A"}, {**row, "ticker": "A", name: others.get(name, 3.0)}])

    assert len(set(row_hashes(rows).all.tolist())) == 2
    assert len(set(row_hashes(rows).values.tolist())) == (2 if name in (*NUMBERS, *NAMES) else 1)


def test_a_hash_tells_two_columns_apart() -> None:
    row = dict.fromkeys(NUMBERS, 2.0) | dict.fromkeys(NAMES, "one") | {"date": DAYS[0], "member": True, "rate": 1.0}
    high, low = ({**row, "ticker": "A", name: 3.0} for name in ("high", "low"))

    assert len(set(row_hashes(batch([high, low])).all.tolist())) == 2
    assert check_of(SOUND) is None
