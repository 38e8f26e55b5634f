"""Over which time the labels of eras run, and what follows from it: reach, overlap, spans of eras without dates.

Plain Python over sorted eras.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import ceil
from operator import attrgetter

from eraflow.errors import InputError

SESSIONS_PER_WEEK = 4.82  # trading days between two weekly eras: their mean, holidays counted
LABEL_LAG_DAYS = 2  # trading days between an era and the first return of its label
CLASSIC_MARGIN = 3  # eras dropped beyond a label's reach: 8 in all for 20 days, 16 for 60, as the benchmark models do

Moment = date | int


@dataclass(frozen=True)
class EraSpan:
    """First and last moment over which the labels of one era run, both of them included.

    `start` and `end` are two dates, or two whole numbers (era numbers, where there are no dates); anything else, or an
    end before the start, is an `InputError`. With `start = end = era` labels never overlap and nothing is purged: only
    for tests that show what the purge is worth.
    """

    era: int
    start: Moment
    end: Moment

    def __post_init__(self) -> None:
        label = f"the label of era {self.era} runs from {self.start!r} until {self.end!r}"
        if type(self.start) not in (date, int) or type(self.end) is not type(self.start):
            raise InputError(f"{label}; give two dates or two whole numbers.")
        if self.last < self.first:
            raise InputError(f"{label} and so ends before it starts; mend these dates.")

    @property
    def first(self) -> int:
        """The start as a number that can be compared."""
        return self.start.toordinal() if isinstance(self.start, date) else self.start

    @property
    def last(self) -> int:
        """The end as a number that can be compared."""
        return self.end.toordinal() if isinstance(self.end, date) else self.end


def reaching(spans: Sequence[EraSpan], others: Sequence[EraSpan]) -> list[EraSpan]:
    """The spans, each as long as the longest label of its era that has ended: of one target, or of another one."""
    ends = {span.era: span.end for span in others}
    return [max(span, replace(span, end=ends.get(span.era, span.end)), key=attrgetter("last")) for span in spans]


def label_reach(spans: Sequence[EraSpan], era_dates: Mapping[int, date]) -> int:
    """The most eras from a label's own to the last one on whose date it has not ended before: one later it is known."""
    eras = sorted(era_dates)
    days = [era_dates[era].toordinal() for era in eras]
    return max((eras[bisect_right(days, span.last) - 1] - span.era for span in spans), default=1)


def overlapping(starts: Sequence[date], ends: Sequence[date]) -> int:
    """How many consecutive labels share a moment with one of them, at most; 1 where none does. Both are ascending."""
    return max((bisect_left(starts, end) - position for position, end in enumerate(ends)), default=1)


def reach_in_eras(horizon_days: int) -> int:
    """Number of weekly eras that a label of `horizon_days` trading days reaches on: 5 for 20 days, 13 for 60."""
    return ceil((horizon_days + LABEL_LAG_DAYS) / SESSIONS_PER_WEEK)


def spans_from_numbers(eras: Sequence[int], horizon_days: int, extra: int = CLASSIC_MARGIN) -> list[EraSpan]:
    """Label spans in weekly era numbers, for data without dates (Classic).

    With the default `extra` the splitters drop 8 eras for 20 days and 16 for 60. Pass `extra=0` beside an explicit
    purge: then a purge from 5 (13) eras on is taken, a gap of 6 (14), and a smaller one refused.
    """
    if horizon_days < 1 or extra < 0:
        raise InputError(f"a horizon of {horizon_days} days and {extra} eras more; give at least 1 day and 0 eras.")
    reach = reach_in_eras(horizon_days) + extra
    return [EraSpan(int(era), int(era), int(era) + reach) for era in eras]
