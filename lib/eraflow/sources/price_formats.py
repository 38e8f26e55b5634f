"""What published price exports look like: a table of formats, and the one that a file's header belongs to.

A format says which columns hold what, how dates and numbers are written, whose name the file has, and what is adjusted.
What is adjusted is as the publishers describe it (2026); `prices.adjusted` wins over it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote

from eraflow.config import Prices
from eraflow.errors import InputError
from eraflow.hadoop import shown
from eraflow.sources.price_values import Numbers

# Of open, high, low, close and volume: nothing | splits | all but the close | all, splits and dividends.
Adjusted = Literal["none", "splits", "all-with-close", "all"]
DEFAULT = "eraflow"
# What eraflow calls its columns, which files of its own format call them too.
NAMES: Mapping[str, str | None] = {
    **{name: name for name in ("ticker", "date", "open", "high", "low", "close", "adjusted_close", "volume", "sector")},
    **dict.fromkeys(("country", "currency", "dividend", "split")),
}
OPTIONAL = ("ticker", "adjusted_close", "dividend", "split")  # of a format's columns, those that a file may lack
WHOLE_NAME = "(.+)"
_TICKERS = ("ticker", "Ticker", "symbol", "Symbol")


@dataclass(frozen=True)
class Format:
    """How files of one kind are read."""

    name: str
    columns: Mapping[str, str | None]  # eraflow's name: the file's name
    also: tuple[str, ...] = ()  # further names by which a header is recognised
    alone: bool = False  # recognised only where the header has no other names than these
    wide: bool = False  # each value's column is that of one ticker: a header of two levels
    tickers: tuple[str, ...] = _TICKERS  # what a column of tickers is called, where files have one at times
    date_formats: tuple[str, ...] = ()  # () = ISO dates and times, YYYYMMDD, times since 1970
    numbers: Numbers = "plain"
    timezone: str | None = None  # of the exchange, where the file has UTC
    adjusted: Adjusted = "none"
    volume_adjusted: bool | None = None  # for splits; None = as the prices are
    ticker_from: str | None = WHOLE_NAME  # the first group of this pattern on the file's name without its ending
    short_rows: bool = False  # old rows end before the last columns, which are without volume

    @property
    def multiplies(self) -> bool:
        """Whether close times volume is the money that was traded, free of what happened later."""
        return self.adjusted != "all" and self.volume_adjusted in (None, self.adjusted == "splits")


def _prices(
    ticker: str | None, date: str, names: str, adjusted_close: str | None = None, **others: str
) -> dict[str, str | None]:
    """`names`: those of open, high, low, close and volume, with | between them."""
    five = dict(zip(("open", "high", "low", "close", "volume"), names.split("|"), strict=True))
    return {**dict.fromkeys(NAMES), "ticker": ticker, "date": date, **five, "adjusted_close": adjusted_close, **others}


_CAPITALS, _SMALL = "Open|High|Low|Close|Volume", "open|high|low|close|volume"
_ALPHA_VANTAGE_FILE = r"(?:daily_adjusted_|daily_|DA-)?(.+?)(?:-T-\d{4}-\d{2}-\d{2})?"
_YAHOO = Format("yfinance", _prices(None, "Date", _CAPITALS), tickers=(*_TICKERS, "Name"), adjusted="all")
_YAHOO_CLOSE = replace(_YAHOO, columns=_prices(None, "Date", _CAPITALS, "Adj Close"), adjusted="splits")
_STOOQ_FILE = r"(.+?)(?:_d)?"
FORMATS: tuple[Format, ...] = (
    _YAHOO_CLOSE,
    replace(_YAHOO_CLOSE, wide=True),
    replace(_YAHOO, also=("Dividends", "Stock Splits")),
    replace(_YAHOO, wide=True),
    replace(_YAHOO, also=("Ticker",)),
    Format(
        "alphavantage",
        _prices(None, "timestamp", _SMALL, "adjusted_close", dividend="dividend_amount", split="split_coefficient"),
        ticker_from=_ALPHA_VANTAGE_FILE,
    ),
    Format("alphavantage", _prices(None, "timestamp", _SMALL), alone=True, ticker_from=_ALPHA_VANTAGE_FILE),
    Format(
        "stooq",
        _prices("<TICKER>", "<DATE>", "<OPEN>|<HIGH>|<LOW>|<CLOSE>|<VOL>"),
        adjusted="all", ticker_from=_STOOQ_FILE, short_rows=True,
    ),
    Format(
        "stooq",
        _prices(None, "Data", "Otwarcie|Najwyzszy|Najnizszy|Zamkniecie|Wolumen"),
        adjusted="all", ticker_from=_STOOQ_FILE, short_rows=True,
    ),
    Format(
        "stooq", _prices(None, "Date", _CAPITALS),
        alone=True, adjusted="all", ticker_from=_STOOQ_FILE, short_rows=True,
    ),
    Format(
        "stooq", _prices(None, "Date", _CAPITALS), also=("OpenInt",),
        alone=True, adjusted="all", ticker_from=_STOOQ_FILE, short_rows=True,
    ),
    Format("eodhd", _prices(None, "Date", _CAPITALS, "Adjusted_close"), volume_adjusted=True),
    Format("polygon", _prices("ticker", "window_start", _SMALL), timezone="America/New_York", ticker_from=None),
    Format(
        "tiingo", _prices(None, "date", _SMALL, "adjClose", dividend="divCash", split="splitFactor"),
    ),
    Format(
        "sharadar", _prices("ticker", "date", _SMALL, "closeadj"), also=("closeunadj",), adjusted="splits",
        ticker_from=None,
    ),
    Format(
        "sharadar", _prices("ticker", "date", _SMALL, dividend="dividends"), also=("closeunadj",), adjusted="splits",
        ticker_from=None,
    ),
    # Its volume is money already, so that close times volume would be none.
    Format(
        "coinmarketcap", _prices("Symbol", "Date", _CAPITALS), also=("Marketcap",), adjusted="all", ticker_from=None
    ),
    Format(
        "nasdaq", _prices(None, "Date", "Open|High|Low|Close/Last|Volume"),
        date_formats=("%m/%d/%Y",), numbers="english", adjusted="splits",
    ),
    Format(
        "investing", _prices(None, "Date", "Open|High|Low|Price|Vol."), also=("Change %",),
        date_formats=("%b %d, %Y", "%m/%d/%Y"), numbers="english", adjusted="splits",
        ticker_from="(.+?)(?: Historical Data.*)?",
    ),
    Format("nse", _prices(None, "date", _SMALL), also=("series", "vwap")),
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a file's columns are called, those that stand in its path (`name=value` folders) included."""

    names: tuple[str, ...]
    wide: bool = False
    days: tuple[str, ...] = ()  # unnamed index columns of pandas that may hold dates


@dataclass(frozen=True)
class Reading:
    """How one file's columns become ours: a format whose names are those of the file, and the user's settings."""

    format: Format
    columns: Mapping[str, str] = field(default_factory=dict)  # ours: the file's, only those that are there
    date_formats: tuple[str, ...] = ()

    @property
    def builds_total_return(self) -> bool:
        """Whether adjusted closes are made of dividends and splits: the file has none."""
        return "adjusted_close" not in self.columns and self.format.adjusted != "all"


def reading_of(header: Header, config: Prices, path: str) -> Reading:
    """How a file with this header is read. InputError: a column that is missing, and what can be done about it."""
    found = _chosen(header, config)
    columns = {ours: _column(header, theirs) for ours, theirs in found.columns.items() if theirs is not None}
    if columns.get("ticker") is None:
        columns["ticker"] = next((name for name in found.tickers if name in header.names), None)
    if columns["ticker"] is None and found.ticker_from is None:
        raise InputError(_lacks(header, config, path, "ticker", found.columns["ticker"] or "ticker"))
    mapped = _mapped(config)
    for ours, column in columns.items():
        by_name = ours == "ticker" and (ours not in mapped or config.ticker_from is not None)
        if column is None and not by_name and (ours not in OPTIONAL or ours in mapped):
            raise InputError(_lacks(header, config, path, ours, str(found.columns[ours])))
    present = {ours: column for ours, column in columns.items() if column is not None}
    if "adjusted_close" in present:
        present = {ours: column for ours, column in present.items() if ours not in ("dividend", "split")}
    for ours, column in present.items():
        if header.names.count(column) > 1:
            raise InputError(f"{shown(path)} has two columns {column!r} (prices.columns.{ours}); rename one.")
    reading = Reading(found, present, (config.date_format,) if config.date_format else found.date_formats)
    _refuse_without_return(reading, config, path)
    return reading


def ticker_of(path: str, pattern: str) -> str | None:
    """The ticker that a file's name says: the first group of the pattern on the whole name without its ending.

    A pattern that does not fit the whole is looked for in the name with its ending.
    """
    whole = unquote(path.rpartition("/")[2])
    name = re.sub(r"(?i)(\.csv|\.txt|\.parquet)?(\.gz)?$", "", whole)
    found = re.fullmatch(pattern, name) or re.search(pattern, whole)
    return (found[1] or None) if found else None


def _chosen(header: Header, config: Prices) -> Format:
    mapped = _mapped(config)
    if config.format == "auto" and not mapped and _has_all(header, config):
        return _configured(Format(DEFAULT, config.columns.model_dump(), ticker_from=None), config)
    candidates = [one for one in FORMATS if config.format in ("auto", one.name)]
    fitting = [one for one in candidates if _recognised(one, header)]
    if not fitting and config.format not in ("auto", DEFAULT):
        fitting = [one for one in candidates if one.wide == header.wide]
    if not fitting:
        return _configured(Format(DEFAULT, config.columns.model_dump(), ticker_from=None), config)
    sector = NAMES["sector"] if NAMES["sector"] in header.names else None
    return _configured(replace(fitting[0], columns={**fitting[0].columns, "sector": sector, **mapped}), config)


def _configured(found: Format, config: Prices) -> Format:
    return replace(
        found,
        numbers=config.numbers or found.numbers,
        timezone=config.timezone or found.timezone,
        adjusted=config.adjusted or found.adjusted,
        ticker_from=config.ticker_from or found.ticker_from,
    )


def _mapped(config: Prices) -> dict[str, str | None]:
    """What the user has mapped."""
    return {ours: theirs for ours, theirs in config.columns.model_dump().items() if theirs != NAMES[ours]}


def _has_all(header: Header, config: Prices) -> bool:
    """Whether the header has the columns that prices.columns names."""
    named = config.columns.model_dump()
    needed = {
        name for ours, name in named.items() if name is not None and not (ours == "ticker" and config.ticker_from)
    }
    available = {*header.names, *(["date"] if header.days else [])}
    return not header.wide and needed <= available


def _recognised(one: Format, header: Header) -> bool:
    if one.wide != header.wide:
        return False
    needed = {name for name in one.columns.values() if name is not None} | set(one.also)
    return needed <= set(header.names) and not (one.alone and set(header.names) - needed - set(one.tickers))


def _column(header: Header, name: str) -> str | None:
    """The file's own spelling of a name; an index that pandas has saved without a name is the date."""
    if name in header.names:
        return name
    alike = [other for other in header.names if other.casefold() == name.casefold()]
    if name.casefold() == "date" and not alike:
        alike = list(header.days)
    return alike[0] if len(alike) == 1 else None


def _lacks(header: Header, config: Prices, path: str, ours: str, theirs: str) -> str:
    mend = f"map it with --set prices.columns.{ours}=NAME"
    if ours == "ticker":
        mend += f", or take it from the file's name, e.g. --set 'prices.ticker_from={WHOLE_NAME}'"
    if config.format == "auto" and ours not in _mapped(config):
        mend += ", or name the files' kind with prices.format" if "Date" in header.names else ""
    return f"{shown(path)} has no column {theirs!r} (prices.columns.{ours}), only {', '.join(header.names)}; {mend}."


def _refuse_without_return(reading: Reading, config: Prices, path: str) -> None:
    kind, columns = reading.format.adjusted, reading.columns
    if kind == "all-with-close" and "adjusted_close" not in columns:
        raise InputError(
            f"{shown(path)}: prices.adjusted is all-with-close, and no column is the adjusted close; name it with "
            "--set prices.columns.adjusted_close=NAME."
        )
    if not reading.builds_total_return or config.actions:
        return
    lacking = [name for name in ("dividend", *(["split"] if kind == "none" else [])) if name not in columns]
    if lacking:
        missing = reading.format.columns.get("adjusted_close")
        place = f"has no column {missing!r} (prices.columns.adjusted_close)" if missing else "has no adjusted close"
        raise InputError(
            f"{shown(path)} {place} and no {'s and no '.join(lacking)}s, so that returns of its prices "
            f"{'as traded' if kind == 'none' else 'adjusted for splits'} would be wrong at each of them; name a file "
            "of ticker, date, dividend, split with --set prices.actions=FILE, or a column with "
            "prices.columns.adjusted_close, or say --set prices.adjusted=all if closes are adjusted for both."
        )


def messages(readings: Sequence[Reading], files: Sequence[int]) -> tuple[str, ...]:
    """A sentence for each format but eraflow's own that so many files were read as."""
    counts: dict[tuple[str, str], int] = {}
    for reading, count in zip(readings, files, strict=True):
        key = (reading.format.name, reading.format.adjusted)
        counts[key] = counts.get(key, 0) + count
    return tuple(
        f"prices: {count} {'file is' if count == 1 else 'files are'} read as {name} (prices.adjusted: {adjusted})"
        for (name, adjusted), count in counts.items()
        if name != DEFAULT
    )
