"""Ridge on levels: equal to scikit-learn's, and to the bit the same however the rows are spread."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.linear_model import Ridge

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.models import Fitted
from eraflow.models.base import Training
from eraflow.models.linear import LinearModel
from eraflow.models.linear_weights import LinearWeights
from eraflow.models.member import Member

NAMES = tuple(f"feature_{number}" for number in range(7))
ERAS = tuple(range(1, 7))
SCHEMA = "id string, era int, features array<tinyint>, target float"
PENALTY = 0.2
SETTINGS = load([], ["models.linear={kind: linear, penalty: 0.2}"]).models["linear"]


def rows_frame() -> pd.DataFrame:
    """6 eras of 200 rows; feature 6 repeats feature 0; a tenth of levels (-1) and a twentieth of targets unknown."""
    draw = np.random.default_rng(3)
    count = 200 * len(ERAS)
    levels = draw.integers(0, 5, (count, len(NAMES)))
    levels[draw.random(levels.shape) < 0.1] = -1
    levels[:, 6] = levels[:, 0]
    target = draw.choice([0, 1 / 6, 0.5, 5 / 6, 1], count) + 0.1 * levels[:, 0] - 0.2 * levels[:, 1]
    target[draw.random(count) < 0.05] = np.nan
    ids = [f"T{row:04}" for row in range(count)]
    return pd.DataFrame({"id": ids, "era": np.repeat(ERAS, 200), "features": levels.tolist(), "target": target})


def training(spark: SparkSession, rows: pd.DataFrame, partitions: int) -> Training:
    plain = [(i, int(era), x, None if np.isnan(y) else float(y)) for i, era, x, y in rows.itertuples(index=False)]
    return Training(spark.createDataFrame(plain, SCHEMA).repartition(partitions).cache(), NAMES, "target", -1)


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> Training:
    return training(spark, rows_frame(), 1)


@pytest.fixture(scope="module")
def fitted(data: Training) -> LinearWeights:
    return LinearModel(SETTINGS).fit(data, ERAS[:5])


def whole(weights: LinearWeights) -> Fitted:
    """A model of these weights alone."""
    return Fitted(NAMES, -1, (Member("target", 1, (), weights),))


def centred(rows: pd.DataFrame) -> np.ndarray:
    levels = np.array(rows["features"].tolist(), dtype=float)
    return np.where(levels == -1, 0.0, levels - 2.0)


def test_it_equals_ridge_of_scikit_learn(fitted: LinearWeights, data: Training) -> None:
    labelled = rows_frame().query("era < 6").dropna(subset="target")
    X, y = centred(labelled), labelled["target"].astype("float32")
    oracle = Ridge(alpha=PENALTY * X.var(axis=0).mean() * len(X), solver="cholesky").fit(X, y.astype(float))

    np.testing.assert_allclose(fitted.weights, oracle.coef_, atol=1e-8)
    assert fitted.intercept == pytest.approx(oracle.intercept_, abs=1e-8)
    found = whole(fitted).predict(data.rows([6])).toPandas().sort_values("id")
    np.testing.assert_allclose(found["prediction"], oracle.predict(centred(rows_frame().query("era == 6"))), atol=1e-7)


def test_how_rows_are_spread_changes_no_bit(fitted: LinearWeights, data: Training, spark: SparkSession) -> None:
    shuffled = training(spark, rows_frame().sample(frac=1, random_state=1), 5)

    assert LinearModel(SETTINGS).fit(shuffled, ERAS[:5]) == fitted
    one, other = (
        whole(fitted).predict(x.rows(ERAS)).toPandas().sort_values("id", ignore_index=True) for x in (data, shuffled)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_recency_weights_are_those_of_scikit_learn_and_exact(data: Training, spark: SparkSession) -> None:
    labelled = rows_frame().query("era < 6").dropna(subset="target")
    X, y = centred(labelled), labelled["target"].astype("float32").astype(float)
    weight = 0.5 ** ((5 - labelled["era"].to_numpy()) / 2.0)
    spread = np.average((X - np.average(X, axis=0, weights=weight)) ** 2, axis=0, weights=weight).mean()
    oracle = Ridge(alpha=PENALTY * spread * weight.sum(), solver="cholesky").fit(X, y, sample_weight=weight)

    fitted = LinearModel(SETTINGS).fit(replace(data, half_life=2.0), ERAS[:5])

    np.testing.assert_allclose(fitted.weights, oracle.coef_, atol=2e-4)  # weights are whole 4096ths
    assert fitted.intercept == pytest.approx(oracle.intercept_, abs=2e-4)
    assert np.abs(np.array(fitted.weights) - LinearModel(SETTINGS).fit(data, ERAS[:5]).weights).max() > 1e-3
    shuffled = training(spark, rows_frame().sample(frac=1, random_state=1), 5)
    assert LinearModel(SETTINGS).fit(replace(shuffled, half_life=2.0), ERAS[:5]) == fitted


def test_features_that_never_vary_are_told(data: Training) -> None:
    for wrong in ("era = 1 and id = 'T0000'", "target is null"):
        few = Training(data.table.where(wrong), NAMES, "target", -1)
        with pytest.raises(InputError, match=r"no feature varies in the rows with a known target of eras 1 to 6"):
            LinearModel(SETTINGS).fit(few, ERAS)
