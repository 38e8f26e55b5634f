"""Weights of models in an ensemble, fitted for each era on earlier eras whose labels had ended by its date.

All that a fit sees of an era are the covariances of the models' normal scores with each other and with the target, a
small matrix, so that a thousand eras of any number of rows are fitted in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.special import ndtri
from scipy.stats import rankdata

from eraflow.errors import InputError
from eraflow.spans import EraSpan

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

MIN_ROWS = 3  # with two rows every correlation is 1, -1 or undefined
NEGLIGIBLE = 1e-10  # eigenvalues below this share of the largest are rounding of models that repeat each other


@dataclass(frozen=True)
class Moments:
    """Of each era how its models' normal scores go with each other and with the target.

    `eras` (E,) sorted. `gram` (E, models, models): covariances of the scores within the era; `target` (E, models):
    those with the target scaled to a variance of 1. A model that is constant in an era has zeros there.
    """

    models: tuple[str, ...]
    eras: npt.NDArray[np.int64]
    gram: Matrix
    target: Matrix

    def among(self, eras: Sequence[int]) -> Moments:
        """Those of some of the eras."""
        chosen = np.isin(self.eras, np.asarray(eras, dtype=np.int64))
        return Moments(self.models, self.eras[chosen], self.gram[chosen], self.target[chosen])

    def correlations(self) -> Matrix:
        """Each era's correlation of each model's scores with the target, shape (E, models)."""
        return _ratio(self.target, np.einsum("eii->ei", self.gram))

    def scores(self, weights: Vector) -> Vector:
        """Each era's correlation of the weighted sum of scores with the target, shape (E,); 0 where it is constant."""
        variance = np.einsum("i,eij,j->e", weights, self.gram, weights)
        return _ratio(self.target @ weights, variance)


Weighting = Callable[[Moments], Vector]


def normal_scores(values: Matrix) -> Matrix:
    """Rows x columns -> the same shape: the normal deviate of (rank - 1/2) / rows in each column, ties averaged."""
    return np.asarray(ndtri((rankdata(values, axis=0) - 0.5) / max(1, len(values))), dtype=np.float64)


def era_moments(predictions: Matrix, target: Vector) -> tuple[Matrix, Vector] | None:
    """One era's `gram` and `target` of `Moments`.

    Predictions are rows x models, none of them missing. Rows without a known target (NaN) take no part; None where
    fewer than `MIN_ROWS` have one, or all of these the same.
    """
    labelled = ~np.isnan(target)
    if labelled.sum() < MIN_ROWS or np.ptp(target[labelled]) == 0:
        return None
    scores, label = _centred(normal_scores(predictions[labelled])), target[labelled] - target[labelled].mean()
    return scores.T @ scores / len(label), scores.T @ label / (label.std() * len(label))


def equal(moments: Moments) -> Vector:
    """The same weight for every model."""
    return np.full(len(moments.models), 1.0 / len(moments.models))


def fixed(weights: Mapping[str, float]) -> Weighting:
    """Given weights by model, scaled so that their sizes add up to 1. InputError where they fit no model, or are 0."""

    def weigh(moments: Moments) -> Vector:
        if set(weights) != set(moments.models):
            raise InputError(
                f"weights are given for {', '.join(weights)}, but the models are {', '.join(moments.models)}; "
                "name each of them once."
            )
        if not any(weights.values()):
            raise InputError("all weights are 0; give at least one model another.")
        return _scaled(np.array([weights[name] for name in moments.models], dtype=np.float64))

    return weigh


def inverse_variance(moments: Moments) -> Vector:
    """Weights proportional to 1 / variance over eras of a model's correlation with the target.

    A model whose mean correlation is not positive gets none. Equal where that leaves no model, or where there are fewer
    than two eras. It knows how steady a model is, not how good: noise is steady, too.
    """
    if len(moments.eras) < 2:
        return equal(moments)
    correlations = moments.correlations()
    variance = correlations.var(axis=0, ddof=1)
    useful = (correlations.mean(axis=0) > 0) & (variance > 0)
    return _scaled_or_equal(np.where(useful, 1.0 / np.where(useful, variance, 1.0), 0.0), moments)


def non_negative(moments: Moments) -> Vector:
    """Non-negative least squares of the target on the models' scores, every era counting the same."""
    gram, target = moments.gram.mean(axis=0), moments.target.mean(axis=0)
    # |Aw - b|^2 equals the regression's squared error up to a constant where A'A = gram and A'b = target.
    values, vectors = np.linalg.eigh(gram)
    kept = values > NEGLIGIBLE * values[-1]
    root = np.sqrt(values[kept])
    factor, image = root[:, None] * vectors[:, kept].T, vectors[:, kept].T @ target / root
    return _scaled_or_equal(nnls(factor, image)[0], moments)


def greedy(rounds: int = 50) -> Weighting:
    """Forward selection with replacement (Caruana, Niculescu-Mizil, Crew & Ksikes 2004).

    Starts with no model and adds `rounds` times the one that raises the ensemble's mean correlation over eras most; a
    model's weight is the share of rounds in which it was chosen. The first of equally good models wins.
    """

    def weigh(moments: Moments) -> Vector:
        counts = np.zeros(len(moments.models))
        diagonal = np.einsum("eii->ei", moments.gram)
        for _ in range(rounds):
            # What the blend's variance and its covariance with the target become by one more of each model.
            variance = np.einsum("i,eij,j->e", counts, moments.gram, counts)[:, None]
            variance = variance + 2 * moments.gram @ counts + diagonal
            covariance = (moments.target @ counts)[:, None] + moments.target
            counts[int(np.argmax(_ratio(covariance, variance).mean(axis=0)))] += 1
        return counts / rounds

    return weigh


def ridge(penalty: float = 0.1) -> Weighting:
    """Stacking by ridge regression of the target on the models' scores, every era counting the same.

    `penalty` is added to the models' variances, which are 1 where there are no ties. Weights may be negative; their
    sizes add up to 1.
    """

    def weigh(moments: Moments) -> Vector:
        gram, target = moments.gram.mean(axis=0), moments.target.mean(axis=0)
        solved: Vector = np.linalg.solve(gram + penalty * np.eye(len(gram)), target)
        return _scaled_or_equal(solved, moments)

    return weigh


def usable(span: EraSpan, spans: Sequence[EraSpan], purge: int = 0) -> list[int]:
    """The eras whose labels had ended before the era's own began: all that was known on its date.

    Without the `purge` eras before it, if more are asked for than labels need.
    """
    return [other.era for other in spans if other.last < span.first and other.era < span.era - purge]


def weights_by_era(
    moments: Moments,
    wanted: Sequence[EraSpan],
    spans: Sequence[EraSpan],
    weigh: Weighting,
    least: int,
    purge: int = 0,
) -> dict[int, Vector]:
    """For each wanted era the weights of the models, fitted on the moments of `usable` eras only.

    Equal weights where fewer than `least` of these have moments; 0 is for weights that are given and need none. The
    predictions behind the moments must be out of fold; only with walk-forward folds did their models, too, know nothing
    of the era.
    """
    spanned = {span.era for span in spans}
    if strange := sorted(set(moments.eras.tolist()) - spanned):
        raise InputError(f"era {strange[0]} has predictions, but the span of its label is not known.")
    fitted: dict[int, Vector] = {}
    for span in wanted:
        past = moments.among(usable(span, spans, purge))
        fitted[span.era] = weigh(past) if len(past.eras) >= least else equal(moments)
    return fitted


def blend(predictions: Matrix, weights: Vector) -> Vector:
    """One era's blend: the normal scores of the weighted sum of the models' normal scores.

    Predictions are rows x models, none of them missing.
    """
    # Rounded, because what was equal before the sum must be equal after it, or a tie would be broken by noise.
    total = np.round(normal_scores(predictions) @ weights, 12)
    return normal_scores(total[:, None])[:, 0]


def _centred(scores: Matrix) -> Matrix:
    """Less the mean of each column, which ties make other than 0; a constant column is 0 to the last bit."""
    return np.asarray(np.where(np.ptp(scores, axis=0) > 0, scores - scores.mean(axis=0), 0.0), dtype=np.float64)


def _ratio(covariance: Matrix, variance: Matrix) -> Matrix:
    """Covariance over the root of variance, 0 where there is no variance."""
    varies = variance > NEGLIGIBLE
    return np.asarray(np.where(varies, covariance / np.sqrt(np.where(varies, variance, 1.0)), 0.0), dtype=np.float64)


def _scaled(weights: Vector) -> Vector:
    return np.asarray(weights / np.abs(weights).sum(), dtype=np.float64)


def _scaled_or_equal(weights: Vector, moments: Moments) -> Vector:
    return _scaled(weights) if np.any(weights) else equal(moments)
