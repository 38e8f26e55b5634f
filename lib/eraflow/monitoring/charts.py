"""Control charts of one score over rounds whose labels overlap: CUSUM, rolling mean, drawdown. Arithmetic on arrays.

A score is held against the validation eras of the run. Labels of neighbouring rounds share returns: with an overlap of
q rounds the correlation at lag h is 1 - h / q, so that q rounds tell little more than one. All charts therefore count
in labels without overlap. Their last axis is the round; NaN is a round without a score, and tells nothing. Of a slot
that does not play every round `carried` makes a stream that they can count. What limits they are held to,
`calibration` finds by simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d

from eraflow.errors import InputError

ALLOWANCE = 0.5  # deviations: a CUSUM counts only what is farther below the mean
LEAST_EFFECTIVE = 10  # labels without overlap, for a baseline

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """What validation eras promise of a score: `mean` and `spread` (deviation) of one era, or arrays of many."""

    mean: Values
    spread: Values
    effective: float  # labels without overlap that both rest on

    @classmethod
    def of(cls, values: Values, overlap: int) -> Baseline:
        """Of consecutive eras, shape (..., T), of which `overlap` share a label.

        The deviation is that around the true mean: the one around the mean of few labels is too small by 1 - 1 / n.
        InputError: fewer than ten labels without overlap, a value that is missing, or no variation.
        """
        effective = values.shape[-1] / overlap
        if effective < LEAST_EFFECTIVE:
            raise InputError(
                f"{values.shape[-1]} validation eras are {effective:.1f} labels without overlap, and charts of scores "
                f"need {LEAST_EFFECTIVE}; validate on more eras."
            )
        if not np.isfinite(values).all() or (np.ptp(values, axis=-1) == 0).any():
            raise InputError("a score of the validation eras is missing, or the same in all of them; train anew.")
        spread = values.std(axis=-1) / np.sqrt(1 - 1 / effective)
        return cls(values.mean(axis=-1), spread, effective)

    def deviations(self, scores: Values) -> Values:
        """How many deviations each score is above the mean."""
        return (scores - self.mean[..., None]) / self.spread[..., None]


def carried(scores: Values, overlap: int) -> Values:
    """Scores, shape (..., T), each of which stands for the rounds after it without one that share a label with it.

    So each counts for one label at most, and as much as in a slot that plays every round; farther rounds stay NaN.
    """
    observed = ~np.isnan(scores)
    if observed.all():
        return scores
    places = np.arange(scores.shape[-1])
    last = np.maximum.accumulate(np.where(observed, places, -overlap), axis=-1)
    values = np.take_along_axis(scores, np.maximum(last, 0), axis=-1)
    return np.where(places - last < overlap, values, np.nan)


def cusum(scores: Values, baseline: Baseline, overlap: int) -> Values:
    """How far scores have fallen below their baseline since it began, in deviations of labels without overlap.

    C_t = max(0, C_(t-1) + (-d_t - ALLOWANCE) / overlap) with d the deviations (Page 1954): a chart of independent
    labels whose steps are spread over the rounds of each. Without a change a label's steps have deviation 1.
    """
    deviations = baseline.deviations(scores)
    steps = np.where(np.isnan(deviations), 0.0, -deviations - ALLOWANCE) / overlap
    total = np.cumsum(steps, axis=-1)
    lowest = np.minimum(np.minimum.accumulate(total, axis=-1), 0.0)
    return np.asarray(total - lowest)


def rolling_z(scores: Values, baseline: Baseline, overlap: int, window: int) -> Values:
    """The mean of the last `window` rounds less the baseline's, in deviations of that difference.

    Before so many rounds are there it is the mean of all; NaN before two labels without overlap. The deviation allows
    for the overlap, Var = s^2 / n (1 + 2 sum_h (1 - h / n) (1 - h / q)) of n rounds with a score, and for the
    baseline's own mean, s^2 / its labels.
    """
    deviations = baseline.deviations(scores)
    observed = ~np.isnan(deviations)
    total = _last(np.where(observed, deviations, 0.0), window)
    count = _last(observed.astype(np.float64), window)
    most = int(count.max(initial=1.0))
    variance = np.array([_mean_variance(max(n, 1), overlap) for n in range(most + 1)])[count.round().astype(np.int64)]
    enough = count >= 2 * overlap
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=enough)
    return np.asarray(mean / np.sqrt(variance + 1 / baseline.effective))


def drawdown(scores: Values, window: int) -> Values:
    """How far the cumulated score is below its highest level of the last `window` rounds, in the score's unit."""
    level = np.cumsum(np.where(np.isnan(scores), 0.0, scores), axis=-1)
    start = np.zeros((*level.shape[:-1], 1))
    level = np.concatenate([start, level], axis=-1)
    # The filter's window is centred: shifted, it ends at the round itself.
    size = min(window, scores.shape[-1]) + 1
    highest = maximum_filter1d(level, size, axis=-1, origin=(size - 1) // 2, mode="nearest")
    return np.asarray((highest - level)[..., 1:])


def drawdown_band(
    eras: Values, overlap: int, length: int, share: float, paths: int, generator: np.random.Generator
) -> Values:
    """By length of a path, 1 to `length` eras, shape (..., length): the drawdown that `share` of the paths stay below.

    Paths are put together from blocks of the eras, shape (..., T), each of two labels, so that they keep their overlap
    (circular block bootstrap, Politis & Romano 1992).
    """
    size = min(2 * overlap, eras.shape[-1])
    blocks = -(-length // size)
    begin = generator.integers(0, eras.shape[-1], (paths, blocks, 1))
    places = ((begin + np.arange(size)) % eras.shape[-1]).reshape(paths, -1)[:, :length]
    level = np.cumsum(eras[..., places], axis=-1)
    highest = np.maximum(np.maximum.accumulate(level, axis=-1), 0.0)
    deepest = np.maximum.accumulate(highest - level, axis=-1)
    return np.asarray(np.quantile(deepest, share, axis=-2))


def _last(values: Values, window: int) -> Values:
    """Sums of the last `window` values."""
    total = np.cumsum(values, axis=-1)
    earlier = np.zeros_like(total)
    earlier[..., window:] = total[..., :-window] if window < values.shape[-1] else 0.0
    return np.asarray(total - earlier)


def _mean_variance(count: int, overlap: int) -> float:
    """Of the mean of so many consecutive rounds with variance 1 each."""
    lags = np.arange(1, min(count, overlap))
    return float((1 + 2 * np.sum((1 - lags / count) * (1 - lags / overlap))) / count)
