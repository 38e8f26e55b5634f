"""Trading days and weekly eras of a universe, of one country or several.

Plain Python over sorted dates, some thousand for each country.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Label:
    """The days whose prices a label is the return between; `end` is None where the horizon has not passed yet."""

    era: int
    date: datetime.date
    horizon: int
    start: datetime.date | None
    end: datetime.date | None


@dataclass(frozen=True)
class Calendar:
    """The dates on which anything traded, ascending. A date's session is its position among them.

    Weeks count from `first_monday` (an ordinal), by default the one of the first date.
    """

    dates: tuple[datetime.date, ...]
    first_monday: int | None = None

    @cached_property
    def eras(self) -> Mapping[int, datetime.date]:
        """Era -> its date, the last trading day of its week.

        Eras count weeks from the first (1), so that a week without trading leaves a hole and no later number moves.
        The last era may be of a week that is not over: its date is the newest, which live predictions are made for.
        """
        monday = _monday(self.dates[0]) if self.first_monday is None else self.first_monday
        return {(day.toordinal() - monday) // 7 + 1: day for day in self.dates}

    @cached_property
    def sessions(self) -> Mapping[datetime.date, int]:
        return {day: session for session, day in enumerate(self.dates)}

    def labels(self, horizons: Sequence[int], lag: int) -> list[Label]:
        """For each era and horizon when its label starts (`lag` sessions after the era's date) and ends."""
        return [
            Label(era, day, horizon, self._after(day, lag), self._after(day, lag + horizon))
            for era, day in self.eras.items()
            for horizon in horizons
        ]

    def _after(self, day: datetime.date, sessions: int) -> datetime.date | None:
        session = self.sessions[day] + sessions
        return self.dates[session] if session < len(self.dates) else None


@dataclass(frozen=True)
class Calendars:
    """The trading days of each country. Weeks, and so eras, are common to all."""

    by_country: Mapping[str, Calendar]

    @classmethod
    def of(cls, days: Mapping[str, Iterable[datetime.date]], before: Calendars | None = None) -> Calendars:
        """From the days of each country in any order, and those that were known before."""
        known = before.by_country if before else {}
        found = {
            country: tuple(sorted({*days.get(country, ()), *(known[country].dates if country in known else ())}))
            for country in sorted({*days, *known})
        }
        monday = min((_monday(dates[0]) for dates in found.values()), default=None)
        return cls({country: Calendar(dates, monday) for country, dates in found.items()})

    def until(self, day: datetime.date) -> Calendars:
        """The days before `day`."""
        kept = {country: [d for d in calendar.dates if d < day] for country, calendar in self.by_country.items()}
        return Calendars.of({country: days for country, days in kept.items() if days})

    @cached_property
    def era_days(self) -> list[tuple[int, str, datetime.date]]:
        """(era, country, its last trading day of that week), by era."""
        return sorted(
            (era, name, day) for name, calendar in self.by_country.items() for era, day in calendar.eras.items()
        )

    @cached_property
    def eras(self) -> Mapping[int, datetime.date]:
        """Era -> its date, the last day of its week on which any country traded."""
        return dict(sorted((era, day) for era, _, day in self.era_days))

    @cached_property
    def sessions(self) -> Mapping[str, int]:
        """Country -> the number of its trading days."""
        return {country: len(calendar.dates) for country, calendar in self.by_country.items()}

    def labels(self, horizons: Sequence[int], lag: int) -> list[Label]:
        """For each era and horizon when its label starts first and ends last; it has ended once it has everywhere."""
        own: dict[tuple[int, int], list[Label]] = {}
        for calendar in self.by_country.values():
            for label in calendar.labels(horizons, lag):
                own.setdefault((label.horizon, label.era), []).append(label)
        out = []
        for (horizon, era), labels in own.items():
            starts, ends = [x.start for x in labels], [x.end for x in labels]
            start, end = min((x for x in starts if x), default=None), max((x for x in ends if x), default=None)
            open_ended = None in ends
            out.append(Label(era, self.eras[era], horizon, start, None if open_ended else end))
        return sorted(out, key=lambda label: (label.era, horizons.index(label.horizon)))


def _monday(day: datetime.date) -> int:
    return day.toordinal() - day.weekday()
