"""Days and numbers of price files: what counts as one, and that nothing becomes another."""

from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.sources.price_values import Numbers, day_of_number, day_of_text, days, numbers, words

DAY = date(2020, 1, 2)
PER_SECOND = (1, 10**3, 10**6, 10**9)


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-02",
        "2020-01-02 00:00:00",
        "2020-01-02T23:59:59.999999999",
        "2020-01-02 00:00:00-05:00",
        "2020-01-02T00:00:00+0900",
        "2020-01-02T00:00:00.000Z",
        "2020-01-02 00:00:00 UTC",
        "20200102",
        "20200102.0",
        "1577923200",
        "1577923200000",
        "1577923200000000.0",
        "1577923200000000000",
        "1.5779232e+18",
    ],
)
def test_a_day(text: str) -> None:
    assert day_of_text(text) == DAY


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "43831", "43831.0", "202001", "2020", "020117", "0", "-1", "1E5"),  # serials, months, years
        *("01/02/2020", "02.01.2020", "Jan 2, 2020", "2020/01/02", "2020-1-2"),  # another order: by date_format
        *("2020-13-01", "2020-02-30", "20201301", "2020-01-02 25:00", "2020-01-02 x"),
        *("2020010215", "202001021530", "20200102153000"),  # a date and a time, or a moment: they could be either
        *("0001-01-01", "9999-12-31", "99991231", "10000101", "9223372036854775807", "9" * 40, "1e300"),
    ],
)
def test_no_day(text: str) -> None:
    assert day_of_text(text) is None


@pytest.mark.parametrize(
    ("form", "text", "wrong"),
    [
        ("%m/%d/%Y", "01/02/2020", "13/02/2020"),
        ("%d.%m.%Y", "02.01.2020", "2020-01-02"),
        ("%b %d, %Y", "Jan 02, 2020", "Foo 02, 2020"),
        ("%d%m%y", "020120", "20200102"),
    ],
)
def test_a_form_of_the_files_own_is_the_only_one(form: str, text: str, wrong: str) -> None:
    assert day_of_text(text, (form,)) == DAY
    assert day_of_text(wrong, (form,)) is None


@given(st.dates(date(1700, 1, 1), date(2199, 12, 31)))
def test_every_day_is_itself_in_every_form(day: date) -> None:
    seconds = (day - date(1970, 1, 1)) // timedelta(days=1) * 86_400
    assert day_of_text(day.isoformat()) == day_of_text(f"{day:%Y%m%d}".zfill(8)) == day
    for per_second in PER_SECOND:
        moment, later = seconds * per_second, 1_577_923_200 * per_second
        if abs(moment) < 2**63:
            # Near 1970 moments are too small to tell their unit, and from 2030 on some seconds could be days and hours.
            possible = {day} if abs(seconds) > 220_000_000 and day.year < 2030 else {day, None}
            assert days(pa.array([moment, later])).to_pylist()[0] in possible
            assert days(pa.array([str(moment), str(later)])).to_pylist()[0] in possible


@given(st.integers())
def test_no_number_is_more_than_a_day_or_none(number: int) -> None:
    found = day_of_number(number, "America/New_York")
    assert found is None or date(1700, 1, 1) <= found <= date(2199, 12, 31)


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("s", "+09:00"), pa.int64(), pa.float64()]
)
def test_times_beyond_all_calendars_are_none(kind: pa.DataType) -> None:
    largest = pa.array([2**62, -(2**62), None]).cast(kind, safe=False)
    assert days(largest, (), "Asia/Tokyo").to_pylist()[2] is None
    assert days(pa.array([2**31 - 1], pa.int32()).view(pa.date32())).to_pylist() == [None]


@pytest.mark.parametrize(
    ("written", "text", "number"),
    [
        ("plain", "1234.5", 1234.5),
        ("plain", "1e5", 1e5),
        ("plain", "-.5", -0.5),
        ("plain", "1,234", None),
        ("plain", "1_000", None),
        ("plain", "0x10", None),
        ("plain", "$5", None),
        ("english", "$1,234.50", 1234.5),
        ("english", "1.38M", 1.38e6),
        ("english", "2K", 2000.0),
        ("english", "4,65,440.85", 465440.85),
        ("english", "1,5", None),
        ("english", "1.234,50", None),
        ("continental", "1.234,50", 1234.5),
        ("continental", "1 234,5 €", 1234.5),
        ("continental", "1,38M", 1.38e6),
        ("continental", "12.5", None),
    ],
)
def test_a_number(written: Numbers, text: str, number: float | None) -> None:
    # A word beside it, so that not all are numbers.
    assert numbers(pa.array([text, "n/a", "", "NaN", None]), written).to_pylist() == [number, None, None, None, None]
    if number is not None:
        assert numbers(pa.array([text]), written).to_pylist() == [number]


def test_words_lose_nothing_but_blanks_at_their_ends() -> None:
    kept = ["NA", "NULL", "TRUE", "1E5", "0005", "nan", "a b"]
    assert words(pa.array([f" {word} " for word in kept])).to_pylist() == kept
    assert words(pa.array(["", "  ", None])).to_pylist() == [None, None, None]
    assert words(pa.array([7, None])).to_pylist() == ["7", None]
