"""Trading days and weekly eras of a universe, of one country or several, and the date that is predicted for.

Plain Python over sorted dates, some thousand for each country. A week runs from Saturday to Friday, as Numerai's does:
what trades on a weekend belongs to the week that follows.
"""

from __future__ import annotations

import base64
import datetime
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

import numpy as np

from eraflow.sources import closures

ENDED = datetime.timedelta(days=14)  # a country whose newest session is older has ended: no exchange rests so long


@dataclass(frozen=True)
class Label:
    """The days whose prices a label is the return between; `end` is None where the horizon has not passed yet."""

    era: int
    date: datetime.date
    horizon: int
    start: datetime.date | None
    end: datetime.date | None


def week_of(day: datetime.date) -> int:
    """The Saturday (an ordinal) on which the day's week begins."""
    return day.toordinal() - (day.weekday() + 2) % 7


@dataclass(frozen=True)
class Calendar:
    """The dates on which an exchange traded, ascending. A date's session is its position among them.

    Weeks count from `first_week` (the ordinal of a Saturday), by default the one of the first date.
    """

    dates: tuple[datetime.date, ...]
    first_week: int | None = None

    @property
    def packed(self) -> str:
        """The dates in a few characters a year: the first, and a bit for each day from it on."""
        days = [day.toordinal() - self.dates[0].toordinal() for day in self.dates]
        bits = np.packbits(np.bincount(days).astype(bool))
        return f"{self.dates[0]} {base64.b64encode(bits.tobytes()).decode()}"

    @classmethod
    def unpacked(cls, text: str) -> Calendar:
        first, _, coded = text.partition(" ")
        bits = np.unpackbits(np.frombuffer(base64.b64decode(coded), dtype=np.uint8))
        start = datetime.date.fromisoformat(first).toordinal()
        return cls(tuple(datetime.date.fromordinal(start + int(day)) for day in np.flatnonzero(bits)))

    @cached_property
    def eras(self) -> Mapping[int, datetime.date]:
        """Era -> its date, the last trading day of its week.

        Eras count weeks from the first (1), so that a week without trading leaves a hole and no later number moves.
        The last era may be of a week that is not over: its date is the newest, which live predictions are made for.
        """
        first = week_of(self.dates[0]) if self.first_week is None else self.first_week
        return {(week_of(day) - first) // 7 + 1: day for day in self.dates}

    @cached_property
    def sessions(self) -> Mapping[datetime.date, int]:
        return {day: session for session, day in enumerate(self.dates)}

    def labels(self, horizons: Sequence[int], lag: int) -> list[Label]:
        """For each era and horizon when its label starts (`lag` sessions after the era's date) and ends."""
        return [
            Label(era, day, horizon, self.after(day, lag), self.after(day, lag + horizon))
            for era, day in self.eras.items()
            for horizon in horizons
        ]

    def after(self, day: datetime.date, sessions: int) -> datetime.date | None:
        """The day so many sessions after a trading day; None where it is not known yet."""
        session = self.sessions[day] + sessions
        return self.dates[session] if session < len(self.dates) else None

    def until(self, day: datetime.date) -> datetime.date | None:
        """The last trading day on or before a day."""
        place = bisect_right(self.dates, day)
        return self.dates[place - 1] if place else None


@dataclass(frozen=True)
class Calendars:
    """The trading days of each country. Weeks, and so eras, are common to all.

    `named` are the dates of Numerai's rows, at most one a week; `live` is the one that is predicted for, where Numerai
    names it. `holidays`: days by country that a user has named.
    """

    by_country: Mapping[str, Calendar]
    named: frozenset[datetime.date] = frozenset()
    live: datetime.date | None = None
    holidays: Mapping[str, Set[datetime.date]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        days: Mapping[str, Iterable[datetime.date]],
        named: Collection[datetime.date] = (),
        live: datetime.date | None = None,
        holidays: Mapping[str, Set[datetime.date]] | None = None,
    ) -> Calendars:
        """From the days of each country, in any order; a country without any is left out."""
        found = {country: tuple(sorted(set(days[country]))) for country in sorted(days)}
        first = min((week_of(dates[0]) for dates in found.values() if dates), default=None)
        newest = {week_of(day): day for day in sorted(named)}
        calendars = {country: Calendar(dates, first) for country, dates in found.items() if dates}
        return cls(calendars, frozenset(newest.values()), live, holidays or {})

    @property
    def dates(self) -> list[datetime.date]:
        """The days on which any country traded, ascending."""
        return sorted({day for calendar in self.by_country.values() for day in calendar.dates})

    @cached_property
    def first_week(self) -> datetime.date:
        """The Saturday on which era 1 begins."""
        return datetime.date.fromordinal(min(week_of(calendar.dates[0]) for calendar in self.by_country.values()))

    @cached_property
    def data_date(self) -> datetime.date:
        """The date that live predictions are made for: Numerai's, else the newest session. Nothing later is read."""
        return self.live or max(calendar.dates[-1] for calendar in self.by_country.values())

    @cached_property
    def live_era(self) -> int:
        return self._era(self.data_date)

    @cached_property
    def last_week(self) -> int:
        """The era of the newest session's week: before the live era, where the live week has had none yet."""
        return self._era(max(calendar.dates[-1] for calendar in self.by_country.values()))

    @cached_property
    def late(self) -> Mapping[str, list[datetime.date]]:
        """By country the days up to the data date on which it would have traded and has no prices, where there are."""
        missing = {name: self.missing(name, self.data_date) for name in self.by_country}
        return {name: days for name, days in missing.items() if days}

    def missing(
        self, country: str, until: datetime.date, newest: datetime.date = datetime.date.max
    ) -> list[datetime.date]:
        """The days up to `until` on which the country would have traded after its newest session, as of `newest`."""
        shut = {*self.holidays.get(country, ()), *self.holidays.get("", ())}
        dates = self.by_country[country].dates
        return closures.missing(dates[: bisect_right(dates, newest)], until, shut)

    @cached_property
    def era_days(self) -> list[tuple[int, str, datetime.date]]:
        """(era, country, its last trading day on or before the era's date), by era.

        A country that is shut all week stands at its last day before it; one that is late is not in.
        """
        cut, found = {self._era(day): day for day in self.named}, list[tuple[int, str, datetime.date]]()
        for name, calendar in self.by_country.items():
            past = {self._era(day): day for day in calendar.dates if day <= cut.get(self._era(day), day)}
            found += [(era, name, day) for era, day in past.items() if era < self.live_era]
            newest = calendar.until(self.data_date)
            if newest and name not in self.late:
                found.append((self.live_era, name, newest))
        return sorted([*found, *self._shut(found, cut)])

    def _shut(
        self, found: Sequence[tuple[int, str, datetime.date]], cut: Mapping[int, datetime.date]
    ) -> Iterator[tuple[int, str, datetime.date]]:
        """The same of countries in past weeks in which they were shut.

        Judged by what was known then: a later file changes no era.
        """
        last = {era: day for era, _, day in sorted(found, key=itemgetter(2)) if era < self.live_era}
        traded = {(era, name) for era, name, _ in found}
        for name, calendar in self.by_country.items():
            for era, day in last.items():
                until = cut.get(era, day)
                before = calendar.until(until) if (era, name) not in traded else None
                if before and until - before <= ENDED and not self.missing(name, until, before):
                    yield era, name, before

    @cached_property
    def id_dates(self) -> Mapping[tuple[int, str], datetime.date]:
        """By era and country the date that ids have, where it is not the country's day.

        It is the era's own, of the live era and of a week in which the country was shut: else an id would be there
        twice.
        """
        return {
            (era, name): self.eras[era]
            for era, name, day in self.era_days
            if era == self.live_era or self._era(day) != era
        }

    @cached_property
    def eras(self) -> Mapping[int, datetime.date]:
        """Era -> its date: Numerai's of that week, else the last day on which any country traded.

        No feature of an era is later than its date. The live era's is the data date.
        """
        dates = {era: day for era, day in self.last_sessions.items() if era != self.live_era}
        dates |= {era: day for day in self.named if (era := self._era(day)) in dates}
        return {**dates, self.live_era: self.data_date}

    @cached_property
    def last_sessions(self) -> Mapping[int, datetime.date]:
        """Era -> the newest of its countries' days."""
        return dict(sorted((era, day) for era, _, day in self.era_days))

    @cached_property
    def sessions(self) -> Mapping[str, int]:
        """Country -> the number of its trading days."""
        return {country: len(calendar.dates) for country, calendar in self.by_country.items()}

    def labels(self, horizons: Sequence[int], lag: int) -> list[Label]:
        """For each era and horizon when its label starts first and ends last; it has ended once it has everywhere.

        A country that has ended does not hold up the others: its own last labels stay unknown for good.
        """
        ended = {name for name, days in self.by_country.items() if days.dates[-1] < self.data_date - ENDED}
        spans: dict[int, list[tuple[str, datetime.date]]] = {}
        for era, name, day in self.era_days:
            spans.setdefault(era, []).append((name, day))
        out = []
        for era, days in spans.items():
            for horizon in horizons:
                starts = [self.by_country[name].after(day, lag) for name, day in days]
                ends = [(name, self.by_country[name].after(day, lag + horizon)) for name, day in days]
                is_open = any(end is None and name not in ended for name, end in ends)
                start = min((day for day in starts if day), default=None)
                end = None if is_open else max((day for _, day in ends if day), default=None)
                out.append(Label(era, self.eras[era], horizon, start, end))
        return out

    def _era(self, day: datetime.date) -> int:
        return (week_of(day) - self.first_week.toordinal()) // 7 + 1
