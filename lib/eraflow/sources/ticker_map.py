"""Which ticker of the prices is which of Numerai's, and when: by a map as real ones are, or by their notation alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.config import Signals
from eraflow.errors import InputError
from eraflow.sources import notation
from eraflow.sources.reference import dates, small_table

# The headers of published maps: the price files' name, and Numerai's. The first pair that a file has is taken.
HEADERS = (
    ("ticker", "numerai_ticker"), ("ticker", "composite_figi"), ("yahoo", "bloomberg_ticker"), ("yahoo", "bloomberg"),
    ("yahoo_ticker", "bloomberg_ticker"), ("signals_ticker", "bloomberg_ticker"), ("ticker", "bloomberg_ticker"),
)  # fmt: skip
FIGI = "composite_figi"
UNKNOWN = ("", "SYMBOL_NOT_FOUND", "#N/A")  # what a map says where it knows no name
OPEN = (date(1700, 1, 1), date(2200, 12, 31))

MEANINGS = {
    "map: empty": "lines of the map without one of the two names, or with SYMBOL_NOT_FOUND; they are left out",
    "map: repeated": "lines of the map that say again what an earlier one says; they are left out",
    "map: contradiction": "lines of the map that give Numerai's ticker another name than an earlier line of that time",
    "map: no price": "lines of the map whose name the prices do not have",
}


@dataclass(frozen=True)
class Line:
    """From `first` to `last`, both included, `ticker` of the prices is `numerai_ticker`; a lower `rank` goes first."""

    ticker: str
    numerai_ticker: str
    first: date = OPEN[0]
    last: date = OPEN[1]
    rank: int = 0


@dataclass(frozen=True)
class Named:
    """A name in Numerai's files, with its composite FIGI (from September 2022 on) and the first day it has it."""

    numerai_ticker: str
    figi: str | None = None
    first: date = OPEN[0]


@dataclass(frozen=True)
class Fault:
    """A line of the map that is left out: one of MEANINGS, with the names it holds."""

    check: str
    ticker: str | None
    numerai_ticker: str | None


def read(spark: SparkSession, config: Signals) -> pd.DataFrame | None:
    """`ticker, theirs, first, last, kind` of the map, line by line, empty names and all; None where there is no map.

    InputError: a file or column that is missing, what is no date.
    """
    path = config.mapping
    if path is None:
        return None
    columns = set(small_table(spark, path, "signals.mapping").columns)
    chosen = (config.mapping_columns.ticker, config.mapping_columns.numerai)
    pairs = [pair for pair in HEADERS if all(asked in (None, name) for asked, name in zip(chosen, pair, strict=True))]
    named = [chosen] if all(chosen) else [pair for pair in pairs if columns.issuperset(pair)]
    if not named or not columns.issuperset(named[0]):
        raise InputError(
            f"signals.mapping: {path} has no columns ticker and numerai_ticker, only {', '.join(sorted(columns))}; "
            "name them by signals.mapping_columns.ticker and signals.mapping_columns.numerai."
        )
    ours, theirs = str(named[0][0]), str(named[0][1])
    ends = [name for name in ("from", "to") if name in columns]
    table = small_table(spark, path, "signals.mapping", (ours, theirs, *ends), may_be_empty=True)
    found = pd.DataFrame({"ticker": table[ours], "theirs": table[theirs]}).fillna("")
    for column, end, open_end in zip(("from", "to"), ("first", "last"), OPEN, strict=True):
        days = dates(table, column, path).dt.date if column in ends else pd.Series(None, table.index, dtype=object)
        found[end] = days.where(days.notna(), open_end)
    return found.assign(kind=theirs)


def resolved(
    tickers: Iterable[str], names: Sequence[Named], table: pd.DataFrame | None
) -> tuple[list[Line], list[Fault]]:
    """The lines by which the tickers of the prices are met, and what of the map is left out.

    Names are met as they stand, else by their notation where that is one ticker's only. Without a map prices may be
    named by composite FIGI.
    """
    theirs, priced_tickers = sorted({name.numerai_ticker for name in names}), frozenset(tickers)
    if table is None:
        met, figis = _met(theirs, sorted(priced_tickers)), _figis(names)
        by_figi = [Line(figi, *span) for figi, spans in figis.items() if figi in priced_tickers for span in spans]
        return by_figi + [Line(met[name], name) for name in theirs if name in met], []
    spans: Mapping[str, Sequence[tuple[str, date, date]]]
    if not table.empty and table["kind"].iloc[0] == FIGI:
        spans = _figis(names)
    else:
        met = _met(table["theirs"].tolist(), theirs)
        spans = {name: [(met.get(name, name), *OPEN)] for name in table["theirs"]}
    priced = _met(table["ticker"].tolist(), sorted(priced_tickers))
    lines: dict[str, list[Line]] = {}
    faults: list[Fault] = []
    columns = (table[column].tolist() for column in ("ticker", "theirs", "first", "last"))
    for rank, (ticker, name, begins, ends) in enumerate(zip(*columns, strict=True)):
        if ticker.upper() in UNKNOWN or name.upper() in UNKNOWN:
            faults.append(Fault("map: empty", ticker or None, name or None))
        elif ticker not in priced:
            faults.append(Fault("map: no price", ticker, name))
        else:
            for numerai, first, last in spans.get(name, ()):
                line = Line(priced[ticker], numerai, max(first, begins), min(last, ends), rank)
                if fault := _against(line, lines.setdefault(numerai, [])):
                    faults.append(Fault(fault, ticker, name))
                elif line.first <= line.last:
                    lines[numerai].append(line)
    return [line for group in lines.values() for line in group], faults


def _met(names: Sequence[str], available: Sequence[str]) -> dict[str, str]:
    """Of the names those that are `available`, as they stand or by their notation: name -> what it is there."""
    by_key: dict[str, list[str]] = {}
    for name, key in notation.keys(available).items():
        by_key.setdefault(key, []).append(name)
    exact, asked = frozenset(available), notation.keys(names)
    met = {name: [name] if name in exact else by_key.get(asked[name], []) for name in names}
    return {name: found[0] for name, found in met.items() if len(found) == 1}


def _against(line: Line, earlier: Sequence[Line]) -> str | None:
    """What is wrong with a line beside the earlier ones of the same ticker of Numerai's."""
    beside = [other for other in earlier if other.first <= line.last and line.first <= other.last]
    if not beside:
        return None
    return "map: repeated" if all(other.ticker == line.ticker for other in beside) else "map: contradiction"


def _figis(names: Sequence[Named]) -> dict[str, list[tuple[str, date, date]]]:
    """Composite FIGI -> (ticker of Numerai's, from, to). Before the first FIGI of a name that one is taken."""
    by_name: dict[str, list[Named]] = {}
    for name in sorted((name for name in names if name.figi), key=lambda name: name.first):
        by_name.setdefault(name.numerai_ticker, []).append(name)
    spans: dict[str, list[tuple[str, date, date]]] = {}
    for ticker, history in by_name.items():
        starts = [OPEN[0], *(name.first for name in history[1:])]
        ends = [date.fromordinal(start.toordinal() - 1) for start in starts[1:]] + [OPEN[1]]
        for name, start, end in zip(history, starts, ends, strict=True):
            spans.setdefault(str(name.figi), []).append((ticker, start, end))
    return spans
