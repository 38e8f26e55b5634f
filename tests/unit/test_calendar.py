"""Weekly eras and label dates of a list of trading days."""

from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.pipeline.feature_tables import graph_of
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
def test_weeks_run_from_saturday_to_friday(days: tuple[date, ...]) -> None:
    weeks = {day: pd.Timestamp(day).to_period("W-FRI") for day in days}
    newest = {week: day for day, week in weeks.items()}

    eras = Calendar(days).eras

    assert list(eras.values()) == list(newest.values())
    assert list(eras) == [(weeks[day] - weeks[days[0]]).n + 1 for day in eras.values()]


@settings(deadline=None, max_examples=50)
@given(trading_days, st.integers(0, 3), st.integers(1, 60))
def test_later_days_move_no_complete_era_and_no_known_label(days: tuple[date, ...], lag: int, horizon: int) -> None:
    whole, cut = Calendar(days), Calendar(days[: max(1, len(days) * 2 // 3)])

    complete = {era: day for era, day in cut.eras.items() if era < max(cut.eras)}
    assert {era: whole.eras[era] for era in complete} == complete
    settled = [label for label in cut.labels([horizon], lag) if label.end is not None and label.era in complete]
    assert set(settled) <= set(whole.labels([horizon], lag))


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


def test_a_country_alone_gives_its_own_calendar() -> None:
    days = Calendars.of({"": CLOSED_ON_FRIDAY})

    assert days.eras == Calendar(CLOSED_ON_FRIDAY).eras
    assert days.labels((3, 5), 2) == Calendar(CLOSED_ON_FRIDAY).labels((3, 5), 2)


def us(last: str, *closed: str) -> tuple[date, ...]:
    """Sessions since 2023, less the days on which the exchange has been closed since, and `closed`."""
    shut = ["2023-09-04", "2024-09-02", "2025-09-01", "2026-09-07"]  # Labor Day, the first Monday of September
    shut += ["2023-04-07", "2024-03-29", "2025-04-18", "2026-04-03"]  # Good Friday
    shut += ["2023-06-19", "2024-06-19", "2025-06-19", "2026-06-19"]  # Juneteenth, a Friday in 2026
    shut += ["2023-07-04", "2024-07-04", "2025-07-04", "2026-07-03"]  # Independence Day, a Saturday in 2026
    shut += ["2023-12-25", "2024-12-25", "2025-12-25", "2026-12-25"]
    return weekdays("2023-01-02", last, *shut, *closed).dates


def tokyo(last: str) -> tuple[date, ...]:
    return weekdays("2023-01-02", last).dates


@pytest.mark.parametrize("friday", ["2026-04-03", "2026-06-19", "2026-07-03", "2026-12-25"])
def test_on_a_friday_holiday_a_country_stands_at_its_thursday(friday: str) -> None:
    day = date.fromisoformat(friday)
    both = Calendars.of({"jp": tokyo(friday), "us": us(friday)}, named=[day], live=day)

    thursday = day - timedelta(days=1)
    assert both.late == {}
    assert both.era_days[-2:] == [(both.live_era, "jp", day), (both.live_era, "us", thursday)]
    assert both.eras[both.live_era] == day

    alone = Calendars.of({"us": us(friday)}, named=[day], live=day)
    assert alone.era_days[-1] == (alone.live_era, "us", thursday)
    assert alone.eras[alone.live_era] == day  # Numerai's row of that day is no later than the era


def test_on_a_monday_holiday_a_country_stands_at_its_friday_in_an_era_of_its_own() -> None:
    monday, friday = date(2026, 9, 7), date(2026, 9, 4)
    both = Calendars.of({"jp": tokyo("2026-09-07"), "us": us("2026-09-07")}, named=[friday, monday], live=monday)

    live = both.live_era
    assert both.late == {}
    assert both.era_days[-4:] == [
        (live - 1, "jp", friday),
        (live - 1, "us", friday),
        (live, "jp", monday),
        (live, "us", friday),
    ]
    assert (both.eras[live - 1], both.eras[live]) == (friday, monday)
    assert both.last_sessions[live] == monday


def test_a_country_that_is_late_is_not_in_the_live_era() -> None:
    monday = date(2026, 3, 9)
    both = Calendars.of({"jp": tokyo("2026-03-09"), "us": us("2026-03-06")}, live=monday)

    assert both.late == {"us": [monday]}
    assert [name for era, name, _ in both.era_days if era == both.live_era] == ["jp"]
    assert (
        Calendars.of({"jp": tokyo("2026-03-09"), "us": us("2026-03-06")}, live=monday, holidays={"us": {monday}}).late
        == {}
    )


def gulf(last: str) -> tuple[date, ...]:
    """Sunday to Thursday."""
    return tuple(pd.bdate_range("2023-01-01", last, freq="C", weekmask="Sun Mon Tue Wed Thu").date)


def test_a_gulf_week_ends_on_thursday_and_its_sunday_belongs_to_the_next() -> None:
    friday = date(2026, 4, 24)
    both = Calendars.of({"jp": tokyo("2026-04-24"), "sa": gulf("2026-04-26")}, named=[friday], live=friday)

    live = both.live_era
    assert both.era_days[-2:] == [(live, "jp", friday), (live, "sa", date(2026, 4, 23))]
    assert both.late == {}  # it does not trade on Fridays
    assert all(day <= both.eras[era] for era, _, day in both.era_days)

    monday = Calendars.of({"jp": tokyo("2026-04-27"), "sa": gulf("2026-04-27")}, live=date(2026, 4, 27))
    assert monday.era_days[-2:] == [(live + 1, "jp", date(2026, 4, 27)), (live + 1, "sa", date(2026, 4, 27))]


def test_a_sunday_session_meets_no_row_of_the_friday_before() -> None:
    days = weekdays("2026-03-02", "2026-04-24").dates
    special = Calendars.of({"in": (*days, date(2026, 4, 5))}, named=[date(2026, 4, 3), date(2026, 4, 10)])

    by_era = {era: day for era, _, day in special.era_days}
    assert (by_era[5], by_era[6]) == (date(2026, 4, 3), date(2026, 4, 10))
    alone = Calendars.of({"in": (*days[:25], date(2026, 4, 5))})  # the newest session of all
    assert (alone.eras[5], alone.eras[6], alone.data_date) == (date(2026, 4, 3), date(2026, 4, 5), date(2026, 4, 5))


def test_numerais_date_is_the_eras_and_no_later_session_is_in_it() -> None:
    thursday = date(2026, 4, 16)
    days = Calendars.of({"": weekdays("2026-03-02", "2026-04-24").dates}, named=[thursday])

    assert days.eras[7] == thursday
    assert (7, "", thursday) in days.era_days


def test_a_country_whose_data_end_holds_up_no_label_of_the_others() -> None:
    us_days, ru_days = us("2026-06-12"), tokyo("2026-02-25")
    alone, both = Calendars.of({"us": us_days}), Calendars.of({"us": us_days, "ru": ru_days})

    ends = {label.era: label.end for label in both.labels((20,), 2)}
    assert {label.era: label.end is None for label in alone.labels((20,), 2)} == {
        era: end is None for era, end in ends.items()
    }
    assert not [era for era, name, day in both.era_days if name == "ru" and day > date(2026, 2, 25)]
    assert both.live_era not in [era for era, name, _ in both.era_days if name == "ru"]


def test_a_country_that_was_closed_for_a_week_holds_labels_open() -> None:
    both = Calendars.of({"us": CLOSED_ON_FRIDAY, "jp": CLOSED_ON_FRIDAY[:-6]})

    us_end = {label.era: label.end for label in Calendars.of({"us": CLOSED_ON_FRIDAY}).labels((10,), 2)}
    found = {label.era: label.end for label in both.labels((10,), 2)}
    assert us_end[2] is not None
    assert found[2] is None


def test_a_country_with_an_earlier_first_week_moves_all_numbers_and_one_that_starts_later_none() -> None:
    late = CLOSED_ON_FRIDAY[12:]
    both = Calendars.of({"us": CLOSED_ON_FRIDAY, "jp": late})

    assert both.eras == Calendars.of({"us": CLOSED_ON_FRIDAY}).eras
    assert min(era for era, name, _ in both.era_days if name == "jp") == 3
    earlier = Calendars.of({"us": CLOSED_ON_FRIDAY, "jp": CLOSED_FOR_A_WEEK})
    assert {era - 1: day for era, day in earlier.eras.items() if era > 1}.keys() == both.eras.keys()


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from("abc"), trading_days, min_size=1), st.sets(st.integers(0, 420)))
def test_no_day_of_an_era_is_later_than_its_date(days: dict[str, tuple[date, ...]], named: set[int]) -> None:
    names = [date(2003, 1, 1) + timedelta(days=offset) for offset in named]
    found = Calendars.of(days, named=names)

    assert set(found.last_sessions) <= set(found.eras)
    assert all(day <= found.eras[era] for era, _, day in found.era_days)
    assert len({(era, name) for era, name, _ in found.era_days}) == len(found.era_days)
    dates = [day for _, day in sorted(found.eras.items())]
    assert dates == sorted(set(dates))


@given(st.sets(st.dates(date(1950, 1, 1), date(2199, 12, 31)), min_size=1))
def test_packed_days_are_the_days(days: set[date]) -> None:
    calendar = Calendar(tuple(sorted(days)))

    assert Calendar.unpacked(calendar.packed) == calendar


def test_twenty_years_of_days_are_packed_in_some_hundred_characters() -> None:
    assert len(weekdays("2000-01-03", "2019-12-31").packed) < 1300


def test_an_era_uses_the_graph_of_the_first_of_its_weeks() -> None:
    days = Calendars.of({"us": weekdays("2010-01-04", "2010-03-12").dates})  # ten weeks

    assert graph_of(days, 1) == {era: era for era in range(1, 11)}
    assert graph_of(days, 4) == {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 4, 7: 4, 8: 8, 9: 8, 10: 8}


def test_a_live_week_without_a_session_goes_on_with_the_graph_before_it() -> None:
    days = Calendars.of({"us": weekdays("2010-01-04", "2010-01-29").dates}, live=date(2010, 2, 1))

    assert days.live_era == 5
    assert graph_of(days, 1)[5] == 4
    assert graph_of(days, 4)[5] == 4


def test_a_country_that_is_shut_all_week_stands_at_its_last_session_in_the_past_as_in_the_live_era() -> None:
    """As Numerai's row of that week does: Japan's Golden Week of 2019, which the user has named."""
    usual = pd.bdate_range("2018-01-01", "2019-06-28")
    golden = pd.bdate_range("2019-04-29", "2019-05-03")
    days = {"us": list(usual.date), "jp": list(usual.difference(golden).date)}
    named = {"jp": set(golden.date)}

    found = Calendars.of(days, holidays=named)
    weeks = {era: day for era, name, day in found.era_days if name == "jp"}
    shut = 70  # the era of the week, and the one before it

    assert found.eras[shut] == date(2019, 5, 3)
    assert (weeks[shut - 1], weeks[shut], weeks[shut + 1]) == (date(2019, 4, 26), date(2019, 4, 26), date(2019, 5, 10))
    assert found.id_dates == {(shut, "jp"): date(2019, 5, 3), **{(78, name): date(2019, 6, 28) for name in days}}
    then = Calendars.of(
        {name: [day for day in its if day <= date(2019, 5, 3)] for name, its in days.items()}, holidays=named
    )
    assert [row for row in found.era_days if row[0] < shut] == [row for row in then.era_days if row[0] < shut]
    assert {row[1:] for row in then.era_days if row[0] == shut} == {row[1:] for row in found.era_days if row[0] == shut}
    assert shut not in {era for era, name, _ in Calendars.of(days).era_days if name == "jp"}


def test_a_country_that_has_ended_stands_nowhere() -> None:
    usual = pd.bdate_range("2018-01-01", "2019-06-28")
    days = {"us": list(usual.date), "hk": list(usual[:200].date)}
    every = {day.date() for day in pd.date_range("2018-01-01", "2019-12-31")}

    ended = Calendars.of({"hk": days["hk"]}).live_era

    def last(found: Calendars) -> int:
        return max(era for era, name, _ in found.era_days if name == "hk" and era < found.live_era)

    assert last(Calendars.of(days)) == ended
    assert last(Calendars.of(days, holidays={"hk": every})) == ended + 2  # two weeks, however long it may be shut
