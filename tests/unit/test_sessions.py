"""Which days are sessions, when the newest is complete, and at which date all countries are cut."""

from collections.abc import Mapping
from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.sources.sessions import Counts, Read, decided, refuse_few_tickers

RULES = load([], []).dates
JAPAN_ONLY = RULES.model_copy(update={"late_countries": ("us",)})
LABOR_DAYS = ("2023-09-04", "2024-09-02", "2025-09-01", "2026-09-07")
FRIDAY, MONDAY, TUESDAY = date(2026, 9, 4), date(2026, 9, 7), date(2026, 9, 8)


def feed(last: str, tickers: int, *closed: str, first: str = "2023-01-02") -> dict[date, int]:
    days = pd.bdate_range(first, last).difference(pd.to_datetime(list(closed)))
    return dict.fromkeys(days.date, tickers)


def read(counts: Counts, live: date | None = None, **rules: object) -> Read:
    return decided(counts, RULES.model_copy(update=rules), "prices", live)


def newest(found: Read) -> dict[str, date]:
    return {name: calendar.dates[-1] for name, calendar in found.calendars.by_country.items()}


def refused(counts: Counts, live: date | None = None, **rules: object) -> str:
    with pytest.raises(InputError) as error:
        read(counts, live, **rules)
    return str(error.value)


def test_a_stray_row_on_a_holiday_makes_no_session_for_everyone_else() -> None:
    counts = {"us": {**feed("2026-09-11", 300, *LABOR_DAYS), MONDAY: 1}}

    found = read(counts)

    assert MONDAY not in found.calendars.by_country["us"].sessions
    assert found.calendars.data_date == date(2026, 9, 11)
    assert found.notes == ()


def test_a_sunday_row_at_an_exchange_that_is_shut_is_a_stray_one_wherever_it_stands() -> None:
    sunday = date(2026, 9, 6)
    between = read({"us": {**feed("2026-09-11", 300), sunday: 2}})
    at_the_end = read({"us": {**feed("2026-09-04", 300), sunday: 2}})

    assert sunday not in between.calendars.by_country["us"].sessions
    assert at_the_end.calendars.data_date == FRIDAY
    assert at_the_end.until == {"us": FRIDAY}
    assert at_the_end.notes == ("the newest era is of 2026-09-04; nothing later is read",)


def test_a_day_that_half_of_the_tickers_lack_is_a_session_and_with_fewer_it_is_none() -> None:
    wednesday = date(2026, 9, 2)
    half, fewer = ({"": {**feed("2026-09-11", 300), wednesday: n}} for n in (150, 149))

    assert wednesday in read(half).calendars.by_country[""].sessions
    assert wednesday not in read(fewer).calendars.by_country[""].sessions
    assert wednesday in read(fewer, session_share=0.4).calendars.by_country[""].sessions


def test_a_universe_that_shrank_for_good_trades_again_after_a_month() -> None:
    counts = {"": feed("2025-01-31", 1000) | feed("2026-09-04", 100, first="2025-02-03")}

    days = read(counts).calendars.by_country[""].dates

    assert next(day for day in days if day > date(2025, 1, 31)) == date(2025, 3, 3)
    assert days[-1] == FRIDAY


def test_a_universe_may_grow_and_lose_single_tickers() -> None:
    growing = {day: 1 + place for place, day in enumerate(feed("2026-09-04", 0))}
    losing = {day: max(20, 400 - place) for place, day in enumerate(feed("2026-09-04", 0))}

    for counts in (growing, losing):
        assert len(read({"": counts}).calendars.by_country[""].dates) == len(counts)


def test_the_newest_session_is_read_once_it_is_complete() -> None:
    before = feed("2026-09-04", 110)
    partly, whole = ({"": {**before, MONDAY: n}} for n in (101, 105))

    assert read(whole).calendars.data_date == MONDAY
    found = read(partly)
    assert found.calendars.data_date == FRIDAY
    assert found.until == {"": FRIDAY}
    assert found.notes == (
        "the newest era is of 2026-09-04; nothing later is read",
        "the universe: 2026-09-07 is not read, only 101 of 110 tickers have a price",
    )
    assert read(partly, complete_share=0.9).calendars.data_date == MONDAY
    assert read({"": {**feed("2026-09-04", 12), MONDAY: 10}}).calendars.data_date == MONDAY  # two may always lack


def test_a_feed_that_stays_half_there_stops_the_run() -> None:
    counts = {"": {**feed("2026-09-04", 110), MONDAY: 101, TUESDAY: 101}}

    assert refused(counts) == (
        "prices: only 101 of 110 tickers of the universe have a price on 2026-09-07 and 1 later day, and the newest "
        "day is 2026-09-04; bring them up to date, name their countries by prices.columns.country, or "
        "lower dates.complete_share."
    )
    assert refused({"": {**feed("2026-09-04", 110), MONDAY: 101}}, MONDAY) == (
        "prices: only 101 of 110 tickers of the universe have a price on 2026-09-07, and Numerai's live date is "
        "2026-09-07; bring them up to date, name their countries by prices.columns.country, or "
        "lower dates.complete_share."
    )


def test_all_countries_are_cut_at_numerais_date() -> None:
    """On Tuesday noon Tokyo has closed Tuesday, London has half a bar, New York has Monday."""
    tuesday = date(2026, 3, 10)
    counts = {"jp": feed("2026-03-10", 100), "gb": feed("2026-03-10", 80), "us": feed("2026-03-09", 300)}

    found = read(counts, tuesday - timedelta(days=1))

    assert newest(found) == dict.fromkeys(("gb", "jp", "us"), date(2026, 3, 9))
    assert found.notes == ("the newest era is of 2026-03-09; nothing later is read",)


def test_where_no_date_is_named_all_are_cut_at_the_last_one_that_all_have() -> None:
    counts = {"jp": feed("2026-03-10", 100), "us": feed("2026-03-09", 300)}

    found = read(counts)

    assert newest(found) == {"jp": date(2026, 3, 9), "us": date(2026, 3, 9)}
    assert found.until == {"jp": date(2026, 3, 9), "us": date(2026, 3, 9)}


@pytest.mark.parametrize("live", [None, date(2026, 3, 11)])
def test_a_country_that_is_late_stops_the_run_or_is_left_out_by_name(live: date | None) -> None:
    counts = {"jp": feed("2026-03-11", 100), "us": feed("2026-03-09", 300)}

    whose = "Numerai's live date" if live else "the newest day"
    assert refused(counts, live) == (
        f"prices: country us has no prices of 2026-03-10 and 1 later day, and {whose} is 2026-03-11; bring them up to "
        "date, name holidays in dates.holidays, or leave it out of the newest era by dates.late_countries=[us]."
    )
    found = read(counts, live, late_countries=("us",))
    assert newest(found) == {"jp": date(2026, 3, 11), "us": date(2026, 3, 9)}
    assert found.notes[-1] == "country us is left out of the newest era: it has no prices of 2026-03-11"
    assert [name for era, name, _ in found.calendars.era_days if era == found.calendars.live_era] == ["jp"]


def test_a_country_that_is_half_there_is_left_out_and_its_part_is_not_read() -> None:
    monday = date(2026, 3, 9)
    counts = {"jp": feed("2026-03-09", 100), "us": {**feed("2026-03-06", 300), monday: 200}}

    assert "only 200 of 300 tickers of country us have a price on 2026-03-09, and Numerai's" in refused(counts, monday)
    found = read(counts, monday, late_countries=("us",))
    assert newest(found) == {"jp": monday, "us": date(2026, 3, 6)}
    assert found.until == {"jp": monday, "us": date(2026, 3, 6)}
    assert found.notes[1:] == (
        "country us is left out of the newest era: it has no prices of 2026-03-09",
        "country us: 2026-03-09 is not read, only 200 of 300 tickers have a price",
    )


def test_a_holiday_on_a_monday_is_no_late_feed() -> None:
    both = {"jp": feed("2026-09-07", 100), "us": feed("2026-09-04", 300, *LABOR_DAYS)}

    for live in (MONDAY, None):
        found = read(both, live)
        assert found.calendars.data_date == MONDAY
        assert found.calendars.era_days[-2:] == [
            (found.calendars.live_era, "jp", MONDAY), (found.calendars.live_era, "us", FRIDAY),
        ]  # fmt: skip
    assert "country us has no prices of 2026-09-08" in refused(
        {"jp": feed("2026-09-08", 100), "us": both["us"]}, TUESDAY
    )


def test_a_country_without_prices_yet_is_not_there() -> None:
    later = feed("2026-09-04", 50, first="2026-09-01")

    found = read({"us": feed("2026-08-28", 300), "jp": later}, date(2026, 8, 28))

    assert newest(found) == {"us": date(2026, 8, 28)}
    assert "has no prices on or before 2022-01-01, which is Numerai's live date" in refused(
        {"us": later}, date(2022, 1, 1)
    )


def test_a_first_week_that_is_late_and_a_country_that_is_added_change_no_other() -> None:
    alone = {"us": feed("2026-09-04", 300)}
    added = {**alone, "jp": feed("2026-09-04", 100, first="2026-08-26")}

    one, both = read(alone).calendars, read(added).calendars
    assert both.by_country["us"] == one.by_country["us"]
    assert both.eras == one.eras
    assert [day for _, name, day in both.era_days if name == "jp"] == [date(2026, 8, 28), FRIDAY]


def test_an_era_with_too_few_tickers_is_refused() -> None:
    counts = {"us": feed("2026-09-04", 5), "jp": feed("2026-09-03", 15)}
    found = read(counts, FRIDAY, late_countries=("jp",))

    refuse_few_tickers(found, "prices", 5)
    with pytest.raises(InputError, match=r"on 2026-09-04 \(era 192\) only 5 tickers have a price, fewer than 6"):
        refuse_few_tickers(found, "prices", 6)


days = st.dictionaries(st.integers(0, 120), st.integers(1, 40), min_size=1, max_size=60)


def cut(counts: Counts, found: Read) -> Mapping[str, Mapping[date, int]]:
    return {name: {day: n for day, n in by_day.items() if day <= found.until[name]} for name, by_day in counts.items()}


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from("abc"), days, min_size=1), st.booleans())
def test_what_is_read_is_judged_the_same_again(given_days: dict[str, dict[int, int]], is_named: bool) -> None:
    """The table holds what was read; whoever reads it finds the same sessions, data date and live era."""
    counts = {
        name: {date(2026, 1, 1) + timedelta(days=offset): n for offset, n in by_day.items()}
        for name, by_day in given_days.items()
    }
    live = max(day for by_day in counts.values() for day in by_day) if is_named else None
    rules = RULES.model_copy(update={"late_countries": ("b", "c")})
    try:
        found = decided(counts, rules, "prices", live)
    except InputError:
        return
    again = decided(cut(counts, found), rules, "prices", live)

    assert again.calendars == found.calendars
    assert again.calendars.era_days == found.calendars.era_days
    assert all(day <= found.calendars.data_date for _, _, day in found.calendars.era_days)


@settings(deadline=None, max_examples=100)
@given(days, st.integers(0, 120))
def test_later_days_change_no_earlier_session(given_days: dict[int, int], end: int) -> None:
    counts = {date(2026, 1, 1) + timedelta(days=offset): n for offset, n in given_days.items()}
    live = date(2026, 1, 1) + timedelta(days=end)
    rules = RULES.model_copy(update={"late_countries": ("",)})
    try:
        early, whole = decided({"": counts}, rules, "prices", live), decided({"": counts}, rules, "prices")
    except InputError:
        return
    last = min(early.until[""], whole.until[""])
    dates = [[day for day in found.calendars.by_country[""].dates if day <= last] for found in (early, whole)]
    assert dates[0] == dates[1]
