"""Labels of a ticker as a task computes them: what its bars in the table do not usually hold."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from eraflow.features.training import OnDays, _labelled, _Labels, by_country

DAYS = [date(2020, 1, 6) + timedelta(days=day) for day in range(40)]
HORIZON, LAG = 3, 1


def bars(country: str, days: list[date], first_session: int) -> pd.DataFrame:
    levels = 100.0 * 1.01 ** np.arange(len(days))
    frame = pd.DataFrame({"ticker": "A", "date": days, "country": country, "sector": "one", "member": True})
    return frame.assign(masked=False, session=first_session + np.arange(len(days)), total_return=levels)


def table(frame: pd.DataFrame) -> pa.RecordBatch:
    return pa.RecordBatch.from_pandas(frame, preserve_index=False)


def test_a_ticker_that_moves_to_another_exchange_ends_on_the_first() -> None:
    moved = pd.concat([bars("us", DAYS[:20], 4000), bars("jp", DAYS[20:], 3000)], ignore_index=True)
    make = _Labels((HORIZON,), LAG, {"us": 5000, "jp": 5000})

    parts = [label for part in by_country(table(moved)) for label in make(part)]

    assert [part.column("country")[0].as_py() for part in parts] == ["us", "jp"]
    for part in parts:
        label = part.column("forward_3").to_numpy(zero_copy_only=False)
        np.testing.assert_allclose(label[:16], 1.01**HORIZON - 1.0)


def test_a_day_of_two_eras_gives_a_row_to_each_and_a_country_without_days_none() -> None:
    both = pd.concat([bars("us", DAYS[:20], 0), bars("jp", DAYS[20:], 0)], ignore_index=True)
    eras = [(1, "us", DAYS[4]), (2, "us", DAYS[4]), (3, "us", DAYS[11]), (4, "us", DAYS[30])]

    found = pd.concat(part.to_pandas() for its in by_country(table(both)) for part in OnDays.of(eras)(its))

    assert found[["era", "date"]].to_dict("list") == {"era": [1, 2, 3], "date": [DAYS[4], DAYS[4], DAYS[11]]}


def labels(*rows: tuple[int, str, str, bool | None]) -> pa.Table:
    frame = pd.DataFrame(rows, columns=["era", "country", "ticker", "member"])
    return pa.Table.from_pandas(frame.assign(forward_3=np.arange(len(frame)) / 10.0), preserve_index=False)


def test_features_meet_the_label_of_their_era_country_and_ticker() -> None:
    daily = pa.table({"era": [1, 1, 2, 2], "country": ["us", "jp", "us", "us"], "ticker": ["A", "A", "A", "B"]})

    found = _labelled(
        [daily], [labels((2, "us", "B", False), (1, "jp", "A", None), (1, "us", "A", True), (2, "us", "A", True))]
    )

    assert found["forward_3"].to_pylist() == [0.2, 0.1, 0.3]
    assert found["ticker"].to_pylist() == ["A", "A", "A"]


@pytest.mark.parametrize("others", [[], [labels((1, "us", "B", True))]])
def test_features_without_a_bar_are_a_fault_of_ours(others: list[pa.Table]) -> None:
    with pytest.raises(RuntimeError, match="other prices"):
        _labelled([pa.table({"era": [1], "country": ["us"], "ticker": ["A"]})], others)
