"""What is compared across the tickers of one era: levels of features, and targets neutral to sector and exposures.

Plain numpy over one era at a time; `eraflow.features.training` runs it in Spark's workers, some eras to a task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from eraflow.features.kernels.places import quantiles_of_rows

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]
Groups = npt.NDArray[Any]  # of each ticker a name or a number; numbers are many times as fast

MISSING = -1  # the level of a feature that is not known; a packed array has no null elements
LEVELS = 5
BIN_EDGES = (0.05, 0.25, 0.75, 0.95)  # Numerai's five bins hold 5, 20, 50, 20 and 5 % of an era
BIN_VALUES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
MIN_LABELLED = 10  # an era with fewer known returns has no target


def quantiles(values: Matrix) -> Matrix:
    """(average rank - 1/2) / n among the known values, in (0, 1); NaN stays NaN. Ties share a quantile.

    Of a matrix each column by itself, all at once: an era has many columns of few rows.
    """
    columns = np.ascontiguousarray(values.T, dtype=np.float64)
    places = np.empty_like(columns)
    quantiles_of_rows(np.atleast_2d(columns), np.atleast_2d(places))
    return places.T


def levels(ranked: Matrix) -> Levels:
    """Tickers x features -> the same shape with 0..4 by fifths of the era, and MISSING where a value is not known."""
    place = quantiles(ranked)
    fifths = np.minimum(np.nan_to_num(place) * LEVELS, LEVELS - 1).astype(np.int8)
    return np.where(np.isnan(place), np.int8(MISSING), fifths)


def binned(values: Vector) -> Vector:
    """Numerai's bins {0, .25, .5, .75, 1} at 5/20/50/20/5 % of the known values; NaN stays NaN."""
    place = quantiles(values)
    # A quantile on an edge belongs to the outer bin on either side, so that the bins of a small era are symmetric.
    low, high = np.searchsorted(BIN_EDGES[:2], place, side="left"), np.searchsorted(BIN_EDGES[2:], place, side="right")
    return np.where(np.isnan(place), np.nan, BIN_VALUES[np.where(place < 0.5, low, 2 + high)])


def gaussian(values: Matrix) -> Matrix:
    """Normal scores of the quantiles, of a matrix column by column; 0, the middle, where a value is not known."""
    return np.nan_to_num(ndtri(quantiles(values)))


def residual(values: Vector, sectors: Groups | None, exposures: Matrix | None) -> Vector:
    """What is left of the normal scores of `values` after a regression on sectors and on the exposures' normal scores.

    Without sectors the regression has one constant for all tickers.

    Only tickers with a known value take part; the others stay NaN, and so does everyone where there are fewer known
    values than regressors plus MIN_LABELLED. Ranking both sides first keeps one crash from bending the whole era.
    """
    observed = ~np.isnan(values)
    out = np.full(values.shape, np.nan)
    among = np.zeros(observed.sum(), dtype=np.int64) if sectors is None else sectors[observed]
    names, group = np.unique(among, return_inverse=True)
    if len(group) < len(names) + (0 if exposures is None else exposures.shape[1]) + MIN_LABELLED:
        return out
    # A regression on sectors and more leaves what one of deviations from sectors' means leaves (Frisch and Waugh).
    left = _from_means(gaussian(values[observed, None]), group)
    if exposures is not None and exposures.shape[1]:
        regressors = _from_means(gaussian(exposures[observed]), group)
        weights, *_ = np.linalg.lstsq(regressors, left, rcond=None)
        left -= regressors @ weights
    # Rounded, because what a regression leaves of equal tickers must be equal, or a tie would be broken by noise.
    out[observed] = np.round(left[:, 0], 12)
    return out


def _from_means(values: Matrix, group: npt.NDArray[np.intp]) -> Matrix:
    """Rows x columns less the means of the rows' groups 0, 1, ..."""
    means = np.array([np.bincount(group, column) for column in values.T]) / np.bincount(group)
    deviations: Matrix = values - means[:, group].T
    return deviations


def targets(returns: Vector, sectors: Groups, exposures: Matrix) -> dict[str, Vector]:
    """The three variants of one horizon's target by kind: raw, neutral to the sector, neutral to exposures as well."""
    if (~np.isnan(returns)).sum() < MIN_LABELLED:
        nothing = np.full(returns.shape, np.nan)
        return {"raw": nothing, "sector": nothing, "neutral": nothing}
    return {
        "raw": binned(returns),
        "sector": binned(residual(returns, sectors, None)),
        "neutral": binned(residual(returns, sectors, exposures)),
    }
