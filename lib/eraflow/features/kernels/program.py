"""From series to a program: every distinct series is one step, whose operation is a kernel or arithmetic of arrays.

What the algebra says is computed as it is said; how Window functions would put it together is not looked at, so that
series which differ in that alone are one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eraflow.features.series import (
    FLAT,
    ROUNDING,
    SPACING,
    Apply,
    Constant,
    Exponential,
    FadingSum,
    Input,
    Lag,
    Rolling,
    RunningSum,
    Series,
    Smoothed,
    operands,
)

Operand = int | float  # the place of a value, or a constant

# Operations that remember the whole history -> how many numbers their state is.
STATES: Mapping[str, int] = {
    "running_sum": 1, "smoothed": 1, "fading_sum": 1, "exponential_mean": 2, "exponential_moments": 4,
}  # fmt: skip
SUMS = {"rolling_mean", "rolling_variance", "rolling_covariance", "rolling_skewness"}


@dataclass(frozen=True)
class Step:
    """One operation: values go to the place `result`, those of `exponential_moments` to the next place too.

    `slot` is the first column of its state, `set_after` how many bars after the first that is read its state is set.
    """

    operation: str
    arguments: tuple[Operand, ...]
    parameters: tuple[Operand, ...]
    result: int
    slot: int = 0
    set_after: int = 0


@dataclass(frozen=True)
class Program:
    """What computes the outputs of all tickers: `inputs` by name and `outputs` by name, each with its place.

    `slots` is how many numbers the state of a ticker is. With states, `history` bars before a bar give its values as a
    run over the whole history does, to the last bit. `last_use` is the step after which a place is not read any more.
    """

    inputs: Mapping[str, int]
    steps: tuple[Step, ...]
    outputs: Mapping[str, int]
    slots: int
    history: int
    last_use: Mapping[int, int]


def program(outputs: Mapping[str, Series]) -> Program:
    """The program of some outputs, by name."""
    compiler = _Compiler()
    compiler.find_variances(outputs.values())
    places = {name: compiler.stored(compiler.place(node)) for name, node in outputs.items()}
    last_use = {
        argument: number
        for number, step in enumerate(compiler.steps)
        for argument in step.arguments
        if isinstance(argument, int)
    }
    history = max((compiler.warm_ups[place] for place in places.values()), default=0)
    return Program(compiler.inputs, tuple(compiler.steps), places, compiler.slots, history, last_use)


@dataclass
class _Compiler:
    """Collects steps; what is asked for again has its place already."""

    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    slots: int = 0
    warm_ups: dict[int, int] = field(
        default_factory=dict
    )  # place -> bars from the first that is read until it is right
    places: dict[Series, Operand] = field(default_factory=dict)
    made: dict[tuple[object, ...], int] = field(default_factory=dict)
    varied: set[tuple[Series, float]] = field(default_factory=set)

    def find_variances(self, roots: Iterable[Series]) -> None:
        """Takes note of what an exponentially weighted variance is wanted of: its mean comes with it."""
        todo, seen = [*roots], set[Series]()
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            if isinstance(node, Exponential) and node.statistic == "variance":
                self.varied.add((node.source, node.alpha))
            todo += operands(node)

    def place(self, node: Series) -> Operand:
        if node not in self.places:
            self.places[node] = self._placed(node)
        return self.places[node]

    def stored(self, operand: Operand) -> int:
        if not isinstance(operand, int):
            raise ValueError("an output is a constant")
        return operand

    def _placed(self, node: Series) -> Operand:
        match node:
            case Constant(value=value):
                return float(value)
            case Input(name=name):
                if name not in self.inputs:
                    self.inputs[name] = self._new(0)
                return self.inputs[name]
            case Apply(function=function, arguments=arguments):
                return self._step(function, tuple(map(self.place, arguments)))
        source = self.place(operands(node)[0])
        match node:
            case Lag(bars=bars):
                return self._step("lag", (source,), (bars,), bars)
            case RunningSum():
                return self._step("running_sum", (source,))
            case Smoothed(alpha=alpha, first=first, bars=bars):
                return self._step("smoothed", (source,), (alpha, first, bars))
            case FadingSum(bars=bars):
                return self._step("fading_sum", (source,), (bars,))
            case Exponential(alpha=alpha, statistic=statistic):
                if (node.source, alpha) not in self.varied:
                    return self._step("exponential_mean", (source,), (alpha,))
                return self._step("exponential_moments", (source,), (alpha,)) + (statistic == "variance")
            case Rolling():
                return self._rolling(node, source)
        raise TypeError(f"{type(node).__name__} is no series of the algebra")

    def _rolling(self, node: Rolling, source: Operand) -> int:
        bars = node.bars
        match node.statistic:
            case "mean":
                return self._window("rolling_mean", (source,), (bars,))
            case "variance":
                return self._window("rolling_variance", (source,), (bars, node.ddof, node.floor))
            case "covariance" if node.other is not None:
                return self._window("rolling_covariance", (source, self.place(node.other)), (bars,))
            case "skewness":
                return self._window("rolling_skewness", (source,), (bars, FLAT))
            case "max":
                return self._window("rolling_max", (source,), (bars, 1.0))
            case "min":
                return self._window("rolling_max", (source,), (bars, -1.0))
            case "rank":
                return self._window("rolling_rank", (source,), (bars,))
            case "quantile":
                return self._window("rolling_quantile", (source,), (bars, node.share))
            case "place_of_max":
                top = self._window("rolling_max", (source,), (bars, 1.0))
                return self._step("place_of_max", (source, top), (bars, ROUNDING))
            case "mean_distance":
                mean = self._window("rolling_mean", (source,), (bars,))
                return self._step("mean_distance", (source, mean), (bars,))
        raise ValueError(f"no kernel for the statistic {node.statistic}")

    def _window(self, operation: str, arguments: tuple[Operand, ...], parameters: tuple[Operand, ...]) -> int:
        # What sums are taken over begins at a multiple of the window's length: up to twice its bars are read.
        bars = int(parameters[0]) - 1
        return self._step(operation, arguments, parameters, 2 * bars if operation in SUMS else bars)

    def _step(
        self, operation: str, arguments: tuple[Operand, ...], parameters: tuple[Operand, ...] = (), looks_back: int = 0
    ) -> int:
        key = (operation, arguments, parameters)
        if key not in self.made:
            below = max((self.warm_ups[place] for place in arguments if isinstance(place, int)), default=0)
            slot, state = self.slots, STATES.get(operation, 0)
            warm_up = -(-below // SPACING) * SPACING if state else below + looks_back
            result = self._new(warm_up)
            if operation == "exponential_moments":
                self._new(warm_up)
            self.slots += state
            self.steps.append(Step(operation, arguments, parameters, result, slot, warm_up))
            self.made[key] = result
        return self.made[key]

    def _new(self, warm_up: int) -> int:
        place = len(self.warm_ups)
        self.warm_ups[place] = warm_up
        return place
