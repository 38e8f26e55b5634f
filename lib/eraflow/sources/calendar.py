"""Trading days and weekly eras of a universe: plain Python over its sorted dates (some thousand at the most)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
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
    """The dates on which anything traded, ascending. A date's session is its position among them."""

    dates: tuple[datetime.date, ...]

    @cached_property
    def eras(self) -> Mapping[int, datetime.date]:
        """Era -> its date, the last trading day of its week.

        Eras count weeks from the first (1), so that a week without trading leaves a hole and no later number moves.
        The last era may be of a week that is not over: its date is the newest, which live predictions are made for.
        """
        monday = self.dates[0].toordinal() - self.dates[0].weekday()
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
