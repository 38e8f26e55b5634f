"""Ensemble weights against their oracles on rows, and what an era's weights may know."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring as numerai
from scipy.optimize import nnls
from sklearn.linear_model import Ridge

from eraflow.ensembles.weights import (
    Moments,
    Vector,
    Weighting,
    blend,
    equal,
    era_moments,
    fixed,
    greedy,
    inverse_variance,
    non_negative,
    normal_scores,
    ridge,
    usable,
    weights_by_era,
)
from eraflow.errors import InputError
from eraflow.spans import EraSpan

MODELS = ("good", "fair", "noise")
BINS = np.array([0, 0.25, 0.5, 0.75, 1])
FITTED: dict[str, Weighting] = {
    "inverse variance": inverse_variance,
    "non-negative": non_negative,
    "greedy": greedy(20),
    "ridge": ridge(),
}
Era = tuple[np.ndarray, np.ndarray]


def an_era(seed: int, rows: int = 200) -> Era:
    """Predictions of three models with ties, one of them noise, and a binned target."""
    draw = np.random.default_rng(seed)
    target = draw.choice(BINS, rows, p=[0.05, 0.2, 0.5, 0.2, 0.05])
    strength = np.array([0.8, 0.5, 0.0])
    return np.round(strength * target[:, None] + draw.normal(size=(rows, 3)), 1), target


def moments_of(eras: dict[int, Era], models: Sequence[str] = MODELS) -> Moments:
    found = {era: era_moments(*rows) for era, rows in sorted(eras.items())}
    parts = {era: part for era, part in found.items() if part is not None}
    gram, target = (np.stack([part[at] for part in parts.values()]) for at in (0, 1))
    return Moments(tuple(models), np.array(list(parts), dtype=np.int64), gram, target)


def stacked(eras: dict[int, Era]) -> tuple[np.ndarray, np.ndarray]:
    """All rows with centred scores and a standardised target within each era: what a fit on rows would see."""
    scores = [numerai_scores(predictions) for predictions, _ in eras.values()]
    labels = [target for _, target in eras.values()]
    return np.vstack([x - x.mean(0) for x in scores]), np.hstack([(y - y.mean()) / y.std() for y in labels])


def numerai_scores(predictions: np.ndarray) -> np.ndarray:
    return numerai.gaussian(numerai.tie_kept_rank(pd.DataFrame(predictions))).to_numpy()


def scaled(weights: Vector) -> Vector:
    return weights / np.abs(weights).sum()


TEN = {era: an_era(era) for era in range(1, 11)}


def test_normal_scores_and_a_blend_equal_numerai_tools() -> None:
    predictions, _ = an_era(1)
    weights = np.array([0.5, 0.3, 0.2])
    expected = numerai_scores(np.round(numerai_scores(predictions) @ weights, 12)[:, None])[:, 0]

    np.testing.assert_allclose(normal_scores(predictions), numerai_scores(predictions), atol=1e-14)
    np.testing.assert_allclose(blend(predictions, weights), expected, atol=1e-14)


def test_moments_are_the_covariances_of_the_rows_with_a_known_target() -> None:
    predictions, target = an_era(3)
    unknown = np.arange(len(target)) % 4 == 0
    found = era_moments(predictions, np.where(unknown, np.nan, target))

    assert found is not None
    label = target[~unknown] / target[~unknown].std()
    everything = np.cov(numerai_scores(predictions[~unknown]), label, rowvar=False, ddof=0)
    np.testing.assert_allclose(found[0], everything[:3, :3], atol=1e-14)
    np.testing.assert_allclose(found[1], everything[:3, 3], atol=1e-14)


@pytest.mark.parametrize("target", [[np.nan, np.nan, 0.5, 1.0], [0.5, 0.5, 0.5, 0.5], [np.nan] * 4])
def test_an_era_whose_target_says_nothing_has_no_moments(target: list[float]) -> None:
    assert era_moments(np.arange(12.0).reshape(4, 3), np.array(target)) is None


def test_a_constant_model_has_no_correlation_with_anything() -> None:
    predictions, target = an_era(1)
    predictions[:, 1] = 0.3
    found = era_moments(predictions, target)

    assert found is not None
    assert not found[0][1].any()
    assert found[1][1] == 0.0


def test_non_negative_weights_equal_least_squares_on_all_rows() -> None:
    X, y = stacked(TEN)
    np.testing.assert_allclose(non_negative(moments_of(TEN)), scaled(nnls(X, y)[0]), atol=1e-10)


def test_a_model_that_is_there_twice_gets_the_weight_of_one() -> None:
    twice = {era: (predictions[:, [0, 1, 2, 0]], target) for era, (predictions, target) in TEN.items()}
    once, double = non_negative(moments_of(TEN)), non_negative(moments_of(twice, [*MODELS, "again"]))

    np.testing.assert_allclose([double[0] + double[3], double[1], double[2]], once, atol=1e-10)


def test_ridge_weights_equal_ridge_on_all_rows() -> None:
    X, y = stacked(TEN)
    expected = Ridge(alpha=0.1 * len(y), fit_intercept=False).fit(X, y).coef_

    np.testing.assert_allclose(ridge(0.1)(moments_of(TEN)), scaled(expected), atol=1e-12)


def test_greedy_weights_equal_selection_on_rows() -> None:
    chosen: list[int] = []
    for _ in range(12):
        gains = []
        for candidate in range(3):
            sums = {era: numerai_scores(x)[:, [*chosen, candidate]].sum(axis=1) for era, (x, _) in TEN.items()}
            gains.append(np.mean([np.corrcoef(total, TEN[era][1])[0, 1] for era, total in sums.items()]))
        chosen.append(int(np.argmax(gains)))

    assert len(set(chosen)) > 1
    np.testing.assert_array_equal(greedy(12)(moments_of(TEN)), np.bincount(chosen, minlength=3) / 12)


def test_inverse_variance_of_a_written_out_example() -> None:
    target = np.array([[0.1, 0.2, -0.1], [0.3, 0.2, 0.0], [0.2, 0.5, -0.2]])  # variances .01, .03, .01
    moments = Moments(MODELS, np.arange(3), np.tile(np.eye(3), (3, 1, 1)), target)

    np.testing.assert_allclose(inverse_variance(moments), [0.75, 0.25, 0.0])
    np.testing.assert_allclose(inverse_variance(replace(moments, target=-target)), [0.0, 0.0, 1.0])
    np.testing.assert_allclose(inverse_variance(replace(moments, target=0 * target)), [1 / 3, 1 / 3, 1 / 3])


def test_fixed_weights_go_by_name_and_must_fit() -> None:
    moments = moments_of(TEN)

    np.testing.assert_allclose(fixed({"noise": 1, "fair": 0, "good": -3})(moments), [-0.75, 0.0, 0.25])
    with pytest.raises(InputError, match="weights are given for good, but the models are good, fair, noise"):
        fixed({"good": 1})(moments)
    with pytest.raises(InputError, match="all weights are 0"):
        fixed(dict.fromkeys(MODELS, 0.0))(moments)


def test_the_score_of_weights_is_the_correlation_of_the_sum_of_scores() -> None:
    weights = np.array([0.7, -0.2, 0.5])
    expected = [np.corrcoef(numerai_scores(x) @ weights, y)[0, 1] for x, y in TEN.values()]

    np.testing.assert_allclose(moments_of(TEN).scores(weights), expected, atol=1e-12)


def spans(eras: Sequence[int], reach: int = 3) -> list[EraSpan]:
    return [EraSpan(era, era, era + reach) for era in eras]


def weights_of(eras: dict[int, Era], era: int, weigh: Weighting, least: int = 2) -> Vector:
    """The weights for one era where the predictions of these eras are there."""
    every = spans(range(1, 31))
    return weights_by_era(moments_of(eras), [every[era - 1]], every, weigh, least)[era]


THIRTY = {era: an_era(era, 60) for era in range(1, 31)}


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("era", range(6, 31, 4))
def test_weights_equal_those_without_the_era_its_purge_window_and_all_that_follows(name: str, era: int) -> None:
    before = {at: rows for at, rows in THIRTY.items() if at + 3 < era}
    poisoned = {at: rows if at + 3 < era else (-rows[0][::-1], rows[1]) for at, rows in THIRTY.items()}

    found = weights_of(THIRTY, era, FITTED[name])
    np.testing.assert_array_equal(found, weights_of(before, era, FITTED[name]))
    np.testing.assert_array_equal(found, weights_of(poisoned, era, FITTED[name]))


@pytest.mark.parametrize("name", FITTED)
def test_noise_that_equals_the_target_of_one_era_gains_no_weight_there(name: str) -> None:
    planted = {era: (x.copy(), y) for era, (x, y) in THIRTY.items()}
    planted[20][0][:, 2] = planted[20][1]

    for era in range(17, 24):  # until the label of era 20 has ended
        np.testing.assert_array_equal(
            weights_of(planted, era, FITTED[name]), weights_of(THIRTY, era, FITTED[name]), err_msg=f"era {era}"
        )
    # Later it counts, as anything that was known then.
    assert (weights_of(planted, 24, FITTED[name]) != weights_of(THIRTY, 24, FITTED[name])).any()


def test_a_purge_that_is_asked_for_holds_beside_the_labels() -> None:
    spans = [EraSpan(era, era, era + 3) for era in range(1, 21)]
    assert usable(spans[9], spans) == usable(spans[9], spans, purge=2) == list(range(1, 7))
    assert usable(spans[9], spans, purge=6) == [1, 2, 3]


def test_too_few_earlier_eras_give_equal_weights() -> None:
    np.testing.assert_array_equal(weights_of(THIRTY, 9, non_negative, least=6), equal(moments_of(THIRTY)))
    assert (weights_of(THIRTY, 10, non_negative, least=6) != equal(moments_of(THIRTY))).any()


def test_given_weights_need_no_earlier_eras() -> None:
    given = fixed({"good": 3, "fair": 1, "noise": 0})
    np.testing.assert_array_equal(weights_of(THIRTY, 1, given, least=0), [0.75, 0.25, 0.0])


def test_an_era_without_a_span_is_refused() -> None:
    with pytest.raises(InputError, match="era 30 has predictions, but the span of its label is not known"):
        weights_by_era(moments_of(THIRTY), [], spans(range(1, 30)), equal, 1)


@pytest.mark.parametrize("weigh", FITTED.values(), ids=FITTED)
def test_constant_models_still_get_weights(weigh: Weighting) -> None:
    constant = {era: (np.ones_like(x), y) for era, (x, y) in TEN.items()}

    found = weigh(moments_of(constant))
    assert np.isfinite(found).all()
    assert np.abs(found).sum() == pytest.approx(1.0)
