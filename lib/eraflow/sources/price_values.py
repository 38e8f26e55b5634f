"""Values of price files as days, numbers and words: Arrow columns in, typed Arrow columns out.

What cannot be read comes out null, so that whoever calls can name it. Nothing becomes another value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from math import isfinite
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

Numbers = Literal["plain", "english", "continental"]

_FIRST, _LAST = date(1700, 1, 1), date(2199, 12, 31)  # Stooq's oldest prices are of 1789
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,]\d+)? ?(Z|UTC|[+-]\d{2}(?::?\d{2}){0,2})?)?"
)
_WHOLE = re.compile(r"(-?\d+)(?:\.0*)?")
_FLOAT = re.compile(r"-?\d(?:\.\d+)?[eE]\+?\d+")  # large whole numbers as floats are written
_STAMP = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])(?:[0-5]\d){0,2}")
# Since 1970 in seconds, milliseconds, microseconds or nanoseconds: from what size on, and how many make a second.
_UNITS = ((10**16, 10**9), (10**13, 10**6), (10**10, 10**3), (10**8, 1))
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_UTC_NAMES = ("UTC", "ETC/UTC", "Z", "GMT", "+00:00", "-00:00", "+0000", "+00")
EMPTY = ("", "nan", "null", "na", "none", "-")  # what stands for no number, in small letters


@lru_cache(maxsize=200_000)
def day_of_text(
    text: str, formats: tuple[str, ...] = (), zone: str | None = None, per_second: int | None = None
) -> date | None:
    """The calendar day that a text names, in the exchange's own zone; None where it names none.

    With `formats` (as Python's strptime has them) exactly these are read. Else: a date or time as ISO 8601 writes it,
    YYYYMMDD, or a time since 1970, in seconds to nanoseconds by its size. A zone that the text has is the exchange's,
    so that the day stands as it is written; in UTC, or without a zone, it is a moment of `zone` if there is one.
    """
    if formats:
        return next((found for found in (_written(text, form) for form in formats) if found), None)
    if iso := _ISO.fullmatch(text):
        return _of_iso(iso[1], iso[2], iso[3], zone)
    number = _number(text)
    return None if number is None else day_of_number(number, zone, per_second)


def _number(text: str) -> int | None:
    if whole := _WHOLE.fullmatch(text):
        return int(whole[1])
    if not _FLOAT.fullmatch(text):
        return None
    number = float(text)
    return int(number) if isfinite(number) else None


def _written(text: str, form: str) -> date | None:
    try:
        return _within(datetime.strptime(text, form).date())
    except ValueError:
        return None


def _of_iso(day: str, time: str | None, offset: str | None, zone: str | None) -> date | None:
    try:
        at = datetime.fromisoformat(f"{day} {time or '00:00'}")
    except ValueError:
        return None
    if zone and (offset.upper() in _UTC_NAMES if offset else time and at.time() != datetime.min.time()):
        at = at.replace(tzinfo=UTC).astimezone(zone_named(zone))
    return _within(at.date())


def day_of_number(number: int, zone: str | None = None, per_second: int | None = None) -> date | None:
    """The day of a number: YYYYMMDD, or a time since 1970 in `zone` (UTC if there is none); None if it is neither.

    Digits like 202401021530 could be either, and are neither. `per_second` is the unit of the column's largest number:
    without it nanoseconds of early 1970 would be taken for microseconds of another day.
    """
    digits = str(number)
    if len(digits) == 8 and number > 0:
        return _written(digits, "%Y%m%d")
    if len(digits) > 8 and _STAMP.fullmatch(digits):
        return None
    number_unit = _unit(number)
    if number_unit is None:
        return None
    unit = max(number_unit, per_second or 0)
    # Less than a day of a larger unit is no day of it, but another unit among its numbers.
    return day_of_seconds(number // unit, zone) if unit == number_unit or abs(number) >= 86_400 * unit else None


def _unit(number: int) -> int | None:
    """How many of a moment's unit make a second, by its size."""
    return next((per_second for least, per_second in _UNITS if abs(number) >= least), None)


def day_of_seconds(seconds: int, zone: str | None = None) -> date | None:
    """The day, in a zone, of so many seconds since 1970; None outside 1700 to 2199."""
    if abs(seconds) > 9 * 10**9:
        return None
    return _within((_EPOCH + timedelta(seconds=seconds)).astimezone(zone_named(zone) if zone else UTC).date())


def _within(day: date) -> date | None:
    return day if _FIRST <= day <= _LAST else None


@lru_cache(maxsize=100)
def zone_named(name: str) -> tzinfo:
    """A time zone by its name in the tz database, or by its offset (+09:00). Raises KeyError for another name."""
    if offset := re.fullmatch(r"([+-])(\d{2}):?(\d{2})", name):
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as error:
        raise KeyError(name) from error


def days(column: pa.Array, formats: tuple[str, ...] = (), zone: str | None = None) -> pa.Array:
    """The calendar days of a column of texts, dates, times or numbers, as date32; see `day_of_text`.

    A zone of the column's type is the exchange's, unless it is UTC.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.date32())
    if pa.types.is_date(kind):
        whole = column.cast(pa.date32())
        inside = pc.and_(pc.greater_equal(whole, _FIRST), pc.less_equal(whole, _LAST))
        return pc.if_else(inside, whole, pa.scalar(None, pa.date32()))
    encoded = pc.dictionary_encode(column.view(pa.int64()) if pa.types.is_timestamp(kind) else column)
    # Days repeat: each is worked out once.
    values = encoded.dictionary.to_pylist()
    unit = None if formats or pa.types.is_timestamp(kind) else _largest_unit(values)
    if pa.types.is_timestamp(kind):
        found = [_of_time(value, kind, zone) for value in values]
    elif pa.types.is_integer(kind):
        found = [day_of_number(value, zone, unit) for value in values]
    elif pa.types.is_floating(kind):
        found = [day_of_number(int(value), zone, unit) if value == value // 1 else None for value in values]
    else:
        found = [day_of_text(value, formats, zone, unit) for value in values]
    return pa.array(found, pa.date32()).take(encoded.indices)


def _largest_unit(values: Sequence[Any]) -> int | None:
    """The unit of the largest moment among texts or numbers, None if there are no moments."""
    found = (_number(value) if isinstance(value, str) else value for value in values)
    sizes = [abs(number) for number in found if number is not None and abs(number) < 1 << 64]
    return _unit(int(max(sizes, default=0)))


def _of_time(value: int, kind: Any, zone: str | None) -> date | None:
    seconds = value // _PER_SECOND[kind.unit]
    if kind.tz is None:  # a clock's time; midnight is a day as it stands, and never UTC of a midnight elsewhere
        return day_of_seconds(seconds, zone if zone and value % (86_400 * _PER_SECOND[kind.unit]) else None)
    return day_of_seconds(seconds, zone if kind.tz.upper() in _UTC_NAMES else kind.tz)


_PLAIN = r"^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^-?(?i:inf|infinity)$"
_ENGLISH = r"^-?(?:\d{1,3}(?:,\d{2,3})*,\d{3}|\d+)(?:\.\d+)?[KMBT]?$"
_CONTINENTAL = r"^-?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?[KMBT]?$"
_SIGNS = r"[$€£¥₹\s\x{00A0}\x{202F}']"
_EXPONENTS = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}


def numbers(column: pa.Array, written: Numbers = "plain") -> pa.Array:
    """A column of numbers or texts as doubles.

    Texts are `plain`: 1234.5, 1e5; `english`: $1,234.50, 1.38M (K, M, B, T); or `continental`: 1.234,50. Empty ones,
    NaN, NA and null are no number.
    """
    if not is_words(column.type):
        return _without_nan(column.cast(pa.float64(), safe=False))
    if written == "plain":
        with suppress(pa.ArrowInvalid):  # most files have nothing but numbers
            return _without_nan(column.cast(pa.float64()))
    text = pc.if_else(pc.is_in(pc.utf8_lower(column), pa.array(EMPTY)), pa.scalar(None, pa.string()), column)
    if written != "plain":
        text = pc.utf8_upper(pc.replace_substring_regex(text, _SIGNS, ""))
        point, groups = (".", ",") if written == "english" else (",", ".")
        whole = pc.match_substring_regex(text, _ENGLISH if written == "english" else _CONTINENTAL)
        text = pc.if_else(whole, text, pa.scalar(None, pa.string()))
        text = pc.replace_substring(pc.replace_substring(text, groups, ""), point, ".")
        for letter, exponent in _EXPONENTS.items():
            text = pc.replace_substring(text, letter, exponent)
    sound = pc.match_substring_regex(text, _PLAIN)
    return pc.if_else(sound, text, pa.scalar(None, pa.string())).cast(pa.float64())


def _without_nan(column: pa.Array) -> pa.Array:
    """NaN as null: a value that is not there."""
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)


def words(column: pa.Array) -> pa.Array:
    """A column of texts or whole numbers as texts without blanks at their ends, null where nothing is left."""
    text = column if pa.types.is_string(column.type) else column.cast(pa.string())
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def constant(word: str | None, length: int) -> pa.Array:
    """A column of one word, or of nulls."""
    return pa.nulls(length, pa.string()) if word is None else pa.repeat(pa.scalar(word, pa.string()), length)


def is_words(kind: Any) -> bool:
    """Whether an Arrow type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain(column: pa.Array) -> pa.Array:
    """A column without what writers do to save room: dictionaries decoded, texts as `string` without outer blanks."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if is_words(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pc.utf8_trim_whitespace(column.cast(pa.string()))
    return column


def fits(kind: Any, wanted: pa.DataType) -> bool:
    """Whether an Arrow type can be read as a number, a date or words of ours."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    taken: Sequence[Any] = (is_words, types.is_binary, types.is_large_binary, types.is_integer, types.is_null)
    if wanted == pa.float64():
        taken = (*taken, types.is_floating, types.is_decimal)
    elif wanted == pa.date32():
        taken = (*taken, types.is_floating, types.is_date, types.is_timestamp)
    return any(holds(kind) for holds in taken)
