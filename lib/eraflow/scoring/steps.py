"""The steps of Numerai's scores on matrices of rows x columns, number for number as numerai-tools takes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from eraflow.errors import InputError

POWER = 1.5  # of predictions and target in CORR, which stresses both tails
NEGLIGIBLE = 1e-6  # of the largest singular value: as numerai-tools' neutralisation has it
ALIKE = 0.9  # correlation of what is raised to a power with what it was, below which numerai-tools refuses it

Matrix = npt.NDArray[np.float64]


def ranked(columns: Matrix) -> Matrix:
    """Ranks of each column between 0 and 1, centred on one half; ties have the mean of theirs."""
    ranks = np.empty(columns.shape)
    for at in range(columns.shape[1]):
        ranks[:, at] = _ranks(columns[:, at])
    return (ranks - 0.5) / max(len(columns), 1)


def _ranks(values: Matrix) -> Matrix:
    """Ranks from 1; ties have the mean of theirs."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.empty(len(values), dtype=bool)
    begins[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    bounds = np.append(np.flatnonzero(begins), len(values))
    ranks = np.empty(len(values))
    ranks[order] = ((bounds[:-1] + bounds[1:] + 1) / 2)[np.cumsum(begins) - 1]
    return ranks


def normal(ranks: Matrix) -> Matrix:
    """Normal quantiles of ranks."""
    quantiles: Matrix = ndtri(ranks)
    return quantiles


def power(columns: Matrix) -> Matrix:
    """Columns to the power of 1.5, signs kept. InputError where numerai-tools refuses that a column becomes another."""
    raised: Matrix = np.sign(columns) * np.abs(columns) ** POWER
    unlike = ~(_paired(columns, raised) >= ALIKE) & (raised.max(axis=0) > raised.min(axis=0))
    if unlike.any():
        raise InputError(
            f"numerai-tools cannot score these values (the power of {POWER} makes others of them); look at the range "
            "of the target"
        )
    return raised


def correlations(columns: Matrix, others: Matrix) -> Matrix:
    """Linear correlation of each column with each of the others; NaN where one is constant."""
    x, y = columns - columns.mean(axis=0), others - others.mean(axis=0)
    norms = np.outer(np.sqrt((x**2).sum(axis=0)), np.sqrt((y**2).sum(axis=0)))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Matrix = np.clip(x.T @ y / norms, -1.0, 1.0)
    return found


def correlation(vector: Matrix, columns: Matrix) -> Matrix:
    """Linear correlation of a vector with each column."""
    return correlations(columns, vector[:, None])[:, 0]


def _paired(columns: Matrix, others: Matrix) -> Matrix:
    """Linear correlation of each column with its own other."""
    x, y = columns - columns.mean(axis=0), others - others.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Matrix = (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return found


def neutral(columns: Matrix, to: Matrix) -> Matrix:
    """What a regression of each column on `to` and a constant leaves."""
    regressors = np.hstack([to, np.ones((len(to), 1))])
    left: Matrix = columns - regressors @ np.linalg.lstsq(regressors, columns, rcond=NEGLIGIBLE)[0]
    return left


def orthogonal(columns: Matrix, vector: Matrix) -> Matrix:
    """Columns less their projection on the vector."""
    left: Matrix = columns - np.outer(vector, (columns.T @ vector) / (vector @ vector))
    return left


def contribution(columns: Matrix, target: Matrix) -> Matrix:
    """Covariance with the target, one between 0 and 1 counted in its quarters."""
    counted = target * 4 if ((target >= 0) & (target <= 1)).all() else target
    covariance: Matrix = (counted - counted.mean()) @ columns / len(target)
    return covariance
