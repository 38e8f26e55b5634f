"""The three charts of one score together: their paths, their limits, and the status that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.monitoring.charts import (
    Baseline,
    Values,
    carried,
    cusum,
    drawdown,
    drawdown_band,
    rolling_z,
)
from eraflow.monitoring.status import Level, Status, together

WEEKS = 52  # of the rolling mean and of the drawdown
SHARE = 0.95  # of the bootstrapped drawdowns, that a band is above
PATHS = 200


@dataclass(frozen=True)
class Kind:
    """How rounds follow each other: `overlap` of them share a label, and `weekly` of them are in a week."""

    overlap: int
    weekly: int

    @property
    def window(self) -> int:
        """Rounds of a year."""
        return WEEKS * self.weekly

    @property
    def weeks(self) -> int:
        """Of a label; as many weekly eras share one."""
        return max(1, round(self.overlap / self.weekly))


@dataclass(frozen=True)
class Limits:
    """Where each chart alarms: deviations of `rolling` (below minus that) and `cusum`, drawdown over its band."""

    rolling: float
    cusum: float
    drawdown: float


@dataclass(frozen=True)
class Paths:
    """The charts of scores, shape (..., T): the more, the worse."""

    rolling: Values  # minus the overlap-aware z of the last year; NaN before two labels
    cusum: Values
    drawdown: Values  # over its band

    @property
    def named(self) -> dict[str, Values]:
        return {"rolling": self.rolling, "cusum": self.cusum, "drawdown": self.drawdown}


def paths(scores: Values, eras: Values, kind: Kind, seed: int = 0) -> Paths:
    """The charts of rounds' scores, shape (..., T), against weekly validation eras, shape (..., E).

    NaN is a round without a score; the one before stands for it (`carried`). InputError as `Baseline.of`.
    """
    scores = carried(scores, kind.overlap)
    baseline = Baseline.of(eras, kind.weeks)
    generator = np.random.default_rng(seed)
    band = drawdown_band(eras, kind.weeks, WEEKS, SHARE, PATHS, generator)
    weeks = np.minimum(np.arange(scores.shape[-1]) // kind.weekly, WEEKS - 1)
    # A drawdown is counted in weeks' scores; a band of nothing (no era has lost) is as deep as an era's deviation.
    deep = drawdown(scores, kind.window) / kind.weekly
    allowed = np.maximum(band[..., weeks], baseline.spread[..., None])
    return Paths(
        -rolling_z(scores, baseline, kind.overlap, kind.window),
        cusum(scores, baseline, kind.overlap),
        np.asarray(deep / allowed),
    )


LEVEL: dict[str, Level] = {"rolling": "warn", "drawdown": "warn", "cusum": "retrain"}


def judged(found: Paths, limits: Limits, score: str = "the score") -> Status:
    """The status after the last round of one stream's charts, shape (T,)."""
    statuses = []
    for name, path in found.named.items():
        limit = getattr(limits, name)
        if len(path) and path[-1] > limit:
            statuses.append(Status(LEVEL[name], (_reason(name, score, path, limit),)))
    return together(statuses)


def _reason(chart: str, score: str, path: Values, limit: float) -> str:
    value = float(path[-1])
    rounds = len(path) - int(np.flatnonzero(~(path > limit))[-1] + 1) if (~(path > limit)).any() else len(path)
    since = f"for {rounds} round{'s' if rounds > 1 else ''}"
    if chart == "rolling":
        return (
            f"the mean of {score} over the last year is {value:.1f} deviations below that of validation eras "
            f"(limit {limit:.1f}) {since}"
        )
    if chart == "cusum":
        return f"{score} has fallen off its validation mean by a CUSUM of {value:.1f} (limit {limit:.1f}) {since}"
    return f"the drawdown of {score} is {value:.2f} times what validation eras show (limit {limit:.2f}) {since}"
