"""A ticker's daily prices in arrays: which rows count, what is suspicious, and how the ticker moved.

`prices.bars` and `sessions.counted` give workers the rows of each ticker in the order of their dates (`ticker_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from eraflow.batches import joined, numbers
from eraflow.sources import fault_rows, faults, quality
from eraflow.sources.raw_prices import NUMBERS, PRICES

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]

SCHEMA = """ticker string, date date, country string, session int, bar int, sector string, member boolean, rate double,
    open double, high double, low double, close double, volume double, total_return double, daily_return double,
    correction double, flags array<string>, year int"""
# How many rows of a country and day there are, are faulty, tell of a ticker that trades, repeat the day of the row
# before, and are the first of a ticker.
COUNTED = ("rows", "faulty", "tickers", "repeats", "names")
COUNTS = pa.schema([("country", pa.string()), ("date", pa.date32()), *((name, pa.int64()) for name in COUNTED)])
_SUMMED = 200_000  # rows that are counted at once
_CLOSE = 1e-3  # how near a ratio of volumes is to the unit that it stands for


@dataclass(frozen=True)
class Anchor:
    """A ticker's last bar in the table before the day from which on it is made again.

    `level` is its total return, `close` and `volume` are in the units that the table has.
    """

    day: date
    bar: int
    level: float
    correction: float
    close: float
    volume: float


@dataclass(frozen=True)
class Counts:
    """The worker's part of `sessions.counted`: a ticker's raw prices (`fault_rows.marked`) become counts by day."""

    policies: Mapping[str, str]

    def __call__(self, tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Summed in between, so that memory holds days and not rows.
        held: list[pa.Table] = []
        for counts in joined(map(self._ticker, tickers), _SUMMED):
            held = [by_day(pa.concat_tables([*held, pa.Table.from_batches([counts])]))]
        for found in held:
            yield from found.to_batches()

    def _ticker(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        found = {name: numbers(rows, name) for name in (*PRICES, "volume")}
        days, fault = rows.column("date").to_numpy(zero_copy_only=False), rows.column("fault").to_numpy()
        is_priced = ~np.isnan(found["close"])
        passed = is_priced & ~np.isin(fault, faults.dropped(self.policies)) & ~_dropped(found, self.policies)
        counts = passed & ~_stale(found, passed) if self.policies["stale"] == "drop" else passed
        before = _last(is_priced & ~np.isnat(days))
        # A ticker counts once a day: files may overlap. A day that is not known is held against none.
        is_first = (before < 0) | ~(days[before] >= days)
        counted = {
            "rows": np.ones(len(days)),
            "faulty": fault != fault_rows.SOUND,
            "tickers": counts & is_first,
            "repeats": np.append(False, days[1:] == days[:-1]),
            "names": np.arange(len(days)) == 0,
        }
        columns = {name: pa.array(values.astype(np.int64)) for name, values in counted.items()}
        return pa.record_batch({"country": rows.column("country"), "date": rows.column("date"), **columns})


@dataclass(frozen=True)
class Bars:
    """The worker's part of `prices.bars`: a ticker's sound raw prices become rows of SCHEMA.

    `sessions`: the days of trading by country. With `anchors` by ticker the rows from `first` on come out, and a ticker
    goes on from its anchor if it has one.
    """

    sessions: Mapping[str, Days]
    policies: Mapping[str, str]
    anchors: Mapping[str, Anchor]
    first: date

    def __call__(self, tickers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        read = ((rows, self.anchors.get(rows.column("ticker")[0].as_py())) for rows in tickers)
        later = ((self._from_anchor(rows, anchor), anchor) for rows, anchor in read)
        return joined(self._made(rows, anchor) for rows, anchor in later if rows.num_rows)

    def _from_anchor(self, rows: pa.RecordBatch, anchor: Anchor | None) -> pa.RecordBatch:
        if self.first == date.min:
            return rows
        days = rows.column("date").to_numpy(zero_copy_only=False)
        is_read = days >= np.datetime64(self.first)
        return rows.filter(pa.array(is_read | (days == np.datetime64(anchor.day)) if anchor else is_read))

    def _made(self, rows: pa.RecordBatch, anchor: Anchor | None) -> pa.RecordBatch:
        found = {name: numbers(rows, name) for name in NUMBERS}
        if anchor is not None:
            found = in_units_of(anchor, found)
        days = rows.column("date").to_numpy(zero_copy_only=False)
        session = self._session(rows, days)
        with np.errstate(divide="ignore", invalid="ignore"):
            row = judged(found, session, self.policies)
            made = _moved(found, row, anchor)
        whole = pa.record_batch({
            **{name: rows.column(name) for name in ("ticker", "date", "country")},
            "session": pa.array(session, pa.int32(), mask=session < 0),
            "bar": made["bar"],
            **{name: rows.column(name) for name in ("sector", "member", "rate")},
            **{name: pa.array(found[name], from_pandas=True) for name in (*PRICES, "volume")},
            **{name: pa.array(made[name], from_pandas=True) for name in ("total_return", "daily_return", "correction")},
            "flags": _named(row.failed),
            "year": pa.array(days.astype("datetime64[Y]").astype(np.int32) + 1970, pa.int32()),
        })  # fmt: skip
        return whole if self.first == date.min else whole.filter(pa.array(days >= np.datetime64(self.first)))

    def _session(self, rows: pa.RecordBatch, days: Days) -> Places:
        """The number of each row's day among its country's, -1 of a stray one."""
        countries = rows.column("country").dictionary_encode()
        code, found = countries.indices.fill_null(-1).to_numpy(), np.full(len(days), -1, dtype=np.int64)
        for place, country in enumerate(countries.dictionary.to_pylist()):
            sessions = self.sessions.get(country, days[:0])
            at = np.searchsorted(sessions, days)
            is_session = (at < len(sessions)) & (code == place)
            is_session[is_session] = sessions[at[is_session]] == days[is_session]
            found[is_session] = at[is_session]
        return found


@dataclass(frozen=True)
class Judged:
    """What a ticker's rows are, each held against the last row before it that is kept.

    `kept` rows are bars. `before` is the place of the last bar before a row, -1 at the first; `left_out` says that the
    move from there counts as none. `failed` are the checks of `quality.MEANINGS`, checks x rows.
    """

    kept: Flags
    before: Places
    left_out: Flags
    failed: Flags


def judged(found: Mapping[str, Floats], session: Places, policies: Mapping[str, str]) -> Judged:
    """A ticker's rows by `policies` (conf: quality). A dropped row is as if the file lacked it.

    Which rows are kept is known in two steps. `stray`, `zero_volume` and `contradiction` are seen in the row alone. A
    row is stale if it repeats the close of the last row that these keep: that close is the close of the last row that
    is kept in the end, since a stale row that is dropped has the same. `gap`, `jump` and `adjustment` drop no rows, and
    are measured when it is known which are kept.
    """
    close, adjusted = found["close"], found["adjusted_close"]
    failed = {"stray": session < 0, **_row_checks(found)}
    passed = ~(failed["stray"] | _dropped(found, policies))
    failed["stale"] = _stale(found, passed)
    kept = passed & ~failed["stale"] if policies["stale"] == "drop" else passed
    before = _last(kept)
    traded, moved = close / _at(close, _last(passed)), adjusted / _at(adjusted, before)
    failed["jump"] = np.abs(moved - 1.0) > quality.JUMP
    # An adjustment takes a move of the traded price away. One that makes a move, and no small one, is wrong.
    failed["adjustment"] = np.abs(np.log(moved)) > np.abs(np.log(traded)) + quality.ADJUSTED
    failed["gap"] = (before >= 0) & (session >= 0) & (session - session[before] > 1)
    left_out = np.zeros(len(close), dtype=bool)
    for name in quality.MOVES:
        if policies[name] == "drop":
            left_out |= failed[name]
    return Judged(kept, before, left_out, np.stack([failed[name] for name in quality.MEANINGS]))


def in_units_of(anchor: Anchor, found: Mapping[str, Floats]) -> dict[str, Floats]:
    """The rows as if the vendor had never restated prices and volumes; the first is that of the anchor.

    At a split a vendor may divide all closes of a ticker by one factor and multiply its volumes by it; one that adjusts
    closes for dividends divides them alone. The table keeps the units that it has, as its index keeps its level.
    """
    unit = float(found["close"][0]) / anchor.close
    volume, shares = float(found["volume"][0]), unit
    if anchor.volume > 0 and volume > 0:
        # Volumes are whole numbers, so that their ratio is no exact one.
        ratio = anchor.volume / volume
        shares = 1.0 if abs(ratio - 1.0) < _CLOSE else unit if abs(ratio / unit - 1.0) < _CLOSE else ratio
    return {**found, **{name: found[name] / unit for name in PRICES}, "volume": found["volume"] * shares}


def _moved(found: Mapping[str, Floats], row: Judged, anchor: Anchor | None) -> dict[str, object]:
    """Bars, the index of total returns, and what it left out."""
    adjusted, kept = found["adjusted_close"], row.kept
    before = _at(adjusted, row.before)
    factor = np.exp(-np.cumsum(np.where(kept & row.left_out, np.log(adjusted / before), 0.0)))
    start = np.full(len(adjusted), np.nan)
    if kept.any():
        begun = int(kept.argmax())
        start[begun:] = (anchor.level if anchor else found["close"][begun]) / adjusted[begun]
    returns = np.where(row.left_out, 0.0 * before, adjusted / before - 1.0)
    return {
        "bar": pa.array(np.cumsum(kept) - 1 + (anchor.bar if anchor else 0), pa.int32(), mask=~kept),
        "total_return": adjusted * factor * start,
        "daily_return": np.where(kept, returns, np.nan),
        "correction": factor * (anchor.correction if anchor else 1.0),
    }


def by_day(counts: pa.Table) -> pa.Table:
    """The sums of COUNTED by country and day."""
    sums = counts.group_by(["country", "date"]).aggregate([(name, "sum") for name in COUNTED])
    sums = sums.select(["country", "date", *(f"{name}_sum" for name in COUNTED)])
    return sums.rename_columns(["country", "date", *COUNTED])


def _row_checks(found: Mapping[str, Floats]) -> dict[str, Flags]:
    """What a row fails by itself. A price that is not known contradicts none."""
    start, high, low, close = (found[name] for name in PRICES)
    is_above = high < np.fmax(low, np.fmax(start, close))
    is_below = low > np.fmin(high, np.fmin(start, close))
    return {"zero_volume": found["volume"] == 0.0, "contradiction": is_above | is_below}


def _dropped(found: Mapping[str, Floats], policies: Mapping[str, str]) -> Flags:
    """Whether a policy drops a row for what it holds by itself."""
    dropped = np.zeros(len(found["close"]), dtype=bool)
    for name, failed in _row_checks(found).items():
        if policies[name] == "drop":
            dropped |= failed
    return dropped


def _stale(found: Mapping[str, Floats], passed: Flags) -> Flags:
    """Rows without volume that repeat the close of the last row before that has passed."""
    stale: Flags = (found["close"] == _at(found["close"], _last(passed))) & (found["volume"] == 0.0)
    return stale


def _last(chosen: Flags) -> Places:
    """The place of the last chosen row before each, -1 where there is none."""
    places = np.maximum.accumulate(np.where(chosen, np.arange(len(chosen)), -1))
    return np.append(-1, places[:-1])


def _at(values: Floats, places: Places) -> Floats:
    """The values at these places, NaN at -1."""
    return np.where(places >= 0, values[places], np.nan)


def _named(failed: Flags) -> pa.Array:
    """The names of the checks that each row fails, in the order of `quality.MEANINGS`."""
    offsets = np.append(0, np.cumsum(failed.sum(axis=0))).astype(np.int32)
    names = pa.array([*quality.MEANINGS], pa.string()).take(pa.array(np.nonzero(failed.T)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), names)
