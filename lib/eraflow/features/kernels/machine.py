"""Runs a program over the rows of whole tickers, array by array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.features.kernels import order, recursions, sums
from eraflow.features.kernels.compiled import Places, Values
from eraflow.features.kernels.program import STATES, Program, Step
from eraflow.features.series import SPACING

Flags = npt.NDArray[np.bool_]
Value = Values | Flags | float


def _divide(x: Value, divisor: Value) -> Value:
    return _nan_at(np.divide(x, divisor), divisor)


def _log(x: Value) -> Value:
    return _nan_at(np.log(x), x)


def _nan_at(values: Values, of: Value) -> Values:
    """The values, NaN where that which they are made of is 0."""
    zero = np.equal(of, 0.0)
    if np.any(zero):
        values[...] = np.where(zero, np.nan, values)
    return values


# A comparison with NaN is false, as that with null is in a CASE of SQL.
ARITHMETIC: Mapping[str, Callable[..., Value]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": _divide,
    "less": np.less,
    "at_least": np.greater_equal,
    "where": lambda condition, value: np.where(condition, value, np.nan),
    "where_else": np.where,
    "absolute": np.abs,
    "log": _log,
    "sqrt": np.sqrt,
    "observed": lambda x: np.equal(x, x).astype(np.float64),
    "or_zero": lambda x: np.where(np.equal(x, x), x, 0.0),
}


@dataclass(frozen=True)
class Rows:
    """Rows of whole tickers, by ticker and date.

    `bounds` is the row at which each ticker begins, and the number of rows; `bars` the number of the bar there. Where
    that is not 0, `states` are those of an earlier run at the rows `at`, a row each; they are enough for the program.
    """

    bounds: Places
    bars: Places
    at: Places
    states: Values

    @classmethod
    def of(cls, bounds: Places, bar: Places, at: Places | None = None, states: Values | None = None) -> Rows:
        """From the number of each row's bar."""
        nothing = np.zeros(0, dtype=np.int64) if at is None else at
        return cls(bounds, bar[bounds[:-1]], nothing, np.zeros((0, 0)) if states is None else states)

    def numbers(self) -> Places:
        """The number of each row's bar."""
        return np.arange(self.bounds[-1]) - np.repeat(self.bounds[:-1] - self.bars, np.diff(self.bounds))

    def begins(self, step: Step) -> tuple[Places, Values]:
        """Of each ticker the row at which the step's state is set, -1 at its first bar, and the state."""
        begins = np.where(self.bars > 0, self.bounds[:-1] + step.set_after, -1)
        width = STATES[step.operation]
        given = np.full((len(begins), width), np.nan)
        has_state = np.isin(begins, self.at)
        if has_state.any():
            given[has_state] = self.states[np.searchsorted(self.at, begins[has_state]), step.slot : step.slot + width]
        return begins, given


def run(program: Program, columns: Mapping[str, Values], rows: Rows) -> Iterator[tuple[int, Values]]:
    """The values of each output's place, as they come; the states of `state_rows` last, at the place -1."""
    values: dict[int, Value] = {place: columns[name] for name, place in program.inputs.items()}
    wanted = set(program.outputs.values())
    kept_rows = np.flatnonzero(keeps_state(rows.numbers()))
    to_kept = np.full(rows.bounds[-1], -1, dtype=np.int64)
    to_kept[kept_rows] = np.arange(len(kept_rows))
    kept = np.full((len(kept_rows), max(program.slots, 1)), np.nan)
    yield from ((place, values[place]) for place in program.inputs.values() if place in wanted)  # type: ignore[misc]
    with np.errstate(all="ignore"):
        for number, step in enumerate(program.steps):
            arguments = [values[each] if isinstance(each, int) else each for each in step.arguments]
            results = _result(step, arguments, rows, to_kept, kept)
            for place, result in enumerate(results, step.result):
                values[place] = result
                if place in wanted:
                    yield place, result  # type: ignore[misc]
            for each in {each for each in step.arguments if isinstance(each, int)}:
                if program.last_use[each] == number:
                    del values[each]
    yield -1, kept


def keeps_state(bar: Places) -> Flags:
    """Whether the states of a row are kept, by the number of its bar."""
    kept: Flags = (bar > 0) & (bar % SPACING == 0)
    return kept


def _result(step: Step, arguments: list[Value], rows: Rows, to_kept: Places, kept: Values) -> tuple[Value, ...]:
    operation, parameters = step.operation, step.parameters
    if operation in ARITHMETIC:
        return (ARITHMETIC[operation](*arguments),)
    x = _row_of(arguments[0], rows)
    out = np.empty(len(x))
    bounds, bars = rows.bounds, rows.bars
    if operation in STATES:
        begins, given = rows.begins(step)
        state = (begins, given, to_kept, kept, step.slot)
    match operation:
        case "rolling_mean":
            sums.rolling_mean(x, bounds, bars, *parameters, out)
        case "rolling_variance":
            sums.rolling_variance(x, bounds, bars, *parameters, out)
        case "rolling_covariance":
            sums.rolling_covariance(x, _row_of(arguments[1], rows), bounds, bars, *parameters, out)
        case "rolling_skewness":
            sums.rolling_skewness(x, bounds, bars, *parameters, out)
        case "rolling_max":
            order.rolling_max(x, bounds, *parameters, out)
        case "rolling_rank":
            order.rolling_rank(x, bounds, *parameters, out)
        case "rolling_quantile":
            order.rolling_quantile(x, bounds, *parameters, out)
        case "place_of_max":
            order.place_of_max(x, bounds, *parameters, arguments[1], out)
        case "mean_distance":
            order.mean_distance(x, bounds, *parameters, arguments[1], out)
        case "lag":
            order.lag(x, bounds, *parameters, out)
        case "running_sum":
            recursions.running_sum(x, bounds, *state, out)
        case "smoothed":
            recursions.smoothed(x, bounds, bars, *state, *parameters, out)
        case "fading_sum":
            recursions.fading_sum(x, bounds, bars, *state, *parameters, out)
        case "exponential_mean":
            recursions.exponential_mean(x, bounds, *state, *parameters, out)
        case "exponential_moments":
            mean = np.empty(len(x))
            recursions.exponential_moments(x, bounds, *state, *parameters, mean, out)
            return mean, out
    return (out,)


def _row_of(value: Value, rows: Rows) -> Values:
    """A value as an array of doubles that kernels read."""
    if isinstance(value, float):
        return np.full(rows.bounds[-1], value)
    return np.ascontiguousarray(value, dtype=np.float64)
