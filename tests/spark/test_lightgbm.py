"""LightGBM in Spark: the same model for the same rows, the same predictions with and without Spark."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.stats import norm

from eraflow import registry
from eraflow.config import load
from eraflow.config.models import LightGbm
from eraflow.errors import InputError
from eraflow.models import Fitted, lightgbm_spark, save
from eraflow.models.base import Training
from eraflow.models.lightgbm import LightGbmModel
from eraflow.models.trees import LightGbmTrees

NAMES = tuple(f"feature_{number}" for number in range(6))
ERAS = tuple(range(1, 11))
SCHEMA = "id string, era int, features array<tinyint>, target float"


UNSAMPLED = {"bagging_fraction": 1.0, "bagging_freq": 0, "feature_fraction": 1.0}
NATIVE = {"objective": "regression", "learning_rate": 0.1, "num_leaves": 31, "max_depth": 5, "max_bin": 7,
          "min_data_in_leaf": 20, "verbosity": -1, "force_col_wise": True, "deterministic": True}  # fmt: skip


ENGINES = pytest.mark.parametrize("engine", ["native", "synapseml"])


def config(engine: str = "native") -> LightGbm:
    settings = {"trees": 12, "min_data_in_leaf": 20, "learning_rate": 0.1, "engine": engine}
    return load([], [f"models.lightgbm.{key}={value}" for key, value in settings.items()]).models["lightgbm"]


def rows_frame() -> pd.DataFrame:
    """10 eras of 500 rows: six levels 0..4 each, a tenth of them unknown (-1), a twentieth of the targets unknown."""
    draw = np.random.default_rng(3)
    count = 500 * len(ERAS)
    levels = draw.integers(0, 5, (count, len(NAMES)))
    target = 0.3 * levels[:, 0] - 0.2 * levels[:, 1] * (levels[:, 2] > 2) + draw.normal(size=count)
    levels[draw.random(levels.shape) < 0.1] = -1
    target[draw.random(count) < 0.05] = np.nan
    ids = [f"T{row:04}" for row in range(count)]
    return pd.DataFrame(
        {"id": ids, "era": np.repeat(ERAS, 500), "features": levels.tolist(), "target": target.astype("float32")}
    )


def floats(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Rows x features, NaN where unknown."""
    levels = np.array(rows["features"].tolist(), dtype=float)
    return np.where(levels == -1, np.nan, levels)


def given(rows: pd.DataFrame, weight: pd.Series | None = None) -> lightgbm.Dataset:
    return lightgbm.Dataset(floats(rows), rows["target"], weight=weight)


def training(spark: SparkSession, rows: pd.DataFrame, folder: Path, files: int) -> Training:
    plain = [(i, int(era), x, None if np.isnan(y) else float(y)) for i, era, x, y in rows.itertuples(index=False)]
    spark.createDataFrame(plain, SCHEMA).repartition(files).write.parquet(str(folder))
    return Training(spark.read.parquet(str(folder)), NAMES, "target", -1)


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return training(spark, rows_frame(), tmp_path_factory.mktemp("rows") / "rows", 1)


def fit(settings: LightGbm, data: Training, eras: Sequence[int] = ERAS, seed: int = 5, **options: Any) -> Fitted:
    return registry.build(settings, data.target, seed).fit(data, eras, **options)


def text(fitted: Fitted) -> str:
    """LightGBM's own of the model's only member."""
    estimator = fitted.members[0].estimator
    assert isinstance(estimator, LightGbmTrees)
    return estimator.text


@pytest.fixture(scope="module")
def fitted(data: Training) -> Fitted:
    return fit(config(), data)


def test_a_share_of_the_rows_is_the_same_each_time_and_part_of_a_larger_share(data: Training) -> None:
    def ids(share: float, eras: list[int]) -> set[str]:
        return {row["id"] for row in replace(data, share=share).labelled(eras).select("id").collect()}

    every, half, quarter = (ids(share, [1, 2, 3, 4]) for share in (1.0, 0.5, 0.25))
    assert len(half) == pytest.approx(len(every) / 2, rel=0.1)
    assert len(quarter) == pytest.approx(len(every) / 4, rel=0.15)
    assert quarter < half < every
    assert ids(0.5, [1, 2]) == half & ids(1.0, [1, 2])


def test_the_saved_text_predicts_without_spark_what_spark_predicts(
    fitted: Fitted, data: Training, tmp_path: Path
) -> None:
    save(fitted, tmp_path / "final")
    found = fitted.predict(data.rows([9, 10])).toPandas().set_index("id")["prediction"]

    rows = rows_frame().query("era >= 9").set_index("id")
    native = lightgbm.Booster(model_str=(tmp_path / "final/model.txt").read_text(encoding="utf-8"))
    expected = native.predict(floats(rows))

    assert native.feature_name() == list(NAMES)
    assert native.num_trees() == 12
    assert np.isnan(floats(rows)).any()
    assert expected.std() > 0.1
    np.testing.assert_allclose(found.loc[rows.index], expected, rtol=0, atol=1e-12)


def test_every_row_is_predicted_once_known_target_or_not(fitted: Fitted, data: Training) -> None:
    found = fitted.predict(data.table).toPandas().sort_values("id", ignore_index=True)
    assert list(found.columns) == ["id", "era", "prediction"]
    pd.testing.assert_frame_equal(found[["id", "era"]], rows_frame()[["id", "era"]], check_dtype=False)
    assert found["prediction"].notna().all()


@ENGINES
def test_a_seed_and_the_table_decide_the_model_to_the_byte(
    data: Training, spark: SparkSession, tmp_path: Path, engine: str
) -> None:
    written_again = training(spark, rows_frame(), tmp_path / "again", 1)  # its files have other names

    first = text(fit(config(engine), data))
    assert text(fit(config(engine), written_again)) == first
    assert text(fit(config(engine), data, seed=6)) != first


def test_both_engines_grow_the_same_trees_where_nothing_is_drawn(data: Training) -> None:
    plain = UNSAMPLED | {"monotone": {"feature_1": -1}}
    found = [
        fit(config(engine).model_copy(update=plain), data).predict(data.rows([1, 9])).toPandas().set_index("id")
        for engine in ("native", "synapseml")
    ]
    pd.testing.assert_frame_equal(*found, atol=1e-6, rtol=0)


def test_a_fit_is_one_task_up_to_a_number_of_values(data: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> object:
        raise AssertionError

    monkeypatch.setattr(lightgbm_spark, "learned", never)
    fit(config("auto"), data, (1,))
    monkeypatch.setattr("eraflow.models.lightgbm.ONE_TASK", 500 * len(NAMES) - 1000)
    with pytest.raises(AssertionError):
        fit(config("auto"), data, (1,))


def test_only_a_large_fit_that_is_alone_learns_by_all_threads(data: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eraflow.models.lightgbm_alone.threads", lambda _: 3)
    beside = replace(data, alone=False)

    assert "[num_threads: 1]" in text(fit(config(), data, (1,)))
    monkeypatch.setattr("eraflow.models.lightgbm_alone.ONE_THREAD", 400 * len(NAMES))
    assert "[num_threads: 3]" in text(fit(config(), data, (1,)))
    assert "[num_threads: 1]" in text(fit(config(), beside, (1,)))


@ENGINES
def test_a_feature_that_one_era_lacks_and_a_rare_level_have_bins_of_their_own(
    spark: SparkSession, tmp_path: Path, engine: str
) -> None:
    rows = rows_frame().dropna(subset="target")
    levels = np.array(rows["features"].tolist())
    levels[:, 3] = np.where(rows["era"] == 4, -1, np.where(np.arange(len(rows)) % 300 == 0, 4, 1))
    target = rows["target"] + 2.0 * (rows["era"] == 4) - 3.0 * (levels[:, 3] == 4)
    rows = rows.assign(features=levels.tolist(), target=target.astype("float32"))
    data = training(spark, rows, tmp_path / "rows", 1)
    plain = config(engine).model_copy(update=UNSAMPLED | {"min_data_in_leaf": 5})

    found = fit(plain, data).predict(data.rows(ERAS)).toPandas().set_index("id")["prediction"]

    expected = lightgbm.train(NATIVE | {"min_data_in_leaf": 5}, given(rows), num_boost_round=12).predict(floats(rows))
    np.testing.assert_allclose(found.loc[rows["id"]], expected, rtol=0, atol=1e-6)


@ENGINES
def test_recency_weights_are_those_that_native_lightgbm_is_given(data: Training, engine: str) -> None:
    plain = config(engine).model_copy(update=UNSAMPLED)
    rows = rows_frame().dropna(subset="target").query("era <= 8")
    weighted = given(rows, weight=0.5 ** ((8 - rows["era"]) / 2.0))
    expected = lightgbm.train(NATIVE, weighted, num_boost_round=12).predict(floats(rows))

    fitted = fit(plain, replace(data, half_life=2.0), ERAS[:8])

    found = fitted.predict(data.rows(ERAS[:8])).toPandas().set_index("id")["prediction"].loc[rows["id"]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert text(fit(plain, data, ERAS[:8])) != text(fitted)


@ENGINES
def test_trees_that_fit_the_watched_eras_no_better_are_not_used(data: Training, engine: str) -> None:
    eager = config(engine).model_copy(update={"trees": 400, "learning_rate": 0.3, "early_stopping_rounds": 5})

    stopped = fit(eager, data, ERAS[:8], watched=ERAS[8:])

    native = native_of(stopped)
    rows = rows_frame().dropna(subset="target").query("era >= 9").set_index("id")
    levels = floats(rows)
    error = [((native.predict(levels, num_iteration=n) - rows["target"]) ** 2).mean() for n in range(1, 100)]
    best = int(np.argmin(error[: native.num_trees()])) + 1
    assert 3 < best < 60
    assert native.num_trees() == best
    found = stopped.predict(data.rows(ERAS[8:])).toPandas().set_index("id")["prediction"]
    np.testing.assert_allclose(found.loc[rows.index], native.predict(levels), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_several_targets_and_seeds_are_one_model(data: Training, tmp_path: Path) -> None:
    both = replace(data, table=data.table.withColumn("other", F.col("target") * 100 + 7))
    settings = config().model_copy(update={"targets": ("target", "other"), "seeds": 2})

    fitted = registry.build(settings, "target", 5).fit(both, ERAS)

    save(fitted, tmp_path)
    assert sorted(path.parent.name for path in tmp_path.rglob("model.txt")) == [
        "other-seed-5", "other-seed-6", "target-seed-5", "target-seed-6"
    ]  # fmt: skip
    found = fitted.predict(both.rows([3, 4])).toPandas().sort_values("id", ignore_index=True)
    each = [
        fit(config(), replace(both, target=target), seed=seed).predict(both.rows([3, 4])).toPandas()
        for target in ("target", "other")
        for seed in (5, 6)
    ]
    normal = [
        norm.ppf((one.sort_values("id").groupby("era")["prediction"].rank() - 0.5) / 500).tolist() for one in each
    ]
    np.testing.assert_allclose(found["prediction"], np.mean(normal, axis=0), rtol=0, atol=1e-12)
    assert found["era"].value_counts().to_dict() == {3: 500, 4: 500}


@ENGINES
def test_rows_of_unequal_length_are_refused(data: Training, spark: SparkSession, engine: str) -> None:
    short = spark.createDataFrame([("short", 11, [1, 2, 3, 4, 0], 0.5)], SCHEMA)
    ragged = Training(data.table.unionByName(short), NAMES, "target", -1)
    renamed = Training(data.table, (*NAMES, "one more"), "target", -1)

    with pytest.raises(Exception, match="feature arrays have 5 values, not 6"):
        LightGbmModel(config(engine), 5).fit(ragged, (*ERAS, 11))
    with pytest.raises(Exception, match="feature arrays have 6 values, not 7"):
        LightGbmModel(config(engine), 5).fit(renamed, ERAS)


def test_too_few_rows_are_refused(data: Training) -> None:
    few = Training(data.table.where("id < 'T0030'"), NAMES, "target", -1)
    none = Training(data.table.where("target is null"), NAMES, "target", -1)
    said = r"rows with a known target in eras 1 to 10 are too few for min_data_in_leaf=20; lower it, or give"
    for rows in (few, none):
        with pytest.raises(InputError, match=said):
            LightGbmModel(config(), 5).fit(rows, ERAS)


def native_of(fitted: Fitted) -> lightgbm.Booster:
    return lightgbm.Booster(model_str=text(fitted))


def branches(node: dict[str, Any], above: frozenset[int] = frozenset()) -> Iterator[frozenset[int]]:
    """The features that are asked on the way to each leaf."""
    if "split_feature" not in node:
        yield above
        return
    for side in ("left_child", "right_child"):
        yield from branches(node[side], above | {node["split_feature"]})


@ENGINES
def test_constraints_reach_lightgbm(data: Training, fitted: Fitted, engine: str) -> None:
    groups = (("feature_0", "feature_3"), ("feature_1", "feature_4", "feature_5"))
    bound = config(engine).model_copy(update={"monotone": {"feature_1": 1}, "interactions": groups})
    constrained = native_of(fit(bound, data))

    trees = [tree["tree_structure"] for tree in constrained.dump_model()["tree_info"]]
    allowed = (frozenset({0, 3}), frozenset({1, 4, 5}), frozenset({2}))  # what is in no group stands alone
    every = [branch for tree in trees for branch in branches(tree)]
    assert all(any(branch <= group for group in allowed) for branch in every)
    assert frozenset().union(*every) >= {0, 1, 2}
    rising = np.tile(np.arange(5.0), (6, 1)).T * [0, 1, 0, 0, 0, 0]
    assert (np.diff(constrained.predict(rising)) >= 0).all()  # the target falls with feature 1
    assert (np.diff(native_of(fitted).predict(rising)) < 0).any()


@pytest.mark.parametrize("setting", [{"monotone": {"feature_9": 1}}, {"interactions": (("feature_0", "feature_9"),)}])
def test_constraints_of_no_feature_are_refused(data: Training, setting: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="monotone or interactions name 'feature_9', which is no feature here"):
        LightGbmModel(config().model_copy(update=setting), seed=5).fit(data, ERAS)


@pytest.mark.parametrize(
    ("engine", "objective"), [("native", "lambdarank"), ("native", "rank_xendcg"), ("synapseml", "lambdarank")]
)
def test_ranking_learns_the_order_within_an_era(
    spark: SparkSession, tmp_path: Path, engine: str, objective: str
) -> None:
    rows = rows_frame()
    quarters = rows.groupby("era")["target"].rank(pct=True).mul(4).round().div(4)
    # What an era adds to all of its rows must not matter to their order.
    data = training(spark, rows.assign(target=quarters), tmp_path / "rows", 1)
    ranked = config(engine).model_copy(update={"objective": objective})
    model = fit(ranked, data, ERAS[:8])

    assert f"objective={objective}" in text(model)
    found = model.predict(data.rows([9, 10])).toPandas().set_index("id")["prediction"]
    expected = rows.set_index("id").loc[found.index, "target"]
    assert found.corr(expected, method="spearman") > 0.25


def test_trees_that_could_not_split_are_no_model_though_eras_are_watched(data: Training) -> None:
    stiff = config().model_copy(update={"early_stopping_rounds": 3, "min_data_in_leaf": 200, "trees": 40})
    # 480 rows are enough to begin with, and 0.8 of them, which are bagged, too few for two leaves.
    with pytest.raises(InputError, match="LightGBM stopped after 1 of 40 trees, as it does when no split is left"):
        fit(stiff, data, ERAS[:1], watched=ERAS[8:])


def test_ranking_refuses_a_target_of_many_levels(data: Training) -> None:
    ranked = config().model_copy(update={"objective": "lambdarank"})
    with pytest.raises(InputError, match="target has more than 31 levels, too many for objective=lambdarank"):
        LightGbmModel(ranked, seed=5).fit(data, ERAS)


def test_a_random_forest_averages_its_trees(data: Training) -> None:
    chosen = {"kind": "random_forest", "trees": 12, "min_data_in_leaf": 20}
    settings = load([], [f"models.forest.{key}={value}" for key, value in chosen.items()]).models["forest"]
    grown = native_of(registry.build(settings, "target", 5).fit(data, ERAS))
    levels = np.array(rows_frame()["features"].tolist(), dtype=float)[:100]

    alone = [grown.predict(levels, start_iteration=tree, num_iteration=1) for tree in range(12)]
    assert len({tuple(tree) for tree in alone}) == 12
    np.testing.assert_allclose(grown.predict(levels), np.mean(alone, axis=0), atol=1e-12)
