"""Which days without prices are holidays of an exchange. On any other such day its prices are late.

No list of holidays can know a user's countries, so they are read off the exchange's own past: a day is a holiday if the
exchange was shut on the like day of the last two years in which that fell on a day of trading. A like day is the same
date (a holiday on a weekend may be kept on the Friday before or the Monday after), the same weekday of the month
counted from its start or from its end, or the same distance from Easter. Holidays by the moon are not found: those a
file of the user's names (`dates.holidays`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set
from datetime import date, timedelta

import pandas as pd
from pandas.tseries.offsets import Easter

EVIDENCE = 2  # like days, all without trading
YEARS = 7  # in which they are looked for: a date falls on a weekend in two of seven years
RECENT = timedelta(weeks=13)  # which weekdays an exchange trades on is seen in these
FEASTS = (-48, 60)  # days from Easter to Carnival's Monday and to Corpus Christi
MONDAY, FRIDAY, SATURDAY = 0, 4, 5
DAY = timedelta(days=1)


def missing(sessions: Sequence[date], until: date, holidays: Set[date] = frozenset()) -> list[date]:
    """The days after the last of the sorted `sessions`, up to `until`, on which the exchange would have traded."""
    trades, traded = usual_weekdays(sessions), frozenset(sessions)
    later = (sessions[-1] + DAY * days for days in range(1, (until - sessions[-1]).days + 1))
    return [
        day
        for day in later
        if day.weekday() in trades and day not in holidays and not is_holiday(day, traded, sessions[0])
    ]


def usual_weekdays(sessions: Sequence[date]) -> frozenset[int]:
    """The weekdays (Monday is 0) on which the exchange traded in at least half of its last weeks.

    A history too short to tell trades from Monday to Friday.
    """
    last = sessions[-1]
    first = max(sessions[0], last - RECENT)
    if (last - first).days < 14:
        return frozenset(range(5))
    traded, weekdays = [0] * 7, [0] * 7
    for day in sessions[bisect_left(sessions, first) :]:
        traded[day.weekday()] += 1
    for days in range((last - first).days + 1):
        weekdays[(first + DAY * days).weekday()] += 1
    return frozenset(weekday for weekday in range(7) if 2 * traded[weekday] >= weekdays[weekday])


def is_holiday(day: date, sessions: Set[date], first: date) -> bool:
    """Whether the exchange, with these sessions since `first`, was shut on the like days of the years before."""
    return any(_shut(like, day, sessions, first) for like in _like_days(day))


def _shut(like: Sequence[date], day: date, sessions: Set[date], first: date) -> bool:
    """Whether the newest of the like days tell a holiday; those on a weekend tell nothing."""
    evidence = [past for past in like if first <= past < day and past.weekday() < SATURDAY][:EVIDENCE]
    return len(evidence) == EVIDENCE and not any(past in sessions for past in evidence)


def _like_days(day: date) -> Iterator[list[date]]:
    """For each kind of holiday that the day may be, the like days of earlier years, newest first."""
    years = range(day.year - 1, day.year - 1 - YEARS, -1)
    yield [same for year in years if (same := _same_date(day, year))]
    if day.weekday() == MONDAY:
        yield [same for year in years if (same := _same_date(day - DAY, year))]
    if day.weekday() == FRIDAY:
        yield [same for year in years if (same := _same_date(day + DAY, year))]
    nth = (day.day - 1) // 7
    yield [from_start for year in years if (from_start := _nth_weekday(day, year, nth)).month == day.month]
    if (day + 7 * DAY).month != day.month:
        yield [_last_weekday(day, year) for year in years]
    from_easter = day - easter(day.year)
    if FEASTS[0] <= from_easter.days <= FEASTS[1]:
        yield [easter(year) + from_easter for year in years]


def easter(year: int) -> date:
    """Easter Sunday of the Western churches."""
    found: date = (pd.Timestamp(year, 1, 1) + Easter()).date()
    return found


def _same_date(day: date, year: int) -> date | None:
    return None if (day.month, day.day) == (2, 29) else day.replace(year=year)


def _nth_weekday(day: date, year: int, nth: int) -> date:
    first = date(year, day.month, 1)
    return first + DAY * ((day.weekday() - first.weekday()) % 7 + 7 * nth)


def _last_weekday(day: date, year: int) -> date:
    last = date(year + day.month // 12, day.month % 12 + 1, 1) - DAY
    return last - DAY * ((last.weekday() - day.weekday()) % 7)
