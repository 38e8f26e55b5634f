"""Which days of the raw prices are sessions of a country, and up to which date they are read.

A day is a session if at least `dates.session_share` of the tickers that usually trade have a price; on any other day a
row is a stray one: it stays in the table, without a session, and counts for nothing. The newest sessions are complete
if at least `dates.complete_share` of them have one. What usually trades is the median of the last sessions before.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eraflow.config.dates import Dates
from eraflow.errors import InputError
from eraflow.sources import bars
from eraflow.sources.calendar import Calendars
from eraflow.ticker_rows import TickerRows

USUAL = 10  # sessions by whose median it is told how many tickers usually trade
FORGOTTEN = datetime.timedelta(days=30)  # after so long without a session any day may be the next one
ALLOWED = 2  # tickers that may always lack in a complete session: halts and delistings of a small universe
LATE = 1  # sessions by which a country may be behind where Numerai names no date: it lies in another time zone

Counts = Mapping[str, Mapping[datetime.date, int]]


@dataclass(frozen=True)
class Read:
    """The sessions that are read, by country the last day that is, what it rests on, and what a user is told of it."""

    calendars: Calendars
    until: Mapping[str, datetime.date]
    counts: Counts
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Counted:
    """What one pass over the raw prices tells."""

    days: Counts  # by country and day the number of tickers with a price that counts
    rows: int
    faulty: int  # rows that fail a check by themselves
    repeats: int  # rows of a ticker and day beyond the first
    names: int  # tickers


def counted(raw: TickerRows, policies: Mapping[str, str]) -> Counted:
    """Counts raw prices (`fault_rows.marked`). A row that a policy drops for itself is as if the files lacked it."""
    # Some numbers for each task, country and trading day.
    table = bars.by_day(raw.collected(bars.Counts(dict(policies)), bars.COUNTS))
    days: dict[str, dict[datetime.date, int]] = {}
    for country, day, tickers in zip(
        *(table[name].to_pylist() for name in ("country", "date", "tickers")), strict=True
    ):
        if day is not None and country is not None and tickers:
            days.setdefault(country, {})[day] = tickers
    return Counted(days, *(int(pc.sum(table[name]).as_py() or 0) for name in ("rows", "faulty", "repeats", "names")))


def decided(
    counts: Counts,
    rules: Dates,
    where: str,
    live: datetime.date | None = None,
    holidays: Mapping[str, Set[datetime.date]] | None = None,
) -> Read:
    """What of the prices is read, cut at one data date: `live`, else the newest that all countries have reached.

    InputError: a country that `dates.late_countries` does not name has not reached it, or only a part of its tickers.
    """
    limit, partial = live, dict[tuple[str, datetime.date], _Session]()
    while True:
        found = {name: _sessions(days, rules, limit) for name, days in counts.items()}
        if not any(found.values()):
            then = f" on or before {live}, which is Numerai's live date" if live else ""
            raise InputError(f"{where} has no prices{then}; add them.")
        partly = {name: _incomplete(days, rules) for name, days in found.items()}
        partial |= {(name, day.date): day for name, days in partly.items() for day in days}
        whole = {name: [day.date for day in days[: len(days) - len(partly[name])]] for name, days in found.items()}
        calendars = Calendars.of(whole, live=live, holidays=holidays)
        data_date = _data_date(calendars, partly, rules, where)
        kept = {name: [day for day in days if day <= data_date] for name, days in whole.items()}
        if kept == whole and not any(day.date > data_date for days in partly.values() for day in days):
            break
        limit = data_date  # a session that another one followed may be the newest now, and incomplete
    until = {name: kept[name][-1] if partly[name] and kept[name] else data_date for name in counts}
    later = any(day > data_date for days in counts.values() for day in days)
    notes = [f"the newest era is of {data_date}; nothing later is read"] if live or later else []
    notes += [f"{_named(name)} is left out of the newest era: it has no prices of {days[-1]}"
              for name, days in calendars.late.items()]  # fmt: skip
    notes += [f"{_named(name)}: {day.date} is not read, only {day.tickers} of {day.usual:.0f} tickers have a price"
              for (name, _), day in sorted(partial.items())]  # fmt: skip
    return Read(calendars, until, counts, tuple(notes))


@dataclass(frozen=True)
class _Session:
    date: datetime.date
    tickers: int
    usual: float  # how many usually trade


def _sessions(days: Mapping[datetime.date, int], rules: Dates, live: datetime.date | None) -> list[_Session]:
    """Whether a day is a session depends on the days before it only: no later file changes it."""
    found: list[_Session] = []
    for day in sorted(day for day in days if live is None or day <= live):
        is_next = found and day - found[-1].date <= FORGOTTEN
        usual = median(session.tickers for session in found[-USUAL:]) if is_next else days[day]
        if days[day] >= rules.session_share * usual:
            found.append(_Session(day, days[day], usual))
    return found


def _incomplete(found: Sequence[_Session], rules: Dates) -> list[_Session]:
    """The newest sessions that too many tickers lack, up to the last complete one."""
    whole = len(found)
    while whole and _lacking(found[whole - 1]) > (1.0 - rules.complete_share) * found[whole - 1].usual:
        whole -= 1
    return list(found[whole:])


def _lacking(session: _Session) -> float:
    return lacking if (lacking := session.usual - session.tickers) > ALLOWED else 0.0


def _data_date(
    calendars: Calendars, partly: Mapping[str, Sequence[_Session]], rules: Dates, where: str
) -> datetime.date:
    """Numerai's date, else the newest day of trading that no country lacks, if none is behind by more than LATE.

    InputError: a country that may not be late is.
    """
    prompt = [name for name in calendars.by_country if name not in rules.late_countries] or [*calendars.by_country]
    live, days = calendars.live, sorted({day for name in prompt for day in calendars.by_country[name].dates})
    lacking = {name: calendars.missing(name, live or days[-1]) for name in prompt}
    for name, missing in lacking.items():
        allowed = 0 if live else LATE
        if len(missing) > allowed or len(partly[name]) > allowed:
            raise InputError(f"{where}: {_late(name, missing, partly[name], live or days[-1], live)}")
    first = min((missing[0] for missing in lacking.values() if missing), default=None)
    return live or next(day for day in reversed(days) if first is None or day < first)


def _late(
    name: str,
    missing: Sequence[datetime.date],
    partly: Sequence[_Session],
    data_date: datetime.date,
    live: datetime.date | None,
) -> str:
    if partly:
        day = partly[0]
        what = f"only {day.tickers} of {day.usual:.0f} tickers of {_named(name)} have a price on {day.date}"
        what, ways = what + _others(partly), ["lower dates.complete_share"]
    else:
        what = f"{_named(name)} has no prices of {missing[0]}{_others(missing)}"
        ways = ["name holidays in dates.holidays"]
    if name:
        ways.append(f"leave it out of the newest era by dates.late_countries=[{name}]")
    else:  # of a universe of several countries some are on holiday on most days
        ways.insert(0, "name their countries by prices.columns.country")
    whose = f"Numerai's live date is {data_date}" if live else f"the newest day is {data_date}"
    return f"{what}, and {whose}; bring them up to date, {', or '.join(ways)}."


def _others(days: Sequence[object]) -> str:
    later = len(days) - 1
    return f" and {later} later day{'s' if later > 1 else ''}" if later else ""


def _named(name: str) -> str:
    return f"country {name}" if name else "the universe"


def refuse_few_tickers(read: Read, where: str, least: int) -> None:
    """InputError where an era has fewer tickers than `least` (conf: prices.min_tickers)."""
    calendars, found = read.calendars, dict[int, int]()
    for era, country, day in calendars.era_days:
        found[era] = found.get(era, 0) + read.counts[country][day]
    for era, tickers in found.items():
        if tickers < least:
            raise InputError(
                f"{where}: on {calendars.eras[era]} (era {era}) only {tickers} tickers have a price, fewer than "
                f"{least} (prices.min_tickers); add the missing prices, cut that date away, or lower the minimum."
            )


@dataclass(frozen=True)
class Cut:
    """Leaves of a ticker's rows those that are read: of each country up to its last day.

    Rows without a date stay, for the check of rows.
    """

    until: Mapping[str, datetime.date]

    @classmethod
    def by(cls, read: Read) -> Cut:
        return cls({name: day for name, day in read.until.items() if max(read.counts[name]) > day})

    def __call__(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
        if not self.until:
            return (rows,)
        days, later = rows.column("date"), pa.array(np.zeros(rows.num_rows, dtype=bool))
        for country, day in self.until.items():
            is_its = pc.and_kleene(pc.equal(rows.column("country"), country), pc.greater(days, pa.scalar(day)))
            later = pc.or_(later, pc.fill_null(is_its, False))
        return (rows.filter(pc.invert(later)),)
