"""Adjusted closes built from dividends and splits, where a price file has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from eraflow.batches import numbers
from eraflow.errors import InputError
from eraflow.sources.price_values import day_of_text
from eraflow.sources.reference import small_table

COLUMNS = ("ticker", "date", "dividend", "split")

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Actions:
    """A ticker's dividends (money a share) and splits (2.0 = two shares of one) on their days; NaN where none is."""

    days: Days
    dividend: Floats
    split: Floats


@dataclass(frozen=True)
class TotalReturn:
    """Gives a ticker's rows `adjusted_close` where `builds` says of what prices: close times what reinvesting makes.

    A dividend is money a share on the day from which it is not paid to buyers any more, and buys shares at that day's
    close; a split of 2 makes two shares of one. Both stand in the row's `dividend` and `split`, or in `actions` (by
    ticker; `actions_of`), which count from the ticker's first row on or after their day. Where prices are adjusted for
    splits, these are passed over, and dividends are of the same kind. Only ratios of adjusted closes have a meaning, so
    that nothing later changes them.
    """

    actions: Mapping[str, Actions]

    def __call__(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
        is_built = rows.column("builds").is_valid().to_numpy(zero_copy_only=False)
        if not is_built.any():
            return (rows,)
        days, close = rows.column("date").to_numpy(zero_copy_only=False), numbers(rows, "close")
        in_rows = Actions(days, numbers(rows, "dividend"), numbers(rows, "split"))
        # A day that is there twice counts once.
        _, place, copies = np.unique(days, return_inverse=True, return_counts=True)
        on, gains = days, _gained(in_rows, rows) / copies[place]
        beside = self.actions.get(rows.column("ticker")[0].as_py())
        if beside is not None:
            on, gains = np.append(on, beside.days), np.append(gains, _gained(beside, rows))
        order = np.argsort(on, kind="stable")
        to_now = np.append(0.0, np.cumsum(gains[order]))
        growth = to_now[np.searchsorted(on[order], days, side="right")]
        adjusted = np.where(is_built, close * np.exp(growth), numbers(rows, "adjusted_close"))
        at = rows.schema.get_field_index("adjusted_close")
        return (rows.set_column(at, "adjusted_close", pa.array(adjusted, from_pandas=True)),)


def _gained(actions: Actions, rows: pa.RecordBatch) -> Floats:
    """The log of how many shares each action makes of one, 0 where that cannot be said."""
    close, builds = numbers(rows, "close"), rows.column("builds")
    first = np.searchsorted(rows.column("date").to_numpy(zero_copy_only=False), actions.days)
    traded = np.append(close, np.nan)[_next(close > 0)[first]]
    is_raw = pc.fill_null(pc.equal(builds, "none"), False).to_numpy(zero_copy_only=False)
    is_raw = np.append(is_raw, False)[_next(builds.is_valid().to_numpy(zero_copy_only=False))[first]]
    split = np.where(is_raw & (actions.split > 0), actions.split, 1.0)
    dividend = np.where(np.isnan(actions.dividend), 0.0, actions.dividend)
    with np.errstate(divide="ignore", invalid="ignore"):
        gained = np.log(split * (1.0 + dividend / traded))
    return np.where(np.isfinite(gained), gained, 0.0)


def _next(chosen: Flags) -> npt.NDArray[np.int64]:
    """The place of the first chosen row from each place on, the end included; the end where there is none."""
    end = len(chosen)
    places = np.append(np.where(chosen, np.arange(end), end), end)
    return np.minimum.accumulate(places[::-1])[::-1]


def actions_of(spark: SparkSession, path: str | None) -> dict[str, Actions]:
    """The actions of a small file (`prices.actions`) by ticker. InputError: no date or number."""
    if path is None:
        return {}
    return {
        str(ticker): Actions(
            its["date"].to_numpy("datetime64[D]"), its["dividend"].to_numpy(float), its["split"].to_numpy(float)
        )
        for ticker, its in _actions(spark, path).groupby("ticker")
    }


def _actions(spark: SparkSession, path: str) -> pd.DataFrame:
    """`ticker, date, dividend, split`, a row a ticker and day."""
    table = small_table(spark, path, "prices.actions", COLUMNS)
    found = pd.DataFrame({"ticker": table["ticker"], "date": [day_of_text(str(text)) for text in table["date"]]})
    for name, nothing in (("dividend", 0.0), ("split", 1.0)):
        text = table[name].where(table[name].notna() & (table[name] != ""), str(nothing))
        found[name] = pd.to_numeric(text, errors="coerce")
    found["split"] = found["split"].mask(found["split"] == 0, 1.0)  # as vendors write a day without one
    wrong = found["date"].isna() | ~(found["dividend"] >= 0) | ~(found["split"] > 0)
    if wrong.any():
        row = table[wrong].iloc[0]
        raise InputError(
            f"{path}: the row of {row['ticker']} on {row['date']} has no date (YYYY-MM-DD), a dividend below 0 or a "
            "split that is no number above 0; mend or remove it."
        )
    # A regular and a special dividend of one day add up; the same line twice is one.
    by_day = found.drop_duplicates().groupby(["ticker", "date"], as_index=False)
    return by_day.agg({"dividend": "sum", "split": "prod"})[list(COLUMNS)]
