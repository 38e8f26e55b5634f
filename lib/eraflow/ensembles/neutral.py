"""Predictions of one era freed of what features explain of them linearly. Plain numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpstrf

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]

# Of a feature's scaled variance: what is less after the features before it is taken for a sum of those.
INDEPENDENT = 1e-10
NOTHING = 1e-10  # what is below this share of the whole is rounding


def neutral_to(predictions: Matrix, features: Matrix, proportion: float = 1.0) -> Matrix:
    """p - proportion F F⁺p, F with a column of ones: numerai-tools' `neutralize` of one era.

    Predictions are rows x models, features rows x features. Solved by the normal equations of the centred features,
    with pivots, so that features which repeat others or are constant do no harm; a second step takes off what the first
    left by rounding. The residual is 0 where the features explain all, as they do with fewer rows than features.
    """
    start = predictions - predictions.mean(axis=0)
    rest = _residual(start, _unit(features))
    rest = np.where(np.abs(rest).max(axis=0) <= NOTHING * np.abs(start).max(axis=0), 0.0, rest)
    return predictions - proportion * (predictions - rest)


def exposures(predictions: Matrix, features: Matrix) -> Matrix:
    """Models x features: the correlation of each model's predictions with each feature; 0 where one is constant."""
    return np.asarray(_unit(predictions).T @ _unit(features), dtype=np.float64)


def neutral(predictions: Matrix, features: Matrix, proportion: float, riskiest: int | None = None) -> Matrix:
    """`neutral_to` all features or, for each model by itself, so many of them that its predictions correlate with most.

    The earlier one of equals. No target has a say in it, so that it is known with the predictions.
    """
    if riskiest is None:
        return neutral_to(predictions, features, proportion)
    order = np.argsort(-np.abs(exposures(predictions, features)), axis=1, kind="stable")[:, :riskiest]
    columns = [neutral_to(predictions[:, [at]], features[:, chosen], proportion) for at, chosen in enumerate(order)]
    return np.hstack(columns)


def filled(levels: Levels, missing: int) -> Matrix:
    """Levels with the mean of a feature's known ones where one is unknown, 0 where the era has none."""
    observed = levels != missing
    means = np.where(observed, levels, 0).sum(axis=0) / np.maximum(observed.sum(axis=0), 1)
    return np.where(observed, levels, means)


def _unit(columns: Matrix) -> Matrix:
    """Each column less its mean and with length 1; a constant column becomes 0."""
    unit: Matrix = columns - columns.mean(axis=0)
    length = np.sqrt(np.einsum("ij,ij->j", unit, unit))
    varied = length > NOTHING * np.abs(columns).max(initial=0.0)
    unit /= np.where(varied, length, 1.0)
    unit[:, ~varied] = 0.0
    return unit


def _residual(values: Matrix, features: Matrix) -> Matrix:
    """Values less their projection on the features, which are columns of `_unit`."""
    gram = features.T @ features
    factor, pivots, rank, _ = dpstrf(gram.T, tol=INDEPENDENT, lower=1, overwrite_a=1)
    kept = pivots[:rank] - 1
    rest = values
    for _ in range(2 if rank else 0):
        weights = np.zeros((features.shape[1], values.shape[1]))
        weights[kept] = cho_solve((factor[:rank, :rank], True), (features.T @ rest)[kept])
        rest = rest - features @ weights
    return rest
