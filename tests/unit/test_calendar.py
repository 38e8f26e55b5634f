"""Weekly eras and label dates of a list of trading days."""

from datetime import date, timedelta

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.sources.calendar import Calendar, Calendars, Label


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


CLOSED_ON_FRIDAY = weekdays("2010-03-29", "2010-04-30", "2010-04-02").dates
CLOSED_FOR_A_WEEK = weekdays("2010-03-22", "2010-04-30", *pd.bdate_range("2010-04-05", "2010-04-09").astype(str)).dates


def test_weeks_are_common_to_countries_and_days_are_their_own() -> None:
    both = Calendars.of({"us": CLOSED_ON_FRIDAY, "jp": CLOSED_FOR_A_WEEK})

    assert both.era_days[:5] == [
        (1, "jp", date(2010, 3, 26)),
        (2, "jp", date(2010, 4, 2)),
        (2, "us", date(2010, 4, 1)),
        (3, "us", date(2010, 4, 9)),
        (4, "jp", date(2010, 4, 16)),
    ]
    assert both.eras[2] == date(2010, 4, 2)
    assert both.sessions == {"jp": len(CLOSED_FOR_A_WEEK), "us": len(CLOSED_ON_FRIDAY)}


def test_a_label_spans_those_of_all_countries_and_ends_when_all_have() -> None:
    both = Calendars.of({"us": CLOSED_ON_FRIDAY, "jp": CLOSED_FOR_A_WEEK})
    found = {label.era: label for label in both.labels((10,), lag=2)}

    # Era 2 starts on Tuesday 6 April in the US; in Japan two days after the week without trading.
    assert found[2] == Label(2, date(2010, 4, 2), 10, start=date(2010, 4, 6), end=date(2010, 4, 27))
    assert found[4].end is None


def test_a_country_alone_gives_its_own_calendar_whatever_was_known_before() -> None:
    days = Calendars.of({"": CLOSED_ON_FRIDAY})
    again = Calendars.of({"": CLOSED_ON_FRIDAY[10:]}, before=days.until(CLOSED_ON_FRIDAY[10]))

    assert again == days
    assert days.eras == Calendar(CLOSED_ON_FRIDAY).eras
    assert days.labels((3, 5), 2) == Calendar(CLOSED_ON_FRIDAY).labels((3, 5), 2)
