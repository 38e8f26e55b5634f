"""Going on with recursive series from stored states, so that new bars need only the history that is read directly.

A state is the value of a recursive series at a bar whose number is a multiple of SPACING. A run over new bars starts to
read at such a bar, `start`, and every recursive series is set to its state as soon as its own input is right: where the
input reads 300 bars back, that is at the first such bar from start + 300 on. From there it goes on as the full
computation does, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from eraflow.features.plan import sources
from eraflow.features.series import (
    BAR,
    SPACING,
    Apply,
    Constant,
    Input,
    Lag,
    RunningSum,
    Series,
    or_zero,
    where,
)
from eraflow.features.window_forms import DecayedMean, Frame, Recursive, weights_since

START = Input("start")  # the first bar that is read of a ticker: 0, or a multiple of SPACING
STATES = Input("states")  # at a bar that is a multiple of SPACING what the earlier run stored there


def recursions(roots: Iterable[Series]) -> list[Series]:
    """Every recursive series that the roots are made of, in the order in which states are stored."""
    found: dict[Series, None] = {}

    def visit(node: Series) -> None:
        if node not in found:
            for source in _all_sources(node):
                visit(source)
            found[node] = None

    for root in roots:
        visit(root)
    return [node for node in found if isinstance(node, Recursive)]


def history(roots: Iterable[Series]) -> int:
    """Bars before the current one that must be read for the roots, states being there."""
    warm_ups: dict[Series, int] = {}
    return max((_warm_up(root, warm_ups) for root in roots), default=0)


def _warm_up(node: Series, memo: dict[Series, int]) -> int:
    """Bars from the start until the series is right."""
    if node not in memo:
        below = max((_warm_up(source, memo) for source in _all_sources(node)), default=0)
        match node:
            case Lag(bars=bars):
                below += bars
            case Frame(bars=bars):
                below += bars - 1
            case RunningSum() | DecayedMean():
                below = -(-below // SPACING) * SPACING  # up to the next bar that has a state
        memo[node] = below
    return memo[node]


def _all_sources(node: Series) -> tuple[Series, ...]:
    return (*sources(node), node.weight) if isinstance(node, DecayedMean) else sources(node)


@dataclass(frozen=True)
class Resumed:
    """Series that read the inputs `start` and `states` beside those of the originals, and equal them for new bars."""

    outputs: Mapping[str, Series]
    states: list[Series]  # the recursive series, in the order of `recursions`


def resumed(outputs: Mapping[str, Series]) -> Resumed:
    """The outputs as series that go on from stored states."""
    recursive = recursions(outputs.values())
    places = {node: place for place, node in enumerate(recursive)}
    warm_ups: dict[Series, int] = {}
    made: dict[Series, Series] = {}

    def rewritten(node: Series) -> Series:
        if node not in made:
            made[node] = make(node)
        return made[node]

    def make(node: Series) -> Series:
        match node:
            case Input() | Constant():
                return node
            case Apply(arguments=arguments):
                return replace(node, arguments=tuple(rewritten(argument) for argument in arguments))
            case Lag(source=source):
                return replace(node, source=rewritten(source))
            case Frame(source=source, other=other):
                return replace(node, source=rewritten(source), other=rewritten(other) if other else None)
        state = Apply("element", (STATES, Constant(places[node])))
        set_at = START + _warm_up(node, warm_ups)
        match node:
            case RunningSum(source=source):
                return RunningSum(_seeded(rewritten(source), state, set_at))
            case DecayedMean(source=source, decay=decay, weight=weight):
                # A mean is set by its weighted sum, and becomes a mean again by the whole history's weight.
                its_weight = rewritten(weight)
                impulse = _seeded(or_zero(rewritten(source)), or_zero(state * its_weight), set_at)
                read = weights_since(decay, BAR - START + 1).total
                return DecayedMean(impulse, decay, read) * read / its_weight
        raise TypeError(f"{type(node).__name__} is no series")

    return Resumed({name: rewritten(root) for name, root in outputs.items()}, [rewritten(node) for node in recursive])


def _seeded(x: Series, state: Series, set_at: Series) -> Series:
    """Nothing before the bar at which the state is set, the state there, x from then on; x all along from bar 0."""
    later = where(set_at >= BAR, where(set_at < BAR + 1, state, 0.0), x)
    return where(START < 1, x, later)
