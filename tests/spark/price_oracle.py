"""The `prices` table as plain Python makes it, row by row, and histories in which prices go wrong in every way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

CHECKS = ("gap", "zero_volume", "stale", "jump", "adjustment", "contradiction")
COLUMNS = ["ticker", "date", "bar", "flags", "total_return", "daily_return", "correction"]


def history(ticker: str, days: list[date], seed: int, wrong: float = 0.03) -> pd.DataFrame:
    """A ticker's random walk without some days, and each kind of wrong price on a share `wrong` of them."""
    draw = np.random.default_rng(seed)
    n = len(days)
    close = np.round(20.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, n))), 2)
    repeats = draw.random(n) < 0.15
    for day in range(1, n):
        if repeats[day]:
            close[day] = close[day - 1]
    frame = pd.DataFrame({"ticker": ticker, "date": days, "close": close, "adjusted_close": close / 2.0})
    frame = frame.assign(
        open=close, high=close + 0.1, low=close - 0.1, volume=np.where(draw.random(n) < 0.2, 0.0, 100.0)
    )
    every = ["open", "high", "low", "close", "adjusted_close"]
    for columns in (every, ["close", "adjusted_close"], ["adjusted_close"], ["high"]):
        for factor in (10.0, 0.1):
            frame.loc[draw.random(n) < wrong, columns] *= factor
    if wrong:
        frame.loc[draw.random() * n <= frame.index, "adjusted_close"] *= draw.choice([0.2, 1.0, 3.0])
    return frame.assign(sector="one", country="", member=True, rate=1.0)[draw.random(n) >= 0.1]


def bars(raw: pd.DataFrame, policies: Mapping[str, str], sessions: Mapping[date, int]) -> pd.DataFrame:
    """`ticker, date, bar, flags, total_return, daily_return, correction`: each row against the last kept one."""
    rows: list[tuple[object, ...]] = []
    for ticker, history_of_it in raw.sort_values("date").groupby("ticker"):
        rows += [(ticker, *values) for values in _of_ticker(history_of_it, policies, sessions)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_ticker(
    rows: pd.DataFrame, policies: Mapping[str, str], sessions: Mapping[date, int]
) -> list[tuple[object, ...]]:
    out: list[tuple[object, ...]] = []
    last, bar, correction, start = None, 0, 1.0, None
    for row in rows.itertuples():
        failed = _failed(row, last, sessions)
        kept = not any(policies[check] == "drop" for check in failed & {"zero_volume", "stale", "contradiction"})
        left_out = any(policies[check] == "drop" for check in failed & {"jump", "adjustment"})
        daily = math.nan
        if kept and last is not None:
            moved = row.adjusted_close / last.adjusted_close
            daily = 0.0 if left_out else moved - 1.0
            correction /= moved if left_out else 1.0
        if kept and start is None:
            start = row.close / row.adjusted_close
        level = math.nan if start is None else row.adjusted_close * correction * start
        flags = [check for check in CHECKS if check in failed]
        out.append((row.date, bar if kept else math.nan, flags, level, daily, correction))
        if kept:
            last, bar = row, bar + 1
    return out


def _failed(row, last, sessions: Mapping[date, int]) -> set[str]:
    failed = set()
    if row.volume == 0:
        failed.add("zero_volume")
    if row.high < max(row.low, row.open, row.close) or row.low > min(row.high, row.open, row.close):
        failed.add("contradiction")
    if last is None:
        return failed
    if sessions[row.date] - sessions[last.date] > 1:
        failed.add("gap")
    if row.volume == 0 and row.close == last.close:
        failed.add("stale")
    moved, traded = row.adjusted_close / last.adjusted_close, row.close / last.close
    if abs(moved - 1.0) > 0.5:
        failed.add("jump")
    if abs(math.log(moved)) > abs(math.log(traded)) + 0.1:
        failed.add("adjustment")
    return failed
