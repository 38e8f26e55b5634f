"""From series to Spark: any number of `Series` become a chain of Window operators over one exchange and one sort.

Tickers are brought together once and sorted once by `(ticker, long block, short block, bar)`. That order serves a
window over the ticker and a window over the ticker's blocks alike, so no operator of the chain sorts again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.features.series import (
    BLOCKS,
    Apply,
    BlockSum,
    Constant,
    Input,
    Lag,
    PreviousBlockEnd,
    Rolling,
    Series,
    WindowSeries,
)

SHORT, LONG = "short_block", "long_block"

# Expressions are SQL text: a set of features has some ten thousand operators, and as Column objects each would be a
# call from Python into the JVM. Spark gives null for a division by zero and for the logarithm of what is not positive.
FUNCTIONS: Mapping[str, str] = {
    "add": "({0} + {1})",
    "subtract": "({0} - {1})",
    "multiply": "({0} * {1})",
    "divide": "({0} / {1})",
    "modulo": "({0} % {1})",
    "less": "({0} < {1})",
    "at_least": "({0} >= {1})",
    "where": "CASE WHEN {0} THEN {1} END",
    "where_else": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "absolute": "abs({0})",
    "log": "ln({0})",
    "sqrt": "sqrt({0})",
    "known": "CAST({0} IS NOT NULL AS DOUBLE)",
    "power": "pow({0}, {1})",
}
_AGGREGATES: Mapping[str, str] = {"min": "min", "max": "max", "mean": "avg", "variance": "var_pop"}

_TICKER = f"PARTITION BY ticker ORDER BY {LONG}, {SHORT}, bar"
_BLOCK = {
    BLOCKS[0]: f"PARTITION BY ticker, {LONG}, {SHORT} ORDER BY bar",
    BLOCKS[1]: f"PARTITION BY ticker, {LONG} ORDER BY {SHORT}, bar",
}


def with_series(bars: DataFrame, outputs: Mapping[str, Series], keep: Sequence[str]) -> DataFrame:
    """The columns `keep` of `bars` and one double column for each output.

    `bars` holds `ticker string`, `bar int` (0, 1, 2, ... by date within the ticker) and every input that the outputs
    name. The plan has one exchange and one sort whatever the outputs are.
    """
    short, long = (F.floor(F.col("bar") / block).cast("int") for block in BLOCKS)
    inputs = sorted(({node.name for node in _nodes(outputs.values()) if isinstance(node, Input)} | set(keep)) - {"bar"})
    frame = (
        bars.select(*{"ticker": None, **dict.fromkeys(inputs)}, "bar", short.alias(SHORT), long.alias(LONG))
        .repartition("ticker")
        .sortWithinPartitions("ticker", LONG, SHORT, "bar")
    )
    held = {"ticker", LONG, SHORT, "bar", *keep}
    schedule = _schedule(list(outputs.values()))
    for number, wanted in enumerate(schedule.steps):
        alive = schedule.read_after(number)
        frame = frame.selectExpr(
            *(name for name in frame.columns if name in held or name in alive),
            *(f"{schedule.definition(node)} AS {_name(node)}" for node in wanted),
        )
    columns = (f"CAST({schedule.value(node)} AS DOUBLE) AS {name}" for name, node in outputs.items())
    return frame.selectExpr(*keep, *columns)


def look_back(node: Series) -> int:
    """Bars before the current one that the series reads directly; a recursive filter's memory is its blocks' state."""
    reach = {Lag: lambda n: n.bars, Rolling: lambda n: n.bars - 1}
    own = reach[type(node)](node) if type(node) in reach else 0
    return own + max((look_back(source) for source in _sources(node)), default=0)


def _sources(node: Series) -> tuple[Series, ...]:
    match node:
        case Apply(arguments=arguments):
            return arguments
        case Lag(source=source) | Rolling(source=source) | BlockSum(source=source) | PreviousBlockEnd(source=source):
            return (source,)
    return ()


def _nodes(roots: Iterable[Series]) -> list[Series]:
    """Every distinct series below the roots, each once, sources before what is made of them."""
    found: dict[Series, None] = {}

    def visit(node: Series) -> None:
        if node not in found:
            for source in _sources(node):
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
            case Lag() | Rolling() | BlockSum() | PreviousBlockEnd():
                return _window(node, self.value(node.source))
        return _name(node)

    def read_after(self, step: int) -> set[str]:
        """Columns that a later step still reads; all others leave the plan, to keep its rows narrow."""
        readers = [source for later in self.steps[step + 1 :] for node in later for source in _sources(node)]
        return {_name(column) for node in (*readers, *self.roots) for column in self.columns_in(node)}

    def columns_in(self, node: Series) -> set[Series]:
        if node in self.stored:
            return {node}
        return {column for source in _sources(node) for column in self.columns_in(source)}


def _schedule(roots: Sequence[Series]) -> _Schedule:
    nodes = _nodes(roots)
    uses = Counter(source for node in nodes for source in _sources(node))
    stored = {
        node for node in nodes
        if isinstance(node, (Input, WindowSeries)) or (isinstance(node, Apply) and uses[node] > 1)
    }  # fmt: skip
    # A place is (windows passed, shared arithmetic passed since): the order in which columns can be computed.
    places: dict[Series, tuple[int, int]] = {}
    for node in nodes:
        windows, depth = max((places[source] for source in _sources(node)), default=(0, 0))
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


def _window(node: Series, source: str) -> str:
    match node:
        case Lag(bars=bars):
            return f"lag({source}, {bars}) OVER ({_TICKER})"
        case Rolling(bars=bars, aggregate=aggregate):
            frame = f"({_TICKER} ROWS BETWEEN {bars - 1} PRECEDING AND CURRENT ROW)"
            value = f"{_AGGREGATES[aggregate]}({source}) OVER {frame}"
            return f"CASE WHEN count({source}) OVER {frame} = {bars} THEN {value} END"
        case BlockSum(block=block):
            frame = f"({_BLOCK[block]} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
            return f"sum(coalesce({source}, 0.0D)) OVER {frame}"
        case PreviousBlockEnd(block=block):
            frame = f"({_TICKER} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
            return f"last(CASE WHEN (bar + 1) % {block} = 0 THEN {source} END, true) OVER {frame}"
    raise TypeError(f"{type(node).__name__} is no window")
