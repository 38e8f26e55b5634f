"""Holidays that an exchange's own past tells, held against the rules of New York's and against its real closures."""

import os
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from pandas.tseries.holiday import (
    AbstractHolidayCalendar,
    GoodFriday,
    Holiday,
    USLaborDay,
    USMartinLutherKingJr,
    USMemorialDay,
    USPresidentsDay,
    USThanksgivingDay,
    nearest_workday,
)

from eraflow.sources.closures import easter, is_holiday, missing, usual_weekdays


class NewYork(AbstractHolidayCalendar):
    """The exchange's holidays; a New Year's Day on a Saturday is not made up for."""

    rules: ClassVar[list[Holiday]] = [
        USMartinLutherKingJr, USPresidentsDay, GoodFriday, USMemorialDay, USLaborDay, USThanksgivingDay,
        Holiday("New Year", month=1, day=1, observance=lambda day: day + timedelta(days=day.weekday() == 6)),
        Holiday("Juneteenth", month=6, day=19, start_date="2022-01-01", observance=nearest_workday),
        Holiday("Independence Day", month=7, day=4, observance=nearest_workday),
        Holiday("Christmas", month=12, day=25, observance=nearest_workday),
    ]  # fmt: skip


def sessions(first: str, last: str, weekmask: str = "Mon Tue Wed Thu Fri") -> list[date]:
    shut = NewYork().holidays(first, last)
    return list(pd.bdate_range(first, last, freq="C", weekmask=weekmask, holidays=list(shut)).date)


def test_all_holidays_of_2026_are_told_and_no_other_day() -> None:
    past = sessions("2019-01-02", "2025-12-31")
    weekdays = [day.date() for day in pd.bdate_range("2026-01-01", "2026-12-31")]

    holidays = [day for day in weekdays if is_holiday(day, frozenset(past), past[0])]

    wanted = [day.date() for day in NewYork().holidays("2026-01-01", "2026-12-31")]
    assert [str(day) for day in wanted if day.month == 7] == ["2026-07-03"]  # the 4th is a Saturday
    assert sorted(set(holidays) - set(wanted)) == []
    assert sorted(set(wanted) - set(holidays)) == []


def test_two_like_years_are_needed() -> None:
    labor_day = date(2026, 9, 7)
    one, two = sessions("2025-01-02", "2026-09-04"), sessions("2024-01-02", "2026-09-04")

    assert missing(one, labor_day) == [labor_day]
    assert missing(two, labor_day) == []
    assert missing(one, labor_day, {labor_day}) == []


def test_prices_that_lack_a_week_lack_all_its_days_but_the_holiday() -> None:
    days = sessions("2019-01-02", "2026-08-31")

    assert [str(day) for day in missing(days, date(2026, 9, 9))] == [
        "2026-09-01", "2026-09-02", "2026-09-03", "2026-09-04", "2026-09-08", "2026-09-09",
    ]  # fmt: skip
    assert missing(days, date(2026, 8, 31)) == []


def test_an_exchange_trades_on_its_this_weekdays() -> None:
    gulf = sessions("2025-01-01", "2026-04-23", "Sun Mon Tue Wed Thu")

    assert usual_weekdays(gulf) == {6, 0, 1, 2, 3}
    assert missing(gulf, date(2026, 4, 25)) == []  # Friday and Saturday
    assert missing(gulf, date(2026, 4, 27)) == [date(2026, 4, 26), date(2026, 4, 27)]
    assert usual_weekdays(gulf[:3]) == {0, 1, 2, 3, 4}  # too short to tell


def test_easter() -> None:
    assert [easter(year) for year in (2000, 2008, 2025, 2026)] == [
        date(2000, 4, 23), date(2008, 3, 23), date(2025, 4, 20), date(2026, 4, 5),
    ]  # fmt: skip


def test_the_closures_of_the_real_prices_are_told() -> None:
    path = Path(os.environ.get("ERAFLOW_REAL_DATA", "../shared/data")) / "sp500_daily_1999_2018.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there: ERAFLOW_REAL_DATA names the folder with real prices")
    days = sorted(pd.to_datetime(pd.read_parquet(path, columns=["date"])["date"].unique()).date)
    traded, year = frozenset(days), date(2003, 1, 1)
    shut = [day.date() for day in pd.bdate_range(year, days[-1]) if day.date() not in traded]

    untold = [str(day) for day in shut if not is_holiday(day, traded, days[0])]
    wrong = [day for day in days if day >= year and is_holiday(day, traded, days[0])]

    # Two presidents' funerals and a third, a hurricane: nobody could have known them.
    assert untold == ["2004-06-11", "2007-01-02", "2012-10-29", "2012-10-30", "2018-12-05"]
    assert len(shut) == 147
    assert len(wrong) <= 20  # of 4,026 days: Christmas Eve and the like
