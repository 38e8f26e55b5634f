"""How far labels reach, in eras."""

from datetime import date, timedelta

from eraflow.spans import EraSpan, label_reach

FRIDAYS = {era: date(2021, 1, 1) + timedelta(weeks=era) for era in range(1, 30)}


def test_a_label_is_known_an_era_after_the_last_that_it_reaches() -> None:
    for days, reach in {20: 2, 28: 4, 30: 4, 34: 4, 35: 5}.items():
        spans = [EraSpan(era, day, day + timedelta(days=days)) for era, day in FRIDAYS.items() if era < 20]
        assert label_reach(spans, FRIDAYS) == reach


def test_a_week_without_an_era_counts_by_its_number() -> None:
    gap = {era: day for era, day in FRIDAYS.items() if era not in (4, 5)}
    spans = [EraSpan(3, FRIDAYS[3], FRIDAYS[6])]

    assert label_reach(spans, gap) == 3
