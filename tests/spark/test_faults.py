"""Faulty rows of price files: dropped and counted, or their ticker set aside and named, or the run refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from tests.spark.test_incremental import Notes

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.pipeline.price_table import prices_step, quality_step
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Steps
from eraflow.sources import quality
from eraflow.tables import Store

DAYS = list(pd.bdate_range("2020-01-06", periods=12).date)
SOUND = [f"S{number:02}" for number in range(25)]
FAULTY = DAYS[5]


def history(ticker: str) -> pd.DataFrame:
    level = 10.0 + np.arange(len(DAYS)) / 8
    return pd.DataFrame(
        {
            "ticker": ticker,
            "date": DAYS,
            "open": level,
            "high": level + 1,
            "low": level - 1,
            "close": level + 0.5,
            "adjusted_close": level / 2,
            "volume": 1000.0,
            "sector": "one",
        }
    )


def put(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Puts a value into a column on the faulty day."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["date"] == FAULTY, column] = value
        return frame

    return change


def twice(**values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Has the faulty day a second time, with other values."""
    return lambda frame: pd.concat([frame, frame[frame["date"] == FAULTY].assign(**values)])


PRICES = ["open", "high", "low", "close", "adjusted_close"]
# By ticker what is done to its history, the check that finds it, and its fault as the user reads it.
FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, str]] = {
    "NO_CLOSE": (put("close", np.nan), "incomplete", "column 'close' is empty"),
    "NO_VOLUME": (put("volume", np.nan), "incomplete", "column 'volume' is empty"),
    "NO_SECTOR": (put("sector", None), "incomplete", "column 'sector' is empty"),
    "ZERO_CLOSE": (put("close", 0.0), "impossible", "column 'close' is 0.0"),
    "BELOW_ZERO": (put("adjusted_close", -0.25), "impossible", "column 'adjusted_close' is -0.25"),
    "INFINITE": (put("adjusted_close", np.inf), "impossible", "column 'adjusted_close' is Infinity"),
    "LESS_VOLUME": (put("volume", -5.0), "impossible", "column 'volume' is -5.0"),
    "NEGATIVE": (put("low", -1.0), "impossible", "column 'low' is -1.0"),
    "HALTED": (put(["open", "high", "low", "volume"], 0.0), "zero_range", "column 'open' is 0.0"),
    "TWO_VALUES": (twice(close=11.0), "repeated", "2 rows with different values"),
    "ALL_ZERO": (twice(**dict.fromkeys([*PRICES, "volume"], 0.0)), "impossible", "column 'close' is 0.0"),
}  # fmt: skip


def raw() -> pd.DataFrame:
    """Sound tickers, one for each fault, one whose union with others left rows of NaN, one that is in two files."""
    empty = put([*PRICES, "volume"], np.nan)(history("EMPTY"))
    repeated = pd.concat([history("REPEATED"), history("REPEATED").iloc[3:6]])
    frames = [*map(history, SOUND), *(change(history(ticker)) for ticker, (change, _, _) in FAULTS.items())]
    return pd.concat([*frames, empty, repeated], ignore_index=True).sample(frac=1.0, random_state=1)


@dataclass(frozen=True)
class Made:
    prices: pd.DataFrame
    quality: pd.DataFrame
    counted: pd.DataFrame
    lines: list[str]

    def days_of(self, ticker: str) -> list[date]:
        return self.prices.loc[self.prices["ticker"] == ticker, "date"].tolist()


def made(spark: SparkSession, folder: Path, frame: pd.DataFrame, *settings: str) -> Made:
    # As others than pandas write it: NaN stays NaN, and is not null.
    arrays = {name: pa.array(column.to_numpy(), from_pandas=column.dtype == object) for name, column in frame.items()}
    pq.write_table(pa.table(arrays), folder / "prices.parquet")
    where = [f"prices.path={folder}/prices.parquet", f"tables.root={folder}/tables"]
    config = load(["signals.yml"], [*where, *settings])
    store, notes = Store(spark, f"{folder}/tables"), Notes()
    site = Site(store, config, notes)
    steps = (lambda made: prices_step(site, Days(site)), lambda made: quality_step(site, made["prices"]))
    versions = Steps(store, notes).taken(steps)
    found = store.read(versions["quality"])
    table = store.read(versions["prices"]).toPandas().sort_values(["ticker", "date"], ignore_index=True)
    return Made(
        table, found.toPandas(), quality.counted(found, config.quality.policies).set_index("check"), notes.lines
    )


@pytest.fixture(scope="module")
def aside(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(spark, tmp_path_factory.mktemp("aside"), raw(), "quality.refuse_share=0.5")


@pytest.fixture(scope="module")
def dropped(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Made:
    policies = [f"quality.{name}=drop" for name in ("incomplete", "impossible", "zero_range", "repeated")]
    return made(spark, tmp_path_factory.mktemp("dropped"), raw(), *policies)


@pytest.mark.parametrize("ticker", FAULTS)
def test_a_ticker_is_set_aside_from_its_first_faulty_day_on(aside: Made, ticker: str) -> None:
    _, check, fault = FAULTS[ticker]
    found = aside.quality[aside.quality["ticker"] == ticker]

    assert aside.days_of(ticker) == DAYS[:5]
    assert found[["date", "check", "rows"]].to_numpy().tolist()[0][:2] == [FAULTY, check]
    assert any(f"{ticker} from {FAULTY} ({fault})" in text for text in aside.lines), aside.lines
    assert f"{ticker} from {FAULTY}" in aside.counted.loc[f"{check} (set_aside)", "detail"]


@pytest.mark.parametrize("ticker", FAULTS)
def test_a_faulty_row_is_dropped_where_the_policy_says_so(dropped: Made, ticker: str) -> None:
    assert dropped.days_of(ticker) == (DAYS if ticker == "ALL_ZERO" else [day for day in DAYS if day != FAULTY])


def test_what_is_left_out_leaves_the_rest_as_it_was(aside: Made, dropped: Made) -> None:
    columns = ["ticker", "date", "bar", *PRICES[:4], "volume", "sector", "total_return"]
    wanted = pd.concat(map(history, SOUND), ignore_index=True)
    wanted = wanted.assign(bar=wanted.groupby("ticker").cumcount(), total_return=wanted["adjusted_close"] * 2.1)

    for found in (aside, dropped):
        table = found.prices[found.prices["ticker"].isin(SOUND)].reset_index(drop=True)
        pd.testing.assert_frame_equal(table[columns], wanted[columns], rtol=1e-14, check_dtype=False)


def test_no_return_is_held_against_a_row_that_is_left_out(dropped: Made) -> None:
    after = dropped.prices[(dropped.prices["date"] == DAYS[6]) & ~dropped.prices["ticker"].isin(SOUND)]
    whole = after["ticker"].isin(["ALL_ZERO", "REPEATED"])

    assert len(after) == len(FAULTS) + 2
    np.testing.assert_allclose(after.loc[whole, "daily_return"], 10.75 / 10.625 - 1.0)
    np.testing.assert_allclose(after.loc[~whole, "daily_return"], 10.75 / 10.5 - 1.0)


def test_empty_rows_and_exact_repeats_are_dropped_and_counted(aside: Made) -> None:
    assert aside.days_of("EMPTY") == [day for day in DAYS if day != FAULTY]
    assert aside.days_of("REPEATED") == DAYS
    assert aside.counted.loc["empty (drop)", "count"] == 1
    assert aside.counted.loc["repeat (drop)", "count"] == 3
    assert "1 tickers, first REPEATED on 2020-01-09" in aside.counted.loc["repeat (drop)", "detail"]
    assert sum("left out: 1 rows (empty), 3 rows (repeat); tickers set aside: " in text for text in aside.lines) == 1


def test_too_many_faulty_tickers_refuse_the_run(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        made(spark, tmp_path, raw())

    assert str(refused.value) == (
        f"{tmp_path}/prices.parquet: faulty rows in 11 of 38 tickers, more than 2.0% (quality.refuse_share): "
        f"ALL_ZERO from {FAULTY} (column 'close' is 0.0), BELOW_ZERO from {FAULTY} (column 'adjusted_close' is -0.25), "
        f"HALTED from {FAULTY} (column 'open' is 0.0), ...; mend or remove the rows, or let them be left out with "
        "--set quality.impossible=drop."
    )
    assert [path.name for path in (tmp_path / "tables").iterdir()] == [".lock"]


def test_a_policy_can_refuse_the_run(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        made(spark, tmp_path, raw(), "quality.refuse_share=1", "quality.zero_range=refuse")

    assert str(refused.value) == (
        f"{tmp_path}/prices.parquet: column 'open' is 0.0 for HALTED on {FAULTY}; mend or remove the row."
    )
