"""What of a ticker's raw prices is another history than the `prices` table holds, in arrays of one ticker.

Both sides have the same days where nothing is new or gone. Prices and volumes may be in another unit than in the table,
and rounded anew; `updates` says why a vendor does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from eraflow.sources.raw_prices import PRICES

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]

NUMBERS = (*PRICES, "volume", "adjusted", "rate")
NAMES = ("sector", "country", "member")
DECIMALS = 8  # the most that a vendor rounds to: prices with more count as not rounded
EXACT = 1e-6  # the relative rounding of prices in single precision
VOLUMES = 1e-4  # the relative rounding of volumes that are restated

SCHEMA = pa.schema([
    ("ticker", pa.string()), ("first_new", pa.date32()), ("new_rows", pa.int64()),
    ("restated", pa.date32()), ("first_sector", pa.date32()),
])  # fmt: skip


@dataclass(frozen=True)
class Side:
    """A ticker's rows on one side, in arrays over the days of both: NaN and code 0 where it has none or a null.

    `numbers` hold the columns NUMBERS, of which `adjusted` is the adjusted close; the table's is the one that it had
    stored. `codes` hold the columns NAMES as numbers, equal where the names are.
    """

    rows: Flags
    numbers: dict[str, Floats]
    codes: dict[str, npt.NDArray[np.int64]]


def by_ticker(tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A row of SCHEMA for each ticker, from rows of `ticker, date, is_stored` and the columns NUMBERS and NAMES.

    On each side a ticker has at most one row a day.
    """
    for rows in tickers:
        days, place = np.unique(rows.column("date").to_numpy(zero_copy_only=False), return_inverse=True)
        is_stored = rows.column("is_stored").to_numpy(zero_copy_only=False)
        now, then = (_side(rows, place, len(days), chosen) for chosen in (~is_stored, is_stored))
        row = {"ticker": rows.column("ticker")[0].as_py(), **_compared(days, now, then)}
        yield pa.RecordBatch.from_pylist([row], SCHEMA)


def _side(rows: pa.RecordBatch, place: npt.NDArray[np.intp], days: int, chosen: Flags) -> Side:
    place = place[chosen]
    present = np.zeros(days, dtype=bool)
    present[place] = True
    numbers, codes = {}, {}
    for name in NUMBERS:
        numbers[name] = np.full(days, np.nan)
        numbers[name][place] = rows.column(name).to_numpy(zero_copy_only=False)[chosen]
    for name in NAMES:
        indices = rows.column(name).dictionary_encode().indices.fill_null(-1)
        codes[name] = np.zeros(days, dtype=np.int64)
        codes[name][place] = indices.to_numpy()[chosen] + 1
    return Side(present, numbers, codes)


def _compared(days: Days, now: Side, then: Side) -> dict[str, object]:
    """A row of SCHEMA but for its ticker."""
    is_new = now.rows & ~then.rows
    is_other = then.rows & ~(now.rows & same(now, then) & same_return(now, then))
    sectors = now.codes["sector"], then.codes["sector"]
    is_relabelled = (sectors[0] > 0) & (sectors[1] > 0) & (sectors[0] != sectors[1])
    first_new, last_stored = _first(days, is_new), _first(days[::-1], then.rows[::-1])
    inserted = first_new if first_new and last_stored and first_new <= last_stored else None
    return {
        "first_new": first_new,
        "new_rows": int(is_new.sum()),
        "restated": min(filter(None, (_first(days, is_other), inserted)), default=None),
        "first_sector": _first(days, is_relabelled),
    }


def _first(days: Days, of: Flags) -> date | None:
    return days[of.argmax()].item() if of.any() else None


def same(now: Side, then: Side) -> Flags:
    """Whether a row is as in the table, or so in other units: prices times `unit`, volumes over `shares`.

    The unit is itself a ratio of two rounded prices, at worst of the ticker's least. At a split both units are one; a
    vendor that adjusts closes for dividends changes prices alone, one that adjusts volumes for splits volumes alone.
    """
    unit, shares = (
        ratio(now.numbers["close"], then.numbers["close"]),
        ratio(then.numbers["volume"], now.numbers["volume"]),
    )
    labels = _equal(now.numbers["rate"], then.numbers["rate"])
    for name in ("country", "member"):
        labels &= now.codes[name] == then.codes[name]
    exact = labels.copy()
    for name in (*PRICES, "volume"):
        exact &= _equal(now.numbers[name], then.numbers[name])
    if unit == shares == 1.0:
        return exact
    prices = np.stack([now.numbers[name] for name in PRICES])
    rounding = 10.0 ** -decimals(prices) * (1.0 + unit)
    relative = rounding / _least(now.numbers["close"]) + EXACT
    scaled = labels
    for name in PRICES:
        stored = then.numbers[name] * unit
        scaled &= np.abs(now.numbers[name] - stored) <= rounding + relative * stored
    volume = then.numbers["volume"]
    scaled &= np.abs(now.numbers["volume"] * shares - volume) <= 1.0 + shares + (relative + VOLUMES) * volume
    return exact | scaled


def same_return(now: Side, then: Side) -> Flags:
    """Whether the adjusted close moved since the ticker's row before as it did when it was stored, but for rounding.

    Both the price now and the one that was stored were rounded, by at most half a unit each.
    """
    adjusted = now.numbers["adjusted"]
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.log(adjusted / then.numbers["adjusted"])
    places = decimals(adjusted[None])
    rounding = np.full(len(adjusted), EXACT) if places > DECIMALS else 10.0**-places / adjusted + EXACT
    held = np.flatnonzero(~np.isnan(factor))
    found = np.ones(len(adjusted), dtype=bool)
    moved, allowed = np.abs(np.diff(factor[held])), rounding[held][1:] + rounding[held][:-1]
    found[held[1:]] = moved <= allowed
    return found


def ratio(above: Floats, below: Floats) -> float:
    """How many times larger a ticker's values are on one side than on the other, exactly 1 where most are equal."""
    both = ~np.isnan(above) & (below > 0)
    if not both.any():
        return 1.0
    middle = np.sort(above[both] / below[both])[(int(both.sum()) - 1) // 2]  # a ratio that some row has
    return 1.0 if middle == 1.0 else float(above[both].sum() / below[both].sum())


def decimals(prices: Floats) -> int:
    """The decimals that prices are rounded to, DECIMALS + 1 if to no number up to that. NaN are of no number."""
    values = prices[~np.isnan(prices)]
    for places in range(DECIMALS + 1):
        shifted = values * 10.0**places
        if (np.abs(shifted - np.round(shifted)) <= 1e-6).all():
            return places
    return DECIMALS + 1


def _least(values: Floats) -> float:
    return float(np.nanmin(values)) if not np.isnan(values).all() else np.nan


def _equal(one: Floats, other: Floats) -> Flags:
    equal: Flags = (one == other) | (np.isnan(one) & np.isnan(other))
    return equal
