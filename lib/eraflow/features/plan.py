"""From series to Spark: any number of `Series` become a chain of Window operators over one exchange and one sort.

Every window is over the ticker in the order of its dates. Spark brings tickers together and sorts them for the first,
and finds that order at each later one. Series of one depth share a window: lags, frames and recursions alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window, WindowSpec
from pyspark.sql import functions as F

from eraflow.features.series import Apply, Constant, Input, Lag, RunningSum, Series, operands
from eraflow.features.window_forms import DecayedMean, Frame, WindowSeries

# Expressions are SQL text: a set of features has some ten thousand operators, and as Column objects each would be a
# call from Python into the JVM. Spark gives null for a division by zero and for the logarithm of what is not positive.
FUNCTIONS: Mapping[str, str] = {
    "add": "({0} + {1})",
    "subtract": "({0} - {1})",
    "multiply": "({0} * {1})",
    "divide": "({0} / {1})",
    "less": "({0} < {1})",
    "at_least": "({0} >= {1})",
    "where": "CASE WHEN {0} THEN {1} END",
    "where_else": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "absolute": "abs({0})",
    "log": "ln({0})",
    "sqrt": "sqrt({0})",
    "observed": "CAST({0} IS NOT NULL AS DOUBLE)",
    "exp": "exp({0})",
    "power": "pow({0}, {1})",
    "or_zero": "coalesce({0}, 0.0D)",
    "greatest": "greatest({0}, {1})",
    "element": "get({0}, {1})",
    "sorted": "sort_array({0})",
    "reversed": "reverse({0})",
    "position": "array_position({0}, {1})",
}
_AGGREGATES: Mapping[str, str] = {
    "min": "min({0})",
    "max": "max({0})",
    "mean": "avg({0})",
    "variance": "var_pop({0})",
    "covariance": "covar_pop({0}, {1})",
    "values": "collect_list({0})",
}

_TICKER = "PARTITION BY ticker ORDER BY date"
_TO_NOW = f"({_TICKER} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"


def with_series(
    bars: DataFrame,
    outputs: Mapping[str, Series],
    keep: Sequence[str],
    states: Sequence[Series] = (),
    spacing: int = 1,
) -> DataFrame:
    """The columns `keep` of `bars` and one double column for each output.

    `bars` holds `ticker string`, `date date`, `bar int` (0, 1, 2, ... by date within the ticker) and every input that
    the outputs name. The plan has one exchange and one sort whatever the outputs are, and none of either where `bars`
    comes out of a window over the ticker by date.

    With `states` there is one more column, `states array<double>`: the values of these series at each bar whose number
    is a multiple of `spacing`, null at all others and at bar 0.
    """
    inputs = inputs_of([*outputs.values(), *states])
    frame = bars.select(*dict.fromkeys(["ticker", "date", "bar", *keep, *sorted(inputs)]))
    held = {"ticker", "date", "bar", *keep}
    schedule = _schedule(list(outputs.values()), states)
    packed = _Packed(states, f"bar > 0 AND bar % {spacing} = 0")
    to_now = Window.partitionBy("ticker").orderBy("date").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    for number, wanted in enumerate(schedule.steps):
        alive = schedule.read_after(number)
        means = [node for node in wanted if isinstance(node, DecayedMean)]
        items = [name for name in frame.columns if name in held or name in alive]
        items += packed.of_step_before()
        items += [f"{schedule.definition(node)} AS {_name(node)}" for node in wanted if node not in means]
        recursions = [schedule.mean(node, to_now).alias(_name(node)) for node in means]
        frame = frame.select(*map(F.expr, items), *recursions) if means else _select(frame, items)
        held |= packed.computed(wanted)
    columns = [f"CAST({schedule.value(node)} AS DOUBLE) AS {name}" for name, node in outputs.items()]
    if not states:
        return _select(frame, [*keep, *columns])
    return _select(_select(frame, ["*", *packed.of_step_before()]), [*keep, *columns, packed.all()])


def _select(frame: DataFrame, items: Sequence[str]) -> DataFrame:
    """A select as one text: handed over item by item it would be some calls into the JVM for each."""
    return frame.sparkSession.sql(f"SELECT {', '.join(items)} FROM {{frame}}", frame=frame)


def inputs_of(roots: Iterable[Series]) -> set[str]:
    """The columns that the series read."""
    return {node.name for node in _nodes(roots) if isinstance(node, Input)}


class _Packed:
    """Collects the states as the steps go by.

    They are put into an array at once, which is null at most bars: as columns they would be carried to the end.
    """

    def __init__(self, states: Sequence[Series], at: str) -> None:
        self.wanted = frozenset(states)
        self._states = states
        self._at = at
        self._arrays: list[list[Series]] = []
        self._waiting: list[Series] = []

    def computed(self, step: Sequence[Series]) -> set[str]:
        """Takes note of a step; returns the name of the array that the next select makes."""
        self._waiting = [node for node in step if node in self.wanted]
        return {f"_states_{len(self._arrays)}"} if self._waiting else set()

    def of_step_before(self) -> list[str]:
        if not self._waiting:
            return []
        name = f"_states_{len(self._arrays)}"
        self._arrays.append(self._waiting)
        values = ", ".join(f"CAST({_name(node)} AS DOUBLE)" for node in self._waiting)
        self._waiting = []
        return [f"CASE WHEN {self._at} THEN array({values}) END AS {name}"]

    def all(self) -> str:
        """The states in the order in which they were asked for."""
        places = {node: f"_states_{a}[{i}]" for a, nodes in enumerate(self._arrays) for i, node in enumerate(nodes)}
        values = ", ".join(places[node] for node in self._states)
        return f"CASE WHEN {self._at} THEN array({values}) END AS states"


def sources(node: Series) -> tuple[Series, ...]:
    """The series that a series is made of."""
    match node:
        case Frame(source=source, other=other):
            return (source,) if other is None else (source, other)
        case DecayedMean(source=source):
            return (source,)
    return operands(node)


def _nodes(roots: Iterable[Series]) -> list[Series]:
    """Every distinct series below the roots, each once, sources before what is made of them."""
    found: dict[Series, None] = {}

    def visit(node: Series) -> None:
        if node not in found:
            for source in sources(node):
                visit(source)
            found[node] = None

    for root in roots:
        visit(root)
    return list(found)


@dataclass(frozen=True)
class _Schedule:
    """Which series become columns, and in which select: windows step by step, shared arithmetic between them.

    Arithmetic that several series read is a column of its own; written out in each of its readers, an expression would
    grow with the number of paths through it, which is exponential in its depth.
    """

    roots: Sequence[Series]
    stored: frozenset[Series]
    steps: Sequence[Sequence[Series]]

    def value(self, node: Series) -> str:
        """The series as an expression of the columns that are there."""
        return _name(node) if node in self.stored else self.definition(node)

    def definition(self, node: Series) -> str:
        match node:
            case Constant(value=value):
                # Without the D, SQL would read a decimal. repr is exact.
                return f"{value!r}D" if isinstance(value, float) else str(value)
            case Apply(function=function, arguments=arguments):
                return FUNCTIONS[function].format(*(self.value(argument) for argument in arguments))
            case Lag() | Frame() | RunningSum():
                return _window(node, *(self.value(source) for source in sources(node)))
        return _name(node)

    def mean(self, node: DecayedMean, to_now: WindowSpec) -> Column:
        return _exponential_mean(self.value(node.source), node.decay).over(to_now)

    def read_after(self, step: int) -> set[str]:
        """Columns that a later step still reads; all others leave the plan, to keep its rows narrow."""
        readers = [source for later in self.steps[step + 1 :] for node in later for source in sources(node)]
        return {_name(column) for node in (*readers, *self.roots) for column in self.columns_in(node)}

    def columns_in(self, node: Series) -> set[Series]:
        if node in self.stored:
            return {node}
        return {column for source in sources(node) for column in self.columns_in(source)}


# Shared arithmetic of up to so many operators is written out again in each reader: a column of its own costs more.
_CHEAP = 3


def _schedule(roots: Sequence[Series], states: Sequence[Series]) -> _Schedule:
    nodes = _nodes([*roots, *states])
    uses = Counter(source for node in nodes for source in sources(node))
    stored: set[Series] = set()
    operators: dict[Series, int] = {}  # in a series as an expression of stored columns
    for node in nodes:
        operators[node] = isinstance(node, Apply) + sum(operators[source] for source in sources(node))
        shared = uses[node] > 1 and operators[node] > _CHEAP
        if isinstance(node, (Input, WindowSeries)) or shared or node in states:
            stored.add(node)
            operators[node] = 0
    # A place is (windows passed, shared arithmetic passed since): the order in which columns can be computed.
    places: dict[Series, tuple[int, int]] = {}
    for node in nodes:
        windows, depth = max((places[source] for source in sources(node)), default=(0, 0))
        if isinstance(node, WindowSeries):
            windows, depth = windows + 1, 0
        elif isinstance(node, Apply) and node in stored:
            depth += 1
        places[node] = (windows, depth)
    computed = [node for node in nodes if node in stored and not isinstance(node, Input)]
    steps = [[node for node in computed if places[node] == place] for place in sorted({places[n] for n in computed})]
    return _Schedule(roots, frozenset(stored), steps)


def _name(node: Series) -> str:
    return node.name if isinstance(node, Input) else f"_{node.token}"


def _window(node: Series, source: str, other: str = "") -> str:
    match node:
        case Lag(bars=bars):
            return f"lag({source}, {bars}) OVER ({_TICKER})"
        case Frame(bars=bars, aggregate=aggregate):
            frame = f"({_TICKER} ROWS BETWEEN {bars - 1} PRECEDING AND CURRENT ROW)"
            value = f"{_AGGREGATES[aggregate].format(source, other)} OVER {frame}"
            return f"CASE WHEN count({source}) OVER {frame} = {bars} THEN {value} END"
        case RunningSum():
            return f"sum(coalesce({source}, 0.0D)) OVER {_TO_NOW}"
    raise TypeError(f"{type(node).__name__} is no window")


def _exponential_mean(source: str, decay: float) -> Column:
    """Spark's exponentially weighted mean: a recursion, so that no history is too long for it."""
    jvm: Any = SparkSession.active()._jvm
    # What pandas-on-Spark's own ewm() stands on; that package itself does not import beside numpy 2.
    return Column(jvm.org.apache.spark.sql.api.python.PythonSQLUtils.ewm(F.expr(source)._jc, 1.0 - decay, False))
