"""Weekly eras and label dates of a list of trading days."""

from datetime import date, timedelta

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.sources.calendar import Calendar, Label


def weekdays(first: str, last: str, *closed: str) -> Calendar:
    """Monday to Friday, less the days on which the exchange is closed."""
    days = pd.bdate_range(first, last).difference(pd.to_datetime(list(closed)))
    return Calendar(tuple(days.date))


def test_an_era_is_the_last_trading_day_of_its_week() -> None:
    calendar = weekdays("2010-03-15", "2010-04-09", "2010-04-02")  # Good Friday

    assert calendar.eras == {
        1: date(2010, 3, 19),
        2: date(2010, 3, 26),
        3: date(2010, 4, 1),
        4: date(2010, 4, 9),
    }


def test_a_first_week_that_starts_on_a_friday_is_an_era() -> None:
    assert weekdays("2010-03-19", "2010-03-26").eras == {1: date(2010, 3, 19), 2: date(2010, 3, 26)}


def test_a_week_without_trading_leaves_a_hole_in_the_numbers() -> None:
    closed = ("2001-09-10", "2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14")
    calendar = weekdays("2001-09-03", "2001-09-21", *closed)

    assert calendar.eras == {1: date(2001, 9, 7), 3: date(2001, 9, 21)}


def test_the_last_era_of_an_unfinished_week_is_its_newest_day() -> None:
    assert weekdays("2010-06-07", "2010-06-16").eras == {1: date(2010, 6, 11), 2: date(2010, 6, 16)}


def test_a_session_is_the_position_among_trading_days() -> None:
    calendar = weekdays("2010-04-01", "2010-04-06", "2010-04-02")

    assert calendar.sessions == {date(2010, 4, 1): 0, date(2010, 4, 5): 1, date(2010, 4, 6): 2}


def test_labels_count_trading_days_and_end_is_none_until_it_has_passed() -> None:
    calendar = weekdays("2010-03-29", "2010-04-09", "2010-04-02")  # nine days

    assert calendar.labels(horizons=(3, 5), lag=2) == [
        Label(1, date(2010, 4, 1), 3, start=date(2010, 4, 6), end=date(2010, 4, 9)),
        Label(1, date(2010, 4, 1), 5, start=date(2010, 4, 6), end=None),
        Label(2, date(2010, 4, 9), 3, start=None, end=None),
        Label(2, date(2010, 4, 9), 5, start=None, end=None),
    ]


trading_days = st.sets(st.integers(0, 400), min_size=1).map(
    lambda offsets: tuple(date(2003, 1, 1) + timedelta(days=offset) for offset in sorted(offsets))
)


@settings(deadline=None, max_examples=50)
@given(trading_days)
def test_eras_agree_with_iso_weeks(days: tuple[date, ...]) -> None:
    newest = {day.isocalendar()[:2]: day for day in days}

    eras = Calendar(days).eras

    assert list(eras.values()) == list(newest.values())
    first = pd.Timestamp(days[0]).to_period("W")
    assert list(eras) == [(pd.Timestamp(day).to_period("W") - first).n + 1 for day in eras.values()]


@settings(deadline=None, max_examples=50)
@given(trading_days, st.integers(0, 3), st.integers(1, 60))
def test_later_days_move_no_complete_era_and_no_known_label(days: tuple[date, ...], lag: int, horizon: int) -> None:
    whole, cut = Calendar(days), Calendar(days[: max(1, len(days) * 2 // 3)])

    complete = {era: day for era, day in cut.eras.items() if era < max(cut.eras)}
    assert {era: whole.eras[era] for era in complete} == complete
    known = [label for label in cut.labels([horizon], lag) if label.end is not None and label.era in complete]
    assert set(known) <= set(whole.labels([horizon], lag))
