"""What small models of blocks of eras are judged by, where features are chosen by SHAP or permutation."""

import lightgbm
import numpy as np
import pytest

from eraflow.errors import InputError
from eraflow.models.sample import Sample
from eraflow.models.selection import _losses, _others
from eraflow.models.trees import LightGbmTrees

ERAS, ROWS = 20, 60


@pytest.fixture(scope="module")
def rows() -> Sample:
    """The first level says whether the era is a good one, the second what a row is worth in it, the third nothing."""
    draw = np.random.default_rng(3)
    eras = np.repeat(np.arange(1, ERAS + 1), ROWS)
    levels = draw.integers(0, 5, (len(eras), 3)).astype(np.int8)
    levels[:, 0] = 4 * (eras % 2)
    target = 0.5 * levels[:, 0] + 0.25 * levels[:, 1] + 0.1 * draw.normal(size=len(eras))
    return Sample(levels, eras, target)


def test_eras_whose_labels_share_days_with_the_blocks_judge_nothing(rows: Sample) -> None:
    block = np.arange(6, 11)
    assert np.unique(_others(rows, block, 0).eras).tolist() == [*range(1, 6), *range(11, 21)]
    assert np.unique(_others(rows, block, 3).eras).tolist() == [1, 2, *range(14, 21)]
    with pytest.raises(InputError, match=r"no row to judge a block of selection\.blocks by is 10 eras away"):
        _others(rows, block, 10)


def test_a_feature_that_only_tells_eras_apart_loses_nothing(rows: Sample) -> None:
    settings = {"verbosity": -1, "num_threads": 1, "num_leaves": 15, "seed": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows.levels.astype(float), rows.target), 60)
    losses = _losses(LightGbmTrees(booster.model_to_string()), rows, -1, np.random.default_rng(1))
    assert losses[1] > 0.5
    assert np.abs(losses[[0, 2]]).max() < 0.02
