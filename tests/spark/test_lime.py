"""LIME on a planted sparse linear model: the signs of its weights come back at every row, and nothing where none is."""

import lightgbm
import numpy as np
from pyspark.sql import SparkSession

from eraflow.explain.additive import Additive
from eraflow.explain.lime import lime
from eraflow.models.fitted import Fitted
from eraflow.models.member import Member
from eraflow.models.trees import LightGbmTrees

WEIGHTS = {"up": 0.3, "down": -0.3, "half_up": 0.15, "half_down": -0.15, **{f"none_{place}": 0.0 for place in range(6)}}
NAMES = tuple(WEIGHTS)
MISSING, ROWS, ERAS = -1, 9000, 30


def test_the_signs_of_a_planted_sparse_linear_model_are_recovered(spark: SparkSession) -> None:
    draw = np.random.default_rng(7)
    levels = draw.integers(0, 5, (ROWS, len(NAMES))).astype(np.int8)
    eras = np.repeat(np.arange(1, ERAS + 1), ROWS // ERAS)
    target = (levels - 2.0) @ np.array(list(WEIGHTS.values())) + draw.normal(size=ROWS)
    settings = {"verbosity": -1, "num_threads": 1, "num_leaves": 15, "learning_rate": 0.1, "max_bin": 7, "seed": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(levels.astype(float), target), 200)
    fitted = Fitted(NAMES, MISSING, (Member("target", 1, (), LightGbmTrees(booster.model_to_string())),))
    model = Additive.of(fitted, levels, eras)
    rows = [0, 1, 2, 3]

    found = lime(spark, model, [f"r{row}" for row in rows], levels[rows], eras[rows], levels[:500], NAMES)

    slopes = found.pivot(index="id", columns="feature", values="slope")[list(NAMES)]
    assert len(slopes) == len(rows)
    planted = [name for name, weight in WEIGHTS.items() if weight]
    assert (np.sign(slopes[planted]) == np.sign([WEIGHTS[name] for name in planted])).all().all(), slopes
    idle = slopes.drop(columns=planted).abs()
    assert idle.max(axis=None) < slopes[planted].abs().min(axis=None), slopes
    assert (slopes["up"] > slopes["half_up"]).all()
