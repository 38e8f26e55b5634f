"""Limits of the charts by simulation: streams without a change alarm as often as is stated, and no more.

A simulated score is the mean of `overlap` independent normal steps, so that rounds go together as overlapping labels
make them. Each stream has validation eras of its own, from which its baseline is estimated, as a run's is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from eraflow.monitoring.charts import Values
from eraflow.monitoring.streams import Kind, Limits, Paths, paths

YEARS = 2  # a stream is watched for; the limits hold in each of them
SHARPE = 0.5  # mean over deviation of an era's score, without a change
SHARPES = (0.1, SHARPE, 1.0)  # that limits hold for: a drawdown is the rarer, the better the score
CHUNK = 250  # streams at a time, for memory
STEPS = 20  # of the bisection


@dataclass(frozen=True)
class Simulated:
    """Streams of rounds' scores, shape (streams, rounds), and their validation eras, (streams, eras)."""

    scores: Values
    eras: Values


def overlapping(generator: np.random.Generator, streams: int, length: int, overlap: int) -> Values:
    """Standard normal values, shape (streams, length), whose correlation at lag h is 1 - h / overlap."""
    steps = np.cumsum(generator.standard_normal((streams, length + overlap)), axis=-1)
    return np.asarray((steps[:, overlap:] - steps[:, :-overlap]) / np.sqrt(overlap))


def simulated(
    generator: np.random.Generator, streams: int, rounds: int, kind: Kind, effective: float, sharpe: float = SHARPE
) -> Simulated:
    """Streams without a change, of deviation 1, with `effective` validation labels."""
    eras = overlapping(generator, streams, round(effective * kind.weeks), kind.weeks)
    return Simulated(overlapping(generator, streams, rounds, kind.overlap) + sharpe, eras + sharpe)


def highest(
    generator: np.random.Generator, streams: int, kind: Kind, effective: float, sharpe: float
) -> dict[str, Values]:
    """By chart its highest value in each year of each stream, shape (streams, YEARS)."""
    found: list[dict[str, Values]] = []
    for begin in range(0, streams, CHUNK):
        some = simulated(generator, min(CHUNK, streams - begin), YEARS * kind.window, kind, effective, sharpe)
        charts = paths(some.scores, some.eras, kind, seed=begin)
        found.append(by_year(charts, kind))
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def by_year(charts: Paths, kind: Kind) -> dict[str, Values]:
    """By chart its highest value in each year, shape (..., years); what is NaN is lower than all."""
    return {
        name: np.nan_to_num(path, nan=-np.inf).reshape(*path.shape[:-1], -1, kind.window).max(axis=-1)
        for name, path in charts.named.items()
    }


def limits(kind: Kind, effective: float, rate: float, streams: int = 4000, seed: int = 0) -> Limits:
    """Limits beyond which the charts of a stream without a change get in a year with probability `rate`, all together.

    Each chart alone does so equally often; in the first year and in a later one, whatever the score's Sharpe ratio.
    """
    found = []
    for sharpe in SHARPES:
        every = highest(np.random.default_rng(seed), streams, kind, effective, sharpe)
        found.append(_at(every, _largest(partial(_together, every), rate)))
    return Limits(**{name: max(one[name] for one in found) for name in found[0]})


def _at(every: Mapping[str, Values], each: float) -> dict[str, float]:
    """By chart the limit that it gets beyond with this probability, in the worst year."""
    return {name: float(np.quantile(values, 1 - each, axis=0).max()) for name, values in every.items()}


def _together(every: Mapping[str, Values], each: float) -> float:
    """How often any chart does, where each does with this probability."""
    beyond = [every[name] > limit for name, limit in _at(every, each).items()]
    return float(np.any(beyond, axis=0).mean(axis=0).max())


def _largest(share: Callable[[float], float], rate: float) -> float:
    """The largest rate of one chart at which all together stay at `rate`."""
    low, high = rate / 4, rate
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) <= rate else (low, middle)
    return low


def alarm_rate(charts: Paths, held: Limits, kind: Kind) -> dict[str, Values]:
    """By chart, and as `any`, whether each stream has alarmed in each year, shape (streams, years) of 0 and 1."""
    found = {name: values > getattr(held, name) for name, values in by_year(charts, kind).items()}
    return {**found, "any": np.any(list(found.values()), axis=0)}


def delay(charts: Paths, held: Limits, change: int) -> dict[str, Values]:
    """By chart, and as `any`, the rounds from the change to the first round beyond its limit, by stream; inf if never.

    A stream that was beyond it when the change came has a delay of 0.
    """
    found = {}
    for name, path in charts.named.items():
        beyond = np.nan_to_num(path[..., change:], nan=-np.inf) > getattr(held, name)
        found[name] = np.where(beyond.any(axis=-1), beyond.argmax(axis=-1).astype(np.float64), np.inf)
    return {**found, "any": np.min(list(found.values()), axis=0)}
