"""What is done to a ticker's raw prices before they are judged, each step held against the same said row by row."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.sources import updates
from eraflow.sources.fault_rows import SEEN
from eraflow.sources.faults import frame_of
from eraflow.sources.lives import Renamed
from eraflow.sources.price_actions import Actions, TotalReturn
from eraflow.sources.reference import Members, Rates
from eraflow.sources.sessions import Cut

FIRST = date(2020, 1, 1)
days_of_a_ticker = st.lists(st.integers(0, 60), min_size=1, max_size=12).map(
    lambda places: [FIRST + timedelta(days=place) for place in sorted(places)]
)


def batch(days: list[date | None], **columns: Any) -> pa.RecordBatch:
    kinds = {"close": pa.float64(), "adjusted_close": pa.float64(), "dividend": pa.float64(), "split": pa.float64()}
    length = len(days)
    arrays = {"ticker": pa.array(["A"] * length), "date": pa.array(days, pa.date32())}
    for name, values in columns.items():
        its = values if isinstance(values, list) else [values] * length
        arrays[name] = pa.array(its, kinds.get(name, pa.string()))
    return pa.record_batch(arrays)


def log_gain(row: dict[str, Any], later: list[dict[str, Any]], copies: int) -> float:
    """What an action makes of a share, by the first close and kind of prices from its day on."""
    traded = next((one["close"] for one in later if one["close"] is not None and one["close"] > 0), None)
    kind = next((one["builds"] for one in later if one["builds"] is not None), None)
    split = row["split"] if kind == "none" and (row["split"] or 0) > 0 else 1.0
    return float(np.log(split * (1.0 + (row["dividend"] or 0.0) / traded))) / copies if traded else 0.0


@settings(max_examples=200, deadline=None)
@given(days_of_a_ticker, st.data())
def test_a_total_return_is_closes_times_what_actions_made_of_a_share(days: list[date], data: st.DataObject) -> None:
    some = st.lists(st.sampled_from([None, 0.0, 0.5, 2.0]), min_size=len(days), max_size=len(days))
    closes = data.draw(st.lists(st.sampled_from([None, 0.0, 8.0, 10.0]), min_size=len(days), max_size=len(days)))
    kinds = data.draw(
        st.lists(st.sampled_from(["none", "none", "splits", None]), min_size=len(days), max_size=len(days))
    )
    given_rows = batch(
        list(days), close=closes, adjusted_close=7.0, dividend=data.draw(some), split=data.draw(some), builds=kinds
    )
    at = data.draw(st.lists(st.integers(-3, 63), max_size=3, unique=True).map(sorted))
    beside = [
        {"date": FIRST + timedelta(days=day), "dividend": data.draw(st.sampled_from([0.0, 0.5])),
         "split": data.draw(st.sampled_from([1.0, 2.0]))}
        for day in at
    ]  # fmt: skip
    actions = {
        "A": Actions(
            np.array([row["date"] for row in beside], "datetime64[D]"), *(np.array([row[name] for row in beside], float)
                                                                        for name in ("dividend", "split")))
    }  # fmt: skip

    (found,) = TotalReturn(actions if beside else {})(given_rows)

    rows = given_rows.to_pylist()
    gains = [(row["date"], log_gain(row, [one for one in rows if one["date"] >= row["date"]], days.count(row["date"])))
             for row in rows]  # fmt: skip
    gains += [(row["date"], log_gain(row, [one for one in rows if one["date"] >= row["date"]], 1)) for row in beside]
    for row, made in zip(rows, found["adjusted_close"].to_pylist(), strict=True):
        if row["builds"] is None or row["close"] is None:
            assert made == (7.0 if row["builds"] is None else None)
        else:
            growth = np.exp(sum(gain for day, gain in gains if day <= row["date"]))
            assert made == pytest.approx(row["close"] * growth, rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(days_of_a_ticker, st.integers(5, 20), st.data())
def test_a_name_that_is_used_again_is_another_ticker(days: list[date], gap: int, data: st.DataObject) -> None:
    closes = data.draw(st.lists(st.sampled_from([1.0, 1.0, None]), min_size=len(days), max_size=len(days)))

    found = [row for part in Renamed(gap)(batch([*days, None], close=[*closes, 1.0])) for row in part.to_pylist()]

    begins, last = [FIRST], None
    for day, close in zip(days, closes, strict=True):
        if close is None:
            continue
        if last is not None and (day - last).days > gap:
            begins.append(day)
        last = day
    for row, day in zip(found, [*days, None], strict=True):
        life = max(begin for begin in begins if begin == FIRST or (day is not None and begin <= day))
        assert row["date"] == day
        assert row["ticker"] == ("A" if life == FIRST else f"A@{life}")


def test_rows_are_cut_by_country_and_those_without_a_date_stay() -> None:
    days = [FIRST, FIRST + timedelta(days=9), None]
    for country, kept in (("us", [0, 2]), ("jp", [0, 1, 2]), (None, [0, 1, 2])):
        (found,) = Cut({"us": date(2020, 1, 9)})(batch(days, country=country))
        assert found["date"].to_pylist() == [days[place] for place in kept]


def test_members_are_those_of_their_ranges() -> None:
    ranges = {"A": (np.array(["2020-01-02", "2020-02-01"], "datetime64[D]"),
                    np.array(["2020-01-05", "2020-02-01"], "datetime64[D]"))}  # fmt: skip
    days = [date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 5), date(2020, 1, 6), date(2020, 2, 1), None]

    assert Members(ranges)(batch(days))[0]["member"].to_pylist() == [False, True, True, False, True, False]
    assert not any(Members({})(batch(days))[0]["member"].to_pylist())
    assert all(Members(None)(batch(days))[0]["member"].to_pylist())


def test_a_rate_is_that_of_the_day_and_currency_or_unknown() -> None:
    quoted = {"EUR": (np.datetime64("2020-01-02"), np.array([1.1, np.nan, 1.2]))}
    days = [date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 4), date(2020, 1, 5), None]

    assert Rates(quoted)(batch(days, currency="EUR"))[0]["rate"].to_pylist() == [None, 1.1, None, 1.2, None, None]
    assert Rates(quoted)(batch(days, currency="USD"))[0]["rate"].null_count == len(days)
    assert Rates(quoted)(batch(days, currency=None))[0]["rate"].null_count == len(days)
    assert Rates(None)(batch(days, currency="USD"))[0]["rate"].to_pylist() == [1.0] * len(days)


def seen(*rows: tuple[str, int | None, str | None, int, int | None]) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    arrays = [pa.array(values, kind) for values, kind in zip(columns, SEEN.types[:5], strict=True)]
    nothing = [pa.nulls(len(rows), kind) for kind in SEEN.types[5:]]
    return frame_of(pa.Table.from_arrays([*arrays, *nothing], schema=SEEN))


def test_a_ticker_has_changed_since_the_year_before_its_first_other_one() -> None:
    before = seen(*((ticker, year, None, 250, year) for ticker in "ABCD" for year in (2018, 2019, 2021)))
    now = seen(
        *(("A", year, None, 250, year) for year in (2018, 2019, 2021)),  # as it was
        *(("B", year, None, 250, year + (year > 2019)) for year in (2018, 2019, 2021)),  # another last year
        ("B", 2019, "repeat", 1, None),  # no other rows
        *(("C", year, None, 250, year) for year in (2017, 2018, 2019, 2021)),  # a year before all others
        ("E", 2021, None, 3, 9),  # a new ticker; D is gone
    )

    assert updates.changed(now, before) == {"B": 2019, "C": 2017, "D": 2018, "E": 2021}
    assert updates.changed(before, before) == {}
    assert updates.changed(seen(("A", None, "empty", 1, 7)), seen()) == {}  # a line of commas
    assert updates.changed(seen(), seen()) == {}


def test_rows_since_a_year_are_those_of_the_tickers_that_have_one() -> None:
    days = [date(2019, 12, 31), date(2020, 1, 1)]

    assert updates.Since({"A": 2020})(batch(days))[0]["date"].to_pylist() == days[1:]
    assert updates.Since({"B": 2020})(batch(days))[0].num_rows == 0
