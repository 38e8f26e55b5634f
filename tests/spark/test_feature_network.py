"""Columns from the graph over features: equal to a direct computation, from a fold's training rows alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow.graphs.expansion import FeatureNetwork, FittedNetwork
from eraflow.models.base import Training
from eraflow.models.premia import premia

ERAS, ROWS, FEATURES = 30, 80, 24
NAMES = tuple(f"f{place}" for place in range(FEATURES))
ALL_KINDS = FeatureNetwork(interactions=5, triples=2, vectors=2, components=2, groups=2, momentum=8, lag=6, degree=4)


def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    common = np.repeat(random.normal(size=(ERAS, 3)), 8, axis=1)
    rows = []
    for era in range(1, ERAS + 1):
        levels = random.integers(-1, 5, size=(ROWS, FEATURES)).astype(np.int8)
        levels[:, 5] = 2 if era == 4 else levels[:, 5]  # does not vary
        target = np.where(levels < 0, 0, levels - 2) @ (common[era - 1] / 10) + random.normal(size=ROWS)
        for row in range(ROWS):
            known = None if era > 25 or row == 0 else float(target[row])
            rows.append((f"n{era:02d}{row:03d}", era, era // 10, levels[row].tolist(), known))
    return pd.DataFrame(rows, columns=["id", "era", "era_block", "features", "target"])


def training(spark: SparkSession, rows: pd.DataFrame) -> Training:
    schema = "id string, era int, era_block int, features array<tinyint>, target float"
    values = [tuple(None if value != value else value for value in row[-1:]) for row in rows.to_numpy()]
    records = [(*row[:-1], *value) for row, value in zip(rows.to_numpy().tolist(), values, strict=True)]
    return Training(spark.createDataFrame(records, schema), NAMES, "target", missing=-1)


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> Training:
    return training(spark, frame())


@pytest.fixture(scope="module")
def fitted(data: Training) -> FittedNetwork:
    return ALL_KINDS.fit(data, range(1, 21))


def test_premia_are_correlations_within_eras(data: Training) -> None:
    found = premia(data, range(1, 21))

    rows = frame().dropna()
    assert found.eras.tolist() == list(range(1, 21))
    for era in (1, 4, 20):
        own = rows[rows["era"] == era]
        levels = np.array(own["features"].tolist(), dtype=float) - 2.0
        levels[levels == -3.0] = 0.0
        for feature in range(FEATURES):
            wanted = 0.0
            if levels[:, feature].std() > 0:
                wanted = np.corrcoef(levels[:, feature], own["target"])[0, 1]
            assert found.correlations[era - 1, feature] == pytest.approx(wanted, abs=1e-6)
    assert np.diag(found.mutual)[0] == pytest.approx(1.0, abs=1e-6)
    assert np.diag(found.mutual)[5] == pytest.approx(19 / 20, abs=1e-6)


def test_columns_are_what_they_say(data: Training, fitted: FittedNetwork) -> None:
    wide = fitted.transform(data)
    found = wide.table.toPandas().sort_values("id", ignore_index=True)

    rows = frame().sort_values("id", ignore_index=True)
    own, levels = np.array(rows["features"].tolist()), np.array(found["features"].tolist())
    assert wide.feature_names == (*NAMES, *fitted.names)
    assert len(fitted.names) == 5 + 2 + 2 + 2 + 2 + 2 == levels.shape[1] - FEATURES
    assert found["id"].tolist() == rows["id"].tolist()
    assert (levels[:, :FEATURES] == own).all()
    one, other = fitted.products[0]
    assert fitted.names[0] == f"f{one}_x_f{other}"
    product = (own[:, one] - 2) * (own[:, other] - 2)
    wanted = np.select([product <= -2, product == -1, product == 0, product == 1], [0, 1, 2, 3], 4)
    missing = (own[:, one] < 0) | (own[:, other] < 0)
    assert (levels[:, FEATURES] == np.where(missing, -1, wanted)).all()
    values = np.where(own < 0, 0, own - 2)
    projection = values @ fitted.loadings[:, 0]
    in_fold = rows["era"].between(1, 20) & rows["target"].notna()
    bounds = np.quantile(projection[in_fold], [0.2, 0.4, 0.6, 0.8])
    same = levels[:, FEATURES + 7] == np.searchsorted(bounds, projection)
    assert same.mean() > 0.999  # a value may lie on a bound, and rounding decides
    assert (levels[:, FEATURES + 7 :] >= 0).all()


def test_chosen_rows_are_the_tables_and_no_others_are_widened(data: Training, fitted: FittedNetwork) -> None:
    wide = replace(fitted.transform(data), share=0.5)

    rows, all_rows = (found.toPandas().sort_values("id", ignore_index=True) for found in (wide.rows([3]), wide.table))
    pd.testing.assert_frame_equal(rows, all_rows[all_rows["era"] == 3].reset_index(drop=True))
    assert 20 < wide.labelled([3]).count() < 60
    plan = wide.rows([3])._jdf.queryExecution().optimizedPlan().toString()
    assert plan.index("MapInArrow") < plan.index("Filter")  # the filter is below


def test_weights_of_an_era_are_of_what_was_known(data: Training, fitted: FittedNetwork) -> None:
    found = premia(data, range(1, 21))
    momentum = fitted.momentum

    assert momentum is not None
    np.testing.assert_allclose(momentum.weights(19)[:, 0], found.correlations[5:13].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(momentum.weights(99)[:, 0], found.correlations[12:20].mean(axis=0), atol=1e-12)
    assert not momentum.weights(6).any()


def test_nothing_is_read_outside_the_fold(spark: SparkSession, data: Training, fitted: FittedNetwork) -> None:
    poisoned = frame()
    outside = poisoned["era"] > 20
    poisoned.loc[outside, "features"] = pd.Series([[4] * FEATURES] * int(outside.sum()), index=poisoned.index[outside])
    poisoned.loc[outside, "target"] = 100.0

    again = ALL_KINDS.fit(training(spark, poisoned), range(1, 21))

    assert again.products == fitted.products
    np.testing.assert_array_equal(again.bounds, fitted.bounds)
    np.testing.assert_array_equal(again.loadings, fitted.loadings)


def test_controls_take_other_pairs(data: Training, fitted: FittedNetwork) -> None:
    random = FeatureNetwork(interactions=5, chosen_by="random", seed=1, degree=4).fit(data, range(1, 21))
    named = FeatureNetwork(pairs=((3, 7),), degree=4).fit(data, range(1, 21))

    assert set(random.products) != set(fitted.products[:5])
    assert named.names == ("f3_x_f7",)
    sizes = named.transform(data).table.agg(F.min(F.size("features")), F.max(F.size("features"))).head()
    assert tuple(sizes or ()) == (FEATURES + 1, FEATURES + 1)
