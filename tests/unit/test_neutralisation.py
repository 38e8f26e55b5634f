"""Neutralisation of one era against numerai-tools."""

import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring as numerai

from eraflow.ensembles.neutral import exposures, neutral_to


def an_era(rows: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two models' normal predictions that lean on some of the features, and levels that go together in groups."""
    draw = np.random.default_rng(seed)
    groups = draw.normal(size=(rows, 1 + features // 20))
    raw = groups[:, np.arange(features) % groups.shape[1]] + draw.normal(size=(rows, features))
    levels = np.clip(np.round(raw + 2), 0, 4)
    return draw.normal(size=(rows, 2)) + levels[:, :3].sum(axis=1, keepdims=True), levels


def expected(predictions: np.ndarray, features: np.ndarray, proportion: float) -> np.ndarray:
    return numerai.neutralize(pd.DataFrame(predictions), pd.DataFrame(features), proportion).to_numpy()


@pytest.mark.parametrize(("rows", "features"), [(342, 14), (342, 158), (5000, 42), (1000, 780), (300, 780)])
@pytest.mark.parametrize("proportion", [1.0, 0.5, 0.0])
def test_it_equals_numerai_tools_on_real_shapes(rows: int, features: int, proportion: float) -> None:
    predictions, levels = an_era(rows, features)
    found = neutral_to(predictions, levels, proportion)

    np.testing.assert_allclose(found, expected(predictions, levels, proportion), rtol=0, atol=1e-10)


def test_features_that_repeat_sum_or_are_constant_change_nothing() -> None:
    predictions, levels = an_era(500, 30)
    more = np.hstack([levels, levels[:, :5], np.full((500, 2), 2.0), levels[:, 5:10] + levels[:, 10:15]])

    np.testing.assert_allclose(neutral_to(predictions, more), neutral_to(predictions, levels), atol=1e-10)
    np.testing.assert_allclose(neutral_to(predictions, more), expected(predictions, more, 1.0), atol=1e-10)


def test_nothing_is_left_by_what_explains_everything() -> None:
    predictions, levels = an_era(100, 200)
    assert not neutral_to(predictions, levels).any()
    assert not neutral_to(levels[:, :2], levels[:, :10]).any()


def test_constant_features_take_off_the_mean_only() -> None:
    predictions, _ = an_era(50, 3)
    np.testing.assert_allclose(neutral_to(predictions, np.ones((50, 3))), predictions - predictions.mean(axis=0))


def test_neutral_predictions_have_no_exposure_and_the_inputs_stay_as_they_are() -> None:
    predictions, levels = an_era(1000, 200)
    before = predictions.copy(), levels.copy()
    neutral = neutral_to(predictions, levels)

    assert np.abs(exposures(predictions, levels)).max() > 0.3
    assert np.abs(exposures(neutral, levels)).max() < 1e-12
    np.testing.assert_array_equal(predictions, before[0])
    np.testing.assert_array_equal(levels, before[1])


def test_exposures_are_correlations_and_0_where_one_side_is_constant() -> None:
    predictions, levels = an_era(80, 4)
    everything = np.corrcoef(predictions, levels, rowvar=False)
    np.testing.assert_allclose(exposures(predictions, levels), everything[:2, 2:], atol=1e-14)

    levels[:, 1] = 2.0
    predictions[:, 0] = 0.5
    assert not exposures(predictions, levels)[0].any()
    assert exposures(predictions, levels)[1, 1] == 0.0
