"""Price exports in the shapes that publishers give them, made of one small truth, and what pandas reads from them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

DAYS = 12
FIVE = ["open", "high", "low", "close", "volume"]
ZONES = ("Asia/Tokyo", "Europe/Berlin", "Europe/London", "America/New_York")


def truth(ticker: str, first: str = "2020-01-06", days: int = DAYS) -> pd.DataFrame:
    """Sound prices of one ticker on weekdays: `date, open, high, low, close, adjusted_close, volume`."""
    seed = sum(map(ord, ticker))
    close = (20.0 + seed % 50) * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, days)))
    close = np.round(close, 2)
    return pd.DataFrame(
        {
            "date": pd.bdate_range(first, periods=days),
            "open": close - 0.25,
            "high": close + 0.5,
            "low": close - 0.75,
            "close": close,
            "adjusted_close": np.round(close * 0.9, 4),
            "volume": 1000.0 * (1 + np.arange(days)),
        }
    )


def named(frame: pd.DataFrame, names: str, **more: object) -> pd.DataFrame:
    """The frame's open, high, low, close and volume under other names, behind its date, with further columns."""
    date, *five = names.split(",")
    return frame.rename(columns={"date": date, **dict(zip(FIVE, five, strict=True))})[[date, *five]].assign(**more)


def midnights(frame: pd.DataFrame, zone: str = "America/New_York") -> pd.Series:
    return pd.to_datetime(frame["date"]).dt.tz_localize(zone)


CAPITALS = "Date,Open,High,Low,Close,Volume"


def yfinance(frame: pd.DataFrame) -> str:
    out = named(frame, CAPITALS, Dividends=0.0, **{"Stock Splits": 0.0})
    return out.assign(Date=midnights(frame).astype(str)).to_csv(index=False)


def yfinance_adj_close(frame: pd.DataFrame) -> str:
    out = named(frame, CAPITALS, **{"Adj Close": frame["adjusted_close"], "Name": "ADJ"})
    columns = ["Date", "High", "Low", "Open", "Close", "Volume", "Adj Close", "Name"]
    return out.assign(Date=frame["date"].dt.strftime("%Y-%m-%d"))[columns].to_csv(index=False)


def wide(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What yfinance downloads for several tickers: two header levels over an index of dates."""
    parts = {ticker: named(frame, CAPITALS).set_index("Date") for ticker, frame in frames.items()}
    both = pd.concat(parts, axis=1).swaplevel(axis=1).sort_index(axis=1)
    both.columns.names = ["Price", "Ticker"]
    return both


def alphavantage(frame: pd.DataFrame) -> str:
    out = named(frame, "timestamp,open,high,low,close,volume", dividend_amount=0.0, split_coefficient=1.0)
    out.insert(5, "adjusted_close", frame["adjusted_close"])
    return out.astype({"volume": int}).iloc[::-1].to_csv(index=False)


def stooq(frame: pd.DataFrame) -> str:
    lines = named(frame, CAPITALS).to_csv(index=False).splitlines()
    lines[1] = lines[1].rpartition(",")[0]  # the oldest row ends before the volume
    return "\r\n".join(lines) + "\r\n"


def stooq_polish(frame: pd.DataFrame) -> str:
    return named(frame, "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen").to_csv(index=False)


def stooq_text(frame: pd.DataFrame) -> str:
    out = named(frame, "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", **{"<OPENINT>": 0})
    out["<DATE>"] = frame["date"].dt.strftime("%Y%m%d")
    for place, (name, value) in enumerate({"<TICKER>": "TXT.US", "<PER>": "D"}.items()):
        out.insert(place, name, value)
    out.insert(3, "<TIME>", "000000")
    return out.to_csv(index=False)


def nasdaq(frame: pd.DataFrame) -> str:
    lines = ["Date, Close/Last, Volume, Open, High, Low"]
    for row in frame.iloc[::-1].itertuples():
        prices = ", ".join(f"${price:.2f}" for price in (row.open, row.high, row.low))
        lines.append(f"{row.date:%m/%d/%Y}, ${row.close:.2f}, {row.volume:.0f}, {prices}")
    return "\n".join(lines) + "\n"


def investing(frame: pd.DataFrame) -> str:
    lines = ['\ufeff"Date","Price","Open","High","Low","Vol.","Change %"']
    for row in frame.itertuples():
        prices = ",".join(f'"{price * 1000:,.1f}"' for price in (row.close, row.open, row.high, row.low))
        lines.append(f'"{row.date:%b %d, %Y}",{prices},"{row.volume / 1000:.2f}K","0.83%"')
    return "\n".join(lines) + "\n"


def nse(frame: pd.DataFrame) -> str:
    names = [
        "date",
        "series",
        "open",
        "high",
        "low",
        "prev_close",
        "ltp",
        "close",
        "vwap",
        "52wh",
        "52wl",
        "volume",
        "value",
        "no_of_trades",
    ]
    out = named(frame, "date,open,high,low,close,volume", series="EQ", value="465,440,831.85", no_of_trades=16777)
    out = out.assign(**dict.fromkeys(("prev_close", "ltp", "vwap", "52wh", "52wl"), frame["close"]))
    return out[names].to_csv(index=False)


def coinmarketcap(frame: pd.DataFrame) -> str:
    out = named(frame, CAPITALS, Name="Aave", Symbol="AAVE", SNo=range(1, len(frame) + 1), Marketcap=1e9)
    out["Date"] = frame["date"].dt.strftime("%Y-%m-%d 23:59:59")
    return out[["SNo", "Name", "Symbol", "Date", "High", "Low", "Open", "Close", "Volume", "Marketcap"]].to_csv(
        index=False
    )


def eodhd(frame: pd.DataFrame) -> str:
    out = named(frame, CAPITALS, Adjusted_close=frame["adjusted_close"])
    return out[["Date", "Open", "High", "Low", "Close", "Adjusted_close", "Volume"]].to_csv(index=False)


def polygon(frame: pd.DataFrame) -> str:
    out = named(frame, "window_start,open,high,low,close,volume", ticker="NULL", transactions=12)
    out["window_start"] = midnights(frame).astype("int64")
    return out[["ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"]].to_csv(index=False)


def tiingo(frame: pd.DataFrame) -> str:
    out = named(frame, "date,open,high,low,close,volume", divCash=0.0, splitFactor=1.0)
    out["date"] = frame["date"].dt.strftime("%Y-%m-%dT00:00:00.000Z")
    out = out.assign(**{f"adj{name.title()}": frame[name] for name in ("high", "low", "open", "volume")})
    return out.assign(adjClose=frame["adjusted_close"]).to_csv(index=False)


def sharadar(frame: pd.DataFrame) -> str:
    out = named(frame, "date,open,high,low,close,volume", ticker="SHAR", closeadj=frame["adjusted_close"])
    return out.assign(closeunadj=frame["close"], lastupdated="2024-01-01").to_csv(index=False)


@dataclass(frozen=True)
class Kind:
    """An export: the name of its file, the text of it, and which ticker and adjusted close come out."""

    file: str
    text: Callable[[pd.DataFrame], str]
    ticker: str
    adjusted: str | None = None  # the truth's column that is the adjusted close; None = built from dividends and splits
    scale: float = 1.0  # of its prices


KINDS: Mapping[str, Kind] = {
    "yfinance": Kind("A.csv", yfinance, "A", "close"),
    "yfinance, Adj Close": Kind("adj.csv", yfinance_adj_close, "ADJ", "adjusted_close"),
    "alphavantage": Kind("DA-AAPL-T-2021-04-21.csv", alphavantage, "AAPL", "adjusted_close"),
    "stooq": Kind("0005.hk.CSV", stooq, "0005.hk", "close"),
    "stooq, Polish": Kind("pko.csv", stooq_polish, "pko", "close"),
    "stooq, text": Kind("txt.us.csv", stooq_text, "TXT.US", "close"),
    "nasdaq": Kind("NA.csv", nasdaq, "NA"),
    "investing": Kind("S&P 500 Historical Data.csv", investing, "S&P 500", scale=1000.0),
    "nse": Kind("M%26M.csv", nse, "M&M"),
    "coinmarketcap": Kind("coin_Aave.csv", coinmarketcap, "AAVE", "close"),
    "eodhd": Kind("BRK-B.US.csv", eodhd, "BRK-B.US", "adjusted_close"),
    "polygon": Kind("2020-01-06.csv", polygon, "NULL"),
    "tiingo": Kind("TRUE.csv", tiingo, "TRUE", "adjusted_close"),
    "sharadar": Kind("SEP.csv", sharadar, "SHAR", "adjusted_close"),
}


def expected(kind: Kind, source: str | None = None) -> pd.DataFrame:
    """What eraflow reads of a kind: `ticker, date, open, high, low, close, volume, adjusted_close`."""
    frame = truth(source or kind.ticker)
    out = frame[["date", *FIVE]].assign(ticker=kind.ticker)
    for name in ("open", "high", "low", "close"):
        out[name] = np.round(out[name] * kind.scale, 2)
    out["adjusted_close"] = frame[kind.adjusted] if kind.adjusted else np.nan
    if kind.text is stooq:
        out.loc[0, "volume"] = 0.0
    return out


def written(kind: Kind, folder: Path) -> Path:
    """The export of the kind's ticker in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind.file
    path.write_text(kind.text(truth(kind.ticker)), encoding="utf-8", newline="")
    return path


def quoted(frame: pd.DataFrame) -> str:
    """As pandas writes a CSV when told to quote all: quotes inside are doubled."""
    return frame.to_csv(index=False, quoting=csv.QUOTE_ALL)
