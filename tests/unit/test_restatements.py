"""What of a ticker's rows is another history than the table's, and what is only another unit or rounding of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from eraflow.batches import groups
from eraflow.sources import raw_prices, restatements

DAYS = list(pd.bdate_range("2024-01-01", periods=40).date)
PRICES = list(raw_prices.PRICES)


def history(ticker: str = "A", seed: int = 1, decimals: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, len(DAYS))))
    frame = pd.DataFrame(
        {"ticker": ticker, "date": DAYS, "close": close, "volume": rng.integers(1e5, 1e6, len(DAYS)) * 1.0}
    )
    frame["open"], frame["high"], frame["low"] = close * 0.99, close * 1.02, close * 0.97
    frame["adjusted"] = close * 0.9
    frame[[*PRICES, "adjusted"]] = frame[[*PRICES, "adjusted"]].round(decimals)
    return frame.assign(rate=1.0, sector="one", country="US", member=True)


def found(now: pd.DataFrame, then: pd.DataFrame) -> dict[str, tuple[Any, ...]]:
    """By ticker the first new day, the number of new ones, the first of another history and of another sector."""
    rows = pd.concat([then.assign(is_stored=True), now.assign(is_stored=False)]).sample(frac=1.0, random_state=0)
    columns = ["ticker", "date", "is_stored", *restatements.NUMBERS, *restatements.NAMES]
    table = pa.Table.from_pandas(rows.sort_values("ticker", kind="stable")[columns], preserve_index=False)
    batches = restatements.by_ticker(groups(table.to_batches(max_chunksize=7), "ticker"))
    return {row["ticker"]: tuple(row.values())[1:] for batch in batches for row in batch.to_pylist()}


def restated(
    frame: pd.DataFrame, factor: float, names: list[str], decimals: int, before: date = date.max
) -> pd.DataFrame:
    early = frame["date"] < before
    return frame.assign(**{name: frame[name].where(~early, (frame[name] * factor)).round(decimals) for name in names})


def test_rows_that_are_the_same_are_no_other_history_and_new_ones_are_counted() -> None:
    whole = pd.concat([history("A"), history("B", 2)])
    assert found(whole, whole) == {"A": (None, 0, None, None), "B": (None, 0, None, None)}
    assert found(whole, whole[whole["date"] < DAYS[37]])["B"] == (DAYS[37], 3, None, None)


def test_a_ticker_that_only_one_side_has() -> None:
    assert found(history("A"), history("B"))["A"] == (DAYS[0], 40, None, None)
    assert found(history("A"), history("B"))["B"] == (None, 0, DAYS[0], None)


def test_a_row_that_is_gone_or_comes_between_stored_ones_is_another_history() -> None:
    whole = history()
    part = whole[whole["date"] != DAYS[20]]
    assert found(part, whole)["A"] == (None, 0, DAYS[20], None)
    assert found(whole, part)["A"] == (DAYS[20], 1, DAYS[20], None)


@pytest.mark.parametrize(
    ("factor", "names", "decimals"),
    [
        (1 / 3, [*PRICES, "adjusted"], 4),  # a split whose volumes are not restated, finer rounded
        (0.987, PRICES, 2),  # closes adjusted for a dividend, on all days
        (0.987, ["adjusted"], 2),
        (3.0, ["volume"], 0),
    ],
)
def test_another_unit_and_its_rounding_are_no_other_history(factor: float, names: list[str], decimals: int) -> None:
    then = history()
    assert found(restated(then, factor, names, decimals), then)["A"] == (None, 0, None, None)


def test_a_dividend_changes_all_earlier_levels_and_one_return_at_most_by_rounding() -> None:
    then = history()
    paid = restated(then, 0.98, ["adjusted"], 2, before=DAYS[15])
    assert found(paid, then)["A"] == (None, 0, DAYS[15], None)  # this return is another one, by the dividend


@pytest.mark.parametrize(("name", "value"), [("close", 1.01), ("volume", 1.5), ("rate", 1.2), ("adjusted", 1.02)])
def test_one_value_that_is_another_one_is_found_on_its_day(name: str, value: float) -> None:
    then = history()
    now = then.copy()
    now.loc[25:, name] *= value
    now.loc[26:, name] = then.loc[26:, name]
    assert found(now, then)["A"][2] == DAYS[25]
    # In another unit the wrong close moves the unit itself, so that more is held for another history than is one.
    assert found(restated(now, 0.5, PRICES, 4), then)["A"][2] == DAYS[0 if name == "close" else 25]


def test_what_both_sides_lack_is_the_same_and_what_one_lacks_is_not() -> None:
    then = history()
    then.loc[5, "rate"], then.loc[6, "country"] = np.nan, None
    assert found(then, then)["A"] == (None, 0, None, None)
    assert found(then.assign(rate=1.0), then)["A"][2] == DAYS[5]
    assert found(then.assign(country="US"), then)["A"][2] == DAYS[6]


def test_another_sector_is_told_apart_from_another_history() -> None:
    then = history()
    assert found(then.assign(sector=["one"] * 30 + ["two"] * 10), then)["A"] == (None, 0, None, DAYS[30])
    assert found(then.assign(sector=None), then)["A"] == (None, 0, None, None)


@pytest.mark.parametrize("places", range(10))
def test_the_decimals_that_prices_are_rounded_to(places: int) -> None:
    values = np.array([3.0, np.nan, round(17.123456789, places)])
    assert restatements.decimals(values) == places


def test_a_ratio_is_exactly_one_where_most_are() -> None:
    below = np.array([1.0, 2.0, 3.0, 0.0, np.nan])
    assert restatements.ratio(np.array([1.0, 2.0, 4.0, 1.0, 1.0]), below) == 1.0
    assert restatements.ratio(2.0 * below, below) == 2.0
    assert restatements.ratio(below, np.full(5, np.nan)) == 1.0
