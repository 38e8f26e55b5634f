"""Columns from the graph over features: equal to a direct computation, from a fold's training rows alone."""

import json
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow import registry
from eraflow.config import load
from eraflow.config.models import AnyModel
from eraflow.errors import InputError
from eraflow.models import load as load_model
from eraflow.models import save
from eraflow.models.base import Training
from eraflow.models.expansion import FeatureNetwork, widened, widened_training
from eraflow.models.feature_columns import FeatureColumns
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
            label = None if era > 25 or row == 0 else float(target[row])
            rows.append((f"n{era:02d}{row:03d}", era, era // 10, levels[row].tolist(), label))
    return pd.DataFrame(rows, columns=["id", "era", "era_block", "features", "target"])


def training(spark: SparkSession, rows: pd.DataFrame) -> Training:
    schema = "id string, era int, era_block int, features array<tinyint>, target float"
    values = [tuple(None if value != value else value for value in row[-1:]) for row in rows.to_numpy()]
    records = [(*row[:-1], *value) for row, value in zip(rows.to_numpy().tolist(), values, strict=True)]
    table = spark.createDataFrame(records, schema)
    return Training(table, NAMES, "target", -1, families={"even": NAMES[::2]}, reach={"target": 5})


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> Training:
    return training(spark, frame())


@pytest.fixture(scope="module")
def fitted(data: Training) -> FeatureColumns:
    return ALL_KINDS.fit(data, range(1, 21))


def test_premia_are_correlations_within_eras(data: Training) -> None:
    found = premia(data, range(1, 21))

    rows = frame().dropna()
    assert found.eras.tolist() == list(range(1, 21))
    for era in (1, 4, 20):
        of_era = rows[rows["era"] == era]
        levels = np.array(of_era["features"].tolist(), dtype=float) - 2.0
        levels[levels == -3.0] = 0.0
        for feature in range(FEATURES):
            wanted = 0.0
            if levels[:, feature].std() > 0:
                wanted = np.corrcoef(levels[:, feature], of_era["target"])[0, 1]
            assert found.correlations[era - 1, feature] == pytest.approx(wanted, abs=1e-6)
    assert np.diag(found.mutual)[0] == pytest.approx(1.0, abs=1e-6)
    assert np.diag(found.mutual)[5] == pytest.approx(19 / 20, abs=1e-6)


def test_columns_are_what_they_say(data: Training, fitted: FeatureColumns) -> None:
    found = widened(fitted, data.table).toPandas().sort_values("id", ignore_index=True)

    rows = frame().sort_values("id", ignore_index=True)
    inputs, levels = np.array(rows["features"].tolist()), np.array(found["features"].tolist())
    assert len(fitted.names) == 5 + 2 + 2 + 2 + 2 + 2 == levels.shape[1] - FEATURES
    assert found["id"].tolist() == rows["id"].tolist()
    assert (levels[:, :FEATURES] == inputs).all()
    one, other = fitted.products[0]
    assert fitted.names[0] == f"f{one}_times_f{other}"
    product = (inputs[:, one] - 2) * (inputs[:, other] - 2)
    wanted = np.select([product <= -2, product == -1, product == 0, product == 1], [0, 1, 2, 3], 4)
    missing = (inputs[:, one] < 0) | (inputs[:, other] < 0)
    assert (levels[:, FEATURES] == np.where(missing, -1, wanted)).all()
    values = np.where(inputs < 0, 0, inputs - 2)
    projection = values @ fitted.loadings[:, 0]
    in_fold = rows["era"].between(1, 20) & rows["target"].notna()
    bounds = np.quantile(projection[in_fold], [0.2, 0.4, 0.6, 0.8])
    assert (levels[:, FEATURES + 7] == np.searchsorted(bounds, projection)).all()  # loadings are exact in sums
    assert (levels[:, FEATURES + 7 :] >= 0).all()


def test_a_fit_sees_the_labelled_rows_of_its_eras_widened_once(data: Training, fitted: FeatureColumns) -> None:
    with widened_training(fitted, data, [3, 4], watched=[9]) as wide:
        rows = wide.table.toPandas().sort_values("id", ignore_index=True)
        plan = wide.rows([3])._jdf.queryExecution().optimizedPlan().toString()

    assert wide.feature_names == (*NAMES, *fitted.names)
    expected = widened(fitted, data.rows([3, 4, 9]).where("target is not null"))
    pd.testing.assert_frame_equal(rows, expected.toPandas().sort_values("id", ignore_index=True))
    assert "InMemoryRelation" in plan  # however often a fit reads them
    assert not wide.table.is_cached


def test_weights_of_an_era_are_of_what_was_known(data: Training, fitted: FeatureColumns) -> None:
    found = premia(data, range(1, 21))
    momentum = fitted.momentum

    assert momentum is not None
    np.testing.assert_allclose(momentum.weights(19)[:, 0], found.correlations[5:13].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(momentum.weights(99)[:, 0], found.correlations[12:20].mean(axis=0), atol=1e-12)
    assert not momentum.weights(6).any()


def test_nothing_is_read_outside_the_fold(spark: SparkSession, data: Training, fitted: FeatureColumns) -> None:
    poisoned = frame()
    outside = poisoned["era"] > 20
    poisoned.loc[outside, "features"] = pd.Series([[4] * FEATURES] * int(outside.sum()), index=poisoned.index[outside])
    poisoned.loc[outside, "target"] = 100.0

    again = ALL_KINDS.fit(training(spark, poisoned), range(1, 21))

    assert again.products == fitted.products
    np.testing.assert_array_equal(again.bounds, fitted.bounds)
    np.testing.assert_array_equal(again.loadings, fitted.loadings)


def test_controls_take_other_pairs(data: Training, fitted: FeatureColumns) -> None:
    random = FeatureNetwork(interactions=5, chosen_by="random", seed=1, degree=4).fit(data, range(1, 21))
    named = FeatureNetwork(pairs=((3, 7),), degree=4).fit(data, range(1, 21))

    assert set(random.products) != set(fitted.products[:5])
    assert named.names == ("f3_times_f7",)
    sizes = widened(named, data.table).agg(F.min(F.size("features")), F.max(F.size("features"))).head()
    assert tuple(sizes or ()) == (FEATURES + 1, FEATURES + 1)


MODEL = "trees: 12, learning_rate: 0.3, min_data_in_leaf: 20, feature_fraction: 0.9"
NETWORK = "interactions: 4, triples: 1, vectors: 2, components: 1, groups: 2, momentum: 8, degree: 4"
SETTINGS = {
    "lightgbm": f"{{kind: lightgbm, {MODEL}, network: {{{NETWORK}}}}}",
    "watching": f"{{kind: lightgbm, {MODEL}, early_stopping_rounds: 3, network: {{{NETWORK}}}}}",
    "forest": f"{{kind: random_forest, {MODEL.replace('learning_rate: 0.3, ', '')}, network: {{{NETWORK}}}}}",
    "linear": f"{{kind: linear, features: [even, f1], network: {{{NETWORK}}}}}",
    "random": f"{{kind: linear, seeds: 2, network: {{{NETWORK}, chosen_by: random}}}}",
    "splits": f"{{kind: lightgbm, {MODEL}, network: {{interactions: 4, degree: 4, chosen_by: splits}}}}",
}


def model(name: str) -> AnyModel:
    return load([], [f"models.{name}={SETTINGS[name]}"]).models[name]


LONG = [pytest.param(name, marks=pytest.mark.slow) for name in ("watching", "forest", "random")]


@pytest.mark.parametrize("name", ["lightgbm", "linear", "splits", *LONG])
def test_every_kind_learns_from_the_columns_and_predicts_from_what_was_saved(
    data: Training, tmp_path: Path, name: str
) -> None:
    settings = model(name)
    watched = range(21, 24) if settings.watched_eras else ()
    fitted = registry.build(settings, "target", 3).fit(data, range(1, 21), watched)
    save(fitted, tmp_path)
    loaded = load_model(tmp_path)

    count = 13 if settings.features else FEATURES
    new = 4 if name == "splits" else 4 + 1 + 2 + 1 + 2 + 2
    assert loaded.feature_names == fitted.feature_names
    later = [found.predict(data.rows([24, 25])).toPandas().sort_values("id") for found in (fitted, loaded)]
    pd.testing.assert_frame_equal(*later, check_exact=True)
    assert later[0]["prediction"].std() > 0
    columns: set[str] = set()  # of all seeds: each draws random pairs of its own
    described = json.loads((tmp_path / "model.json").read_text())["members"]
    for member in described:
        about = member["steps"][-1]
        assert about["step"] == "feature_graph"
        assert len(about["columns"]) == new
        columns.update(about["columns"])
        if settings.seeds == 1:
            assert fitted.feature_names[count:] == tuple(about["columns"])
        assert about["momentum"] == (None if name == "splits" else {"window": 8, "lag": 6})
        edges = pd.read_csv((tmp_path / member["name"] if len(described) > 1 else tmp_path) / "network.csv")
        assert edges["weight"].is_monotonic_decreasing
        assert {*edges["source"], *edges["target"]} <= set(NAMES)
    assert len(fitted.feature_names) == count + len(columns)
    assert set(fitted.feature_names[count:]) == columns
    if name in ("lightgbm", "splits"):
        native = lightgbm.Booster(model_file=str(tmp_path / "model.txt"))
        assert tuple(native.feature_name()) == fitted.feature_names


def test_the_same_rows_give_the_same_model(data: Training, tmp_path: Path) -> None:
    for name in ("one", "other"):
        save(registry.build(model("lightgbm"), "target", 3).fit(data, range(1, 21)), tmp_path / name)

    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()


def test_no_rows_to_learn_from_are_told(data: Training) -> None:
    with pytest.raises(InputError, match=r"no row of eras 26 to 30 has a known target"):
        registry.build(model("linear"), "target", 3).fit(data, range(26, 31))


def test_features_are_chosen_by_name_and_family_in_the_tables_order(data: Training) -> None:
    taken = data.taken(["f3", "even"])
    chosen = data.narrowed(taken)

    assert chosen.feature_names == tuple(sorted({*NAMES[::2], "f3"}, key=NAMES.index))
    whole, some = (np.array(found.rows([2]).orderBy("id").toPandas()["features"].tolist()) for found in (data, chosen))
    assert (some == whole[:, np.array(taken)]).all()
    assert data.taken([]) == (True,) * FEATURES
    with pytest.raises(InputError, match=r"models\.x\.features names 'odd', which is no feature or family of the "):
        data.taken(["odd"], "models.x.features")
