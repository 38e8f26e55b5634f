"""Faulty rows of the raw prices: what is refused, what is dropped and counted, what sets its ticker aside.

A row is judged by itself first, then those of one ticker and date that are sound are held against each other. Conf's
`quality` section says for each of `CHECKS` what becomes of it:

- `set_aside`: the ticker is left out from its first faulty day on. What came before stays, so that no fault changes the
  past, and a ticker that ends in rows of zeros keeps the history that it had.
- `drop`: the row is left out, as if the file lacked it; of a day with contradicting rows all of them.
- `refuse`: the whole run is.

Rows without any price and exact repeats are always dropped. A value that is unreadable as its type, a row without
ticker or date and a currency without a rate are always refused: there the file or a setting is wrong, not a ticker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa

from eraflow.errors import InputError
from eraflow.hadoop import shown
from eraflow.sources.fault_rows import FAULTS, REPEAT, REPEATED, SEEN, Sound, check_of, seen
from eraflow.ticker_rows import TickerRows

CHECKS: Mapping[str, str] = {
    "incomplete": "a price, the volume, the sector, the country or the currency is missing",
    "impossible": "a close or adjusted close that is not above 0, another negative number, an infinite one",
    "zero_range": "the open, high or low is 0, as some vendors write a day without trades",
    REPEATED: "a day that is there twice, with different values",
}
DROPPED: Mapping[str, str] = {
    "empty": "rows without any price; left out",
    REPEAT: "rows that repeat another one in every value; left out",
}
_REFUSED = ("unreadable", "missing", "without a rate")
EXAMPLES = 3  # set-aside tickers that a refusal names
NAMED = 20  # that a user is told of while the table is made
_PLACE = ("date", "ticker", "check", "column", "value", "file")

Fault = Mapping[str, Any]  # a check, and where and as what it was found first: _PLACE


@dataclass(frozen=True)
class Aside:
    """A ticker that is left out from a day on, and the fault of that day."""

    ticker: str
    day: date
    check: str
    fault: str
    file: str | None

    def __str__(self) -> str:
        return f"{self.ticker} from {self.day} ({self.fault})"


@dataclass(frozen=True)
class Faults:
    """What the raw prices hold that is faulty: rows by check, those of them that are dropped, tickers set aside."""

    rows: Mapping[str, int]
    dropped: Mapping[str, int]
    aside: tuple[Aside, ...]

    @property
    def ends(self) -> dict[str, date]:
        """From which day on each ticker that is set aside is left out."""
        return {aside.ticker: aside.day for aside in self.aside}

    def __str__(self) -> str:
        rows = [f"{count} rows ({check})" for check, count in self.dropped.items()]
        named = [*map(str, self.aside[:NAMED])]
        more = [f"and {len(self.aside) - NAMED} more, which the table quality names"] if self.aside[NAMED:] else []
        tickers = [f"tickers set aside: {', '.join([*named, *more])}"] if named else []
        return "; ".join([*([f"left out: {', '.join(rows)}"] if rows else []), *tickers])


def dropped(policies: Mapping[str, str]) -> list[int]:
    """The faults of `fault_rows.FAULTS` whose rows a policy drops for what they hold by themselves."""
    names = {*DROPPED, *(name for name in CHECKS if policies[name] == "drop")}
    return [place for place in range(len(FAULTS)) if check_of(place) in names]


def found_in(rows: TickerRows) -> pd.DataFrame:
    """What raw prices (`fault_rows.marked`) hold, as `fault_rows.SEEN` says: some rows a ticker and year."""
    return frame_of(rows.collected(seen, SEEN))


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A table of SEEN in pandas: whole numbers stay whole, and what is not known is null."""
    whole = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=whole.get, date_as_object=True)
    return frame


def judged(
    found: pd.DataFrame, named: Mapping[str, str], policies: Mapping[str, str], refuse_share: float, where: str
) -> Faults:
    """What `found` (`found_in`) means for a run. Raises InputError for what is refused.

    `named` tells what the files call a column, `where` which files they are.
    """
    # Of each check, and of each ticker below, the first fault; what is not known comes before.
    faulty = found[found["check"].notna()].sort_values([*_PLACE], na_position="first")
    counts = {str(check): int(rows) for check, rows in faulty.groupby("check")["rows"].sum().items()}
    first = {fault["check"]: fault for fault in _faults(faulty.drop_duplicates("check"))}
    refused = [*_REFUSED, *(name for name in CHECKS if policies[name] == "refuse")]
    for name in refused:
        if name in counts:
            rows = sum(counts[other] for other in refused if other in counts)
            raise InputError(_refusal(first[name], rows, named, where))
    by_ticker = faulty[faulty["check"].isin([name for name in CHECKS if policies[name] == "set_aside"])]
    by_ticker = by_ticker.drop_duplicates("ticker")
    aside = [
        Aside(fault["ticker"], fault["date"], fault["check"], _described(fault, named), fault["file"])
        for fault in _faults(by_ticker)
    ]
    tickers = found["ticker"].nunique()
    if len(aside) > refuse_share * tickers:
        raise InputError(_too_many(aside, tickers, refuse_share, where))
    left_out = {name: n for name, n in counts.items() if name in DROPPED or policies[name] == "drop"}
    return Faults(counts, left_out, tuple(aside))


def sound(faults: Faults, policies: Mapping[str, str]) -> tuple[Sound, ...]:
    """The step that leaves of the raw prices the rows that count, one for each ticker and date; none without faults."""
    return (Sound(faults.ends, policies[REPEATED] == "drop"),) if faults.rows else ()


def _faults(rows: pd.DataFrame) -> list[Fault]:
    columns = [rows[name].astype(object).where(rows[name].notna(), None) for name in _PLACE]
    return [dict(zip(_PLACE, its, strict=True)) for its in zip(*columns, strict=True)]


def _too_many(aside: Sequence[Aside], tickers: int, refuse_share: float, where: str) -> str:
    named = ", ".join(map(str, aside[:EXAMPLES])) + (", ..." if len(aside) > EXAMPLES else "")
    place = shown(aside[0].file) if len(aside) == 1 and aside[0].file else where
    return (
        f"{place}: faulty rows in {len(aside)} of {tickers} tickers, more than {refuse_share:.1%} "
        f"(quality.refuse_share): {named}; mend or remove the rows, or let them be left out with "
        f"--set quality.{aside[0].check}=drop."
    )


def _refusal(first: Fault, rows: int, named: Mapping[str, str], where: str) -> str:
    place = shown(first["file"]) if first["file"] else where
    others = f", and {rows - 1} more rows have faults" if rows > 1 else ""
    if first["column"] == "line":
        return f"{place}: the line {first['value']!r} has not one value for each column{others}; mend or remove it."
    whose = f" for {first['ticker']}" if first["ticker"] else ""
    when = f" on {first['date']}" if first["date"] else ""
    return f"{place}: {_described(first, named)}{whose}{when}{others}; mend or remove the row."


def _described(first: Fault, named: Mapping[str, str]) -> str:
    """The fault in words, with the file's own name of the column."""
    check, column, value = first["check"], first["column"], first["value"]
    if check == REPEATED:
        return f"{value} rows with different values"
    name = f"column {(named.get(column) or column)!r}"
    if check == "unreadable":
        kind = "date (YYYY-MM-DD)" if column == "date" else "number"
        return f"{name} holds {value!r}, which is no {kind},"
    if check == "without a rate":
        return f"{name} holds {value!r}, for which prices.rates has no rate,"
    return f"{name} is empty" if check in ("missing", "incomplete") else f"{name} is {value}"
