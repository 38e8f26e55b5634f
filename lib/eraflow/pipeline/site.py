"""What steps share: where tables lie, the settings, and the days that tables of prices and Numerai's files name."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from eraflow.config import Config
from eraflow.progress import Progress
from eraflow.sources import reference, signals_files
from eraflow.sources.calendar import Calendar, Calendars
from eraflow.tables import Store, Version


@dataclass(frozen=True)
class Site:
    """Where tables lie and what they are made by.

    The features of the days of `rebuild` are made again in any case. They are kept of every day where `every_day` says
    so or networks are learned, else of the days of eras, which are all that a training table reads.
    """

    store: Store
    config: Config
    progress: Progress
    rebuild: tuple[date, date] | None = None
    every_day: bool = False


@dataclass(frozen=True)
class Days:
    """Trading days and eras: of the tables that are there, and as Numerai and the user name them."""

    site: Site
    _calendars: dict[tuple[str, int, int | None], Calendars] = field(default_factory=dict)

    def of(self, prices: Version, signals: Version | None = None) -> Calendars:
        """Of these versions of the tables. Trading days stand in the manifest of the prices."""
        key = prices.table, prices.number, signals.number if signals else None
        if key not in self._calendars:
            days = {name: Calendar.unpacked(text).dates for name, text in prices.manifest["sessions"].items()}
            named = signals_files.dates(self.site.store.read(signals)) if signals else []
            self._calendars[key] = Calendars.of(days, named, self.live, self.holidays)
        return self._calendars[key]

    @cached_property
    def live(self) -> date | None:
        """Numerai's date of the live rows, where its files have them."""
        return signals_files.live_date(self.site.store.spark, self.site.config.signals)

    @cached_property
    def holidays(self) -> dict[str, set[date]]:
        return reference.holidays(self.site.store.spark, self.site.config.dates.holidays)

    @property
    def named(self) -> list[object]:
        """What the dates of eras depend on, beside prices and Numerai's rows."""
        return [self.live, sorted((country, sorted(days)) for country, days in self.holidays.items())]
