"""From series to Spark: any number of `Series` become a chain of Window operators over one exchange and one sort.

Tickers are brought together once and sorted once by `(ticker, long block, short block, bar)`. That order serves a
window over the ticker and a window over the ticker's blocks alike, so no operator of the chain sorts again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window, WindowSpec
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
_BLOCK_COLUMN = {BLOCKS[0]: SHORT, BLOCKS[1]: LONG}

# Division by zero gives null in Spark, and so does a logarithm of what is not positive: both as `Series` promises.
FUNCTIONS: Mapping[str, Callable[..., Column]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "modulo": lambda a, b: a % b,
    "less": lambda a, b: a < b,
    "at_least": lambda a, b: a >= b,
    "where": lambda condition, value, *otherwise: (
        F.when(condition, value).otherwise(otherwise[0]) if otherwise else F.when(condition, value)
    ),
    "absolute": F.abs,
    "log": F.log,
    "sqrt": F.sqrt,
    "known": lambda x: x.isNotNull().cast("double"),
    "power": F.pow,
}

_AGGREGATES: Mapping[str, Callable[[Column], Column]] = {
    "min": F.min,
    "max": F.max,
    "mean": F.avg,
    "variance": F.var_pop,
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
        frame = frame.select(
            *(name for name in frame.columns if name in held or name in alive),
            *(schedule.definition(node).alias(_name(node)) for node in wanted),
        )
    return frame.select(*keep, *(schedule.value(node).cast("double").alias(name) for name, node in outputs.items()))


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

    def value(self, node: Series) -> Column:
        """The series as an expression of the columns that are there."""
        return F.col(_name(node)) if node in self.stored else self.definition(node)

    def definition(self, node: Series) -> Column:
        match node:
            case Constant(value=value):
                return F.lit(value)
            case Apply(function=function, arguments=arguments):
                return FUNCTIONS[function](*(self.value(argument) for argument in arguments))
            case Lag() | Rolling() | BlockSum() | PreviousBlockEnd():
                return _window(node, self.value(node.source))
        return F.col(_name(node))

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


def _ticker() -> WindowSpec:
    return Window.partitionBy("ticker").orderBy(LONG, SHORT, "bar")


def _block(block: int) -> WindowSpec:
    if block == BLOCKS[0]:
        return Window.partitionBy("ticker", LONG, SHORT).orderBy("bar")
    return Window.partitionBy("ticker", LONG).orderBy(SHORT, "bar")


def _window(node: Series, source: Column) -> Column:
    match node:
        case Lag(bars=bars):
            return F.lag(source, bars).over(_ticker())
        case Rolling(bars=bars, aggregate=aggregate):
            frame = _ticker().rowsBetween(-(bars - 1), Window.currentRow)
            return F.when(F.count(source).over(frame) == bars, _AGGREGATES[aggregate](source).over(frame))
        case BlockSum(block=block):
            frame = _block(block).rowsBetween(Window.unboundedPreceding, Window.currentRow)
            return F.sum(F.coalesce(source, F.lit(0.0))).over(frame)
        case PreviousBlockEnd(block=block):
            frame = _ticker().rowsBetween(Window.unboundedPreceding, -1)
            return F.last(F.when((F.col("bar") + 1) % block == 0, source), ignorenulls=True).over(frame)
    raise TypeError(f"{type(node).__name__} is no window")
