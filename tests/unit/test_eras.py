"""The eras of a data set: which are held back by the first of them."""

from datetime import date, timedelta

import pytest

from eraflow.errors import InputError
from eraflow.pipeline.dataset import Eras
from eraflow.spans import EraSpan


def weekly(count: int, dated: bool = True) -> Eras:
    fridays = {era: date(2020, 1, 3) + timedelta(weeks=era - 1) for era in range(1, count + 2)}
    spans = [EraSpan(era, fridays[era], fridays[era] + timedelta(days=30)) for era in range(1, count + 1)]
    return Eras(spans, 5, count + 1, fridays if dated else {})


def test_a_holdout_is_named_by_its_first_era_and_grows_with_new_weeks() -> None:
    assert weekly(20).since(15) == 6
    assert weekly(21).since(15) == 7
    assert weekly(20).since(date(2020, 4, 10)) == 6  # the date of era 15
    assert weekly(20).since(date(2020, 4, 11)) == 5
    assert weekly(20, dated=False).since(15) == 6


def test_a_holdout_that_begins_nowhere_is_told() -> None:
    with pytest.raises(InputError, match="no era with a known target is at 21 or later; the last is 2020-05-15"):
        weekly(20).since(21)
    with pytest.raises(InputError, match="eras have no dates here; name one by its number, not 2020-04-10"):
        weekly(20, dated=False).since(date(2020, 4, 10))
