"""What a worker computes for the strategy view: of a ticker's history, of an era's cross-section, of what is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eraflow.batches import groups, joined, packed, unpacked

SESSIONS_A_YEAR = 252
SESSIONS_A_WEEK = 5
VOLATILITY_BARS, LEAST_BARS = 60, 20
QUANTILES = 5
UNIT = 1e-15  # sums count in whole units, so that the order of rows changes no last digit

# What prices say of the predictions of a chunk of eras; or, without a model, of a ticker its `returns` by session, or
# of a country (as far as a task has seen it) the `date` of each session, in days since 1970.
HISTORY = (
    "chunk int, model string, ticker string, country string, era array<int>, session array<int>, "
    "prediction array<double>, tie array<long>, risk array<double>, ret array<double>, returns array<double>, "
    "date array<int>"
)
POSITION = "model string, ticker string, country string, era array<int>, session array<int>, weight array<double>"
QUANTILE = "model string, era int, quantile int, ret double, tickers long"
DAILY = "model string, date date, gross long, turnover long, exposure long"
ERAS_A_CHUNK = 16  # are compared across tickers in one call
ROWS_OF_LISTS = 1_000  # in one batch
KEYS = ("chunk", "model", "ticker", "country")

Values = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Holding:
    """How predictions are held: sessions after the era's date, sessions held, and the yearly volatility aimed at."""

    lag: int
    horizon: int
    volatility: float = 0.15

    @property
    def tranches(self) -> float:
        """Tranches of weekly eras that are held at once, each with its part of the capital."""
        return max(1.0, self.horizon / SESSIONS_A_WEEK)

    @property
    def daily_volatility(self) -> float:
        return float(self.volatility / SESSIONS_A_YEAR**0.5)


@dataclass(frozen=True)
class Histories:
    """Tickers' rows of prices and of predictions (those with a model), by date, as rows of HISTORY."""

    holding: Holding

    def __call__(self, tickers: Batches) -> Iterator[pa.RecordBatch]:
        return joined(self._parts(tickers), ROWS_OF_LISTS)

    def _parts(self, tickers: Batches) -> Iterator[pa.RecordBatch]:
        calendars: dict[str, dict[int, int]] = {}
        for rows in tickers:
            is_price = pc.is_null(rows.column("model"))
            prices = rows.filter(pc.and_(is_price, pc.is_valid(rows.column("session"))))
            if not prices.num_rows:
                continue
            days, sessions = _days(prices), prices.column("session").to_numpy()
            country = prices.column("country")[0].as_py()
            calendars.setdefault(country, {}).update(zip(sessions.tolist(), days.tolist(), strict=True))
            kept = prices.column("kept").to_numpy(zero_copy_only=False)
            returns = prices.column("daily_return").to_numpy(zero_copy_only=False)
            yield _batch(HISTORY, ticker=[rows.column("ticker")[0].as_py()], session=[sessions[kept]],
                         returns=[returns[kept]])  # fmt: skip
            yield self._measured(rows.filter(pc.invert(is_price)), prices, days)
        for country, calendar in calendars.items():
            yield _batch(HISTORY, country=[country], session=[list(calendar)], date=[list(calendar.values())])

    def _measured(self, rows: pa.RecordBatch, prices: pa.RecordBatch, days: Whole) -> pa.RecordBatch:
        """Predictions of the ticker on days on which it has a row."""
        dates = _days(rows)
        place = np.searchsorted(days, dates).clip(max=len(days) - 1)
        rows, place = rows.filter(pa.array(days[place] == dates)), place[days[place] == dates]
        first, prediction = _averaged(rows)
        rows, place = rows.take(pa.array(first)), place[first]
        kept, sessions = prices.column("kept").to_numpy(zero_copy_only=False), prices.column("session").to_numpy()
        total = prices.column("total_return").to_numpy(zero_copy_only=False)
        returns = prices.column("daily_return").to_numpy(zero_copy_only=False)
        at, back = np.unique(place, return_inverse=True)
        risk = np.where(kept[at], volatilities(returns[kept], np.cumsum(kept)[at] - 1), np.nan)
        ret = self._earned(sessions[at], sessions[kept], total[kept])
        found = {
            "chunk": pc.divide(rows.column("era"), pa.scalar(ERAS_A_CHUNK, pa.int32())),
            **{name: rows.column(name) for name in ("model", "ticker")},
            "country": prices.column("country").take(pa.array(place)),
            **{name: rows.column(name) for name in ("era", "tie")},
            "session": pa.array(sessions[place]),
            "prediction": pa.array(prediction),
            "risk": pa.array(risk[back]),
            "ret": pa.array(ret[back]),
        }
        by_chunk = packed(pa.record_batch(list(found.values()), names=list(found)), *KEYS)
        return _batch(HISTORY, **{name: by_chunk.column(name) for name in found})

    def _earned(self, begins: Whole, sessions: Whole, total: Values) -> Values:
        """Returns over the holding of tranches of these sessions; NaN without a price at both ends."""
        if not len(sessions):
            return np.full(len(begins), np.nan)
        first = int(sessions.min())
        level = np.full(int(sessions.max()) - first + 1, np.nan)
        level[sessions - first] = total

        def at(wanted: Whole) -> Values:
            place = wanted - first
            inside = (place >= 0) & (place < len(level))
            return np.where(inside, level[np.where(inside, place, 0)], np.nan)

        bought = begins + self.holding.lag
        return at(bought + self.holding.horizon) / at(bought) - 1.0


def volatilities(returns: Values, at: Whole) -> Values:
    """Deviation of the last `VOLATILITY_BARS` returns at each of these places; NaN with fewer than `LEAST_BARS` known.

    A place of -1 has none.
    """
    padded = np.concatenate([np.full(VOLATILITY_BARS, np.nan), returns])
    windows = np.lib.stride_tricks.sliding_window_view(padded, VOLATILITY_BARS)[at + 1]
    is_observed = ~np.isnan(windows)
    count = np.maximum(is_observed.sum(axis=1), 1)
    mean = np.where(is_observed, windows, 0.0).sum(axis=1) / count
    squares = np.where(is_observed, windows - mean[:, None], 0.0) ** 2
    return np.where(is_observed.sum(axis=1) >= LEAST_BARS, np.sqrt(squares.sum(axis=1) / count), np.nan)


def _averaged(rows: pa.RecordBatch) -> tuple[npt.NDArray[np.intp], Values]:
    """The first row of each model and era, and the mean of its predictions: folds may share an era."""
    model = rows.column("model").dictionary_encode().indices.to_numpy().astype(np.int64)
    era, prediction = rows.column("era").to_numpy().astype(np.int64), rows.column("prediction").to_numpy()
    order = np.lexsort((prediction, era, model))  # a sum in the order of its values, whatever order rows come in
    key = (model << 32 | era)[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    counts = np.diff(np.append(starts, len(key)))
    sums = np.add.reduceat(prediction[order], starts) if len(starts) else prediction
    return order[starts], sums / counts


@dataclass(frozen=True)
class Positions:
    """Rows of HISTORY with a model, sorted by chunk and model, as rows of POSITION."""

    holding: Holding

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        return joined(map(self._positions, groups(batches, "chunk", "model")), ROWS_OF_LISTS)

    def _positions(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        flat = unpacked(rows)
        flat = flat.filter(pc.greater(flat.column("risk"), 0.0))
        era, prediction, risk = (flat.column(name).to_numpy() for name in ("era", "prediction", "risk"))
        weight = np.zeros(len(era))
        for place in _by_value(era):
            side = np.sign(prediction[place] - np.median(prediction[place]))
            weight[place] = side * self.holding.daily_volatility / risk[place] / len(place) / self.holding.tranches
        names = ["model", "ticker", "country", "era", "session"]
        found = pa.record_batch([*(flat.column(name) for name in names), pa.array(weight)], names=[*names, "weight"])
        return packed(found, "model", "ticker", "country")


def quantiles(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Rows of HISTORY with a model, sorted by chunk and model, as rows of QUANTILE."""
    return joined(part for rows in groups(batches, "chunk", "model") for part in _quantiles(rows))


def _quantiles(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Nothing of an era of constant predictions. Tied ones are in the order of `tie`."""
    model, flat = rows.column("model")[0], unpacked(rows)
    era, prediction, tie, ret = (flat.column(name).to_numpy() for name in ("era", "prediction", "tie", "ret"))
    for earned in _by_value(era):
        place = earned[~np.isnan(ret[earned])]
        if not len(place) or prediction[place].max() == prediction[place].min():
            continue
        parts = [
            part for part in np.array_split(place[np.lexsort((tie[place], prediction[place]))], QUANTILES) if len(part)
        ]
        yield _batch(
            QUANTILE,
            model=pa.repeat(model, len(parts)),
            era=[int(era[place[0]])] * len(parts),
            quantile=np.arange(1, len(parts) + 1),
            ret=[_units(ret[part]).sum() * UNIT / len(part) for part in parts],
            tickers=list(map(len, parts)),
        )


def _by_value(values: Whole) -> list[npt.NDArray[np.intp]]:
    """Places of each value, in the order of values."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1) if len(order) else []


@dataclass(frozen=True)
class Held:
    """Rows of POSITION and `session, returns` of tickers, sorted by ticker, as sums of a task: rows of DAILY.

    `calendars` are the dates of each country, in days since 1970, by session; -1 where none is known.
    """

    holding: Holding
    calendars: dict[str, Whole]

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        sums: dict[tuple[str, str], Whole] = {}  # by model and country; gross, turnover, exposure, rows by session
        for rows in groups(batches, "ticker"):
            is_held = pc.is_valid(rows.column("model"))
            positions, history = rows.filter(is_held), rows.filter(pc.invert(is_held))
            if positions.num_rows and history.num_rows:
                self._add(sums, positions, history)
        return joined(self._daily(model, self.calendars[country], found) for (model, country), found in sums.items())

    def _add(self, sums: dict[tuple[str, str], Whole], positions: pa.RecordBatch, history: pa.RecordBatch) -> None:
        history, flat = unpacked(history), unpacked(positions.select(["model", "session", "weight"]))
        country = positions.column("country")[0].as_py()
        length = len(self.calendars[country])
        earned = np.zeros(length)
        earned[history.column("session").to_numpy()] = np.nan_to_num(
            history.column("returns").to_numpy(zero_copy_only=False)
        )
        models = flat.column("model").dictionary_encode()
        begins, weights = flat.column("session").to_numpy(), flat.column("weight").to_numpy()
        for code, model in enumerate(models.dictionary.to_pylist()):
            chosen = models.indices.to_numpy() == code
            found = sums.setdefault((model, country), np.zeros((4, length), dtype=np.int64))
            found += self._ticker(begins[chosen], _units(weights[chosen]), earned)

    def _ticker(self, begins: Whole, weights: Whole, earned: Values) -> Whole:
        """What one ticker adds to each session: running sums of what its tranches open less what they close."""
        length = len(earned)
        first, last = begins + self.holding.lag + 1, begins + self.holding.lag + self.holding.horizon
        changes, covered = np.zeros(length + 1, dtype=np.int64), np.zeros(length + 1, dtype=np.int64)
        np.add.at(changes, first.clip(max=length), weights)
        np.add.at(changes, (last + 1).clip(max=length), -weights)
        np.add.at(covered, first.clip(max=length), 1)
        np.add.at(covered, (last + 2).clip(max=length), -1)  # the last row sells
        weight = np.cumsum(changes[:-1])
        return np.stack([_units(weight * UNIT * earned), np.abs(changes[:-1]), np.abs(weight), np.cumsum(covered[:-1])])

    def _daily(self, model: str, dates: Whole, found: Whole) -> pa.RecordBatch:
        at = np.flatnonzero((found[3] > 0) & (dates >= 0))
        return _batch(
            DAILY, model=[model] * len(at), date=pa.array(dates[at].astype(np.int32)).cast(pa.date32()),
            **{name: found[place, at] for place, name in enumerate(("gross", "turnover", "exposure"))},
        )  # fmt: skip


def _units(values: Values) -> Whole:
    whole: Whole = np.rint(values / UNIT).astype(np.int64)
    return whole


def _days(rows: pa.RecordBatch) -> Whole:
    """Dates as days since 1970."""
    days: Whole = rows.column("date").cast(pa.int32()).to_numpy().astype(np.int64)
    return days


_TYPES = {
    "string": pa.string(), "int": pa.int32(), "long": pa.int64(), "double": pa.float64(), "date": pa.date32(),
    "boolean": pa.bool_(),
}  # fmt: skip


def _kinds(schema: str) -> dict[str, str]:
    """Columns of a Spark schema: name -> type."""
    return dict(part.split() for part in schema.split(", "))


def _type(kind: str) -> pa.DataType:
    return pa.list_(_type(kind[6:-1])) if kind.startswith("array") else _TYPES[kind]


def _batch(schema: str, **columns: Any) -> pa.RecordBatch:
    """A batch of this Spark schema; a NaN becomes null, and so does what no column is given for."""
    types = {name: _type(kind) for name, kind in _kinds(schema).items()}
    rows = len(next(iter(columns.values()))) if columns else 0
    arrays = [
        pa.nulls(rows, kind) if name not in columns else
        columns[name].cast(kind) if isinstance(columns[name], pa.Array) else
        pa.array(columns[name], kind, from_pandas=True)
        for name, kind in types.items()
    ]  # fmt: skip
    return pa.record_batch(arrays, names=list(types))
