"""Residual targets: a target less what a model's Gaussianised ranks explain of it in the era, against plain numpy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy import stats

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.pipeline.classic_targets import residual_checks, targets
from eraflow.sources.classic_files import Folder
from eraflow.sources.classic_models import OtherModels
from eraflow.sources.classic_residuals import Residual, residual_of, with_residuals

NAME, OTHER = "target_a_20_residual_to_one", "target_b_60_residual_to_meta"
WANTED = {NAME: Residual("target_a_20", "one"), OTHER: Residual("target_b_60", "meta")}
ROWS = 30


def table(seed: int = 1) -> pd.DataFrame:
    """Three eras: bins as targets, some unknown; predictions in ties, some of them unknown, some of them not there."""
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame({"id": [f"n{at:03}" for at in range(3 * ROWS)], "era": np.repeat([1, 2, 3], ROWS)})
    for name in ("target_a_20", "target_b_60"):
        rows[name] = draw.integers(0, 5, len(rows)) / 4
    rows["one"] = draw.integers(0, 7, len(rows)) / 7
    rows["meta"] = draw.normal(size=len(rows))
    rows.loc[[0, 40, 61], ["target_a_20", "target_b_60"]] = np.nan
    rows.loc[rows["era"] == 2, "one"] = np.nan
    rows.loc[rows["era"] == 3, "one"] = 0.25
    rows.loc[[1, 2, 62], "one"] = np.nan
    return rows


def frames(spark: SparkSession, rows: pd.DataFrame) -> tuple[DataFrame, list[DataFrame]]:
    """The rows with their features, and two files of models: of the meta model's some ids are missing."""

    def plain(part: pd.DataFrame) -> list[Sequence[object]]:
        return [[None if value != value else value for value in row] for row in part.itertuples(index=False)]

    narrow = rows.drop(columns=["one", "meta"])
    wide = spark.createDataFrame(plain(narrow), "id string, era int, target_a_20 float, target_b_60 float").selectExpr(
        "*", "array(1Y, 2Y) as features"
    )
    one = spark.createDataFrame(plain(rows[["id", "era", "one"]]), "id string, era int, one double")
    meta = rows[["id", "era", "meta"]].drop(index=[5, 6, 70])
    return wide, [spark.createDataFrame(plain(meta), "id string, era int, meta double"), one]


def residuals(spark: SparkSession, rows: pd.DataFrame) -> pd.DataFrame:
    wide, models = frames(spark, rows)
    return with_residuals(wide, models, WANTED).toPandas().sort_values("id", ignore_index=True)


@pytest.fixture(scope="module")
def found(spark: SparkSession) -> pd.DataFrame:
    return residuals(spark, table())


def expected(rows: pd.DataFrame, target: str, model: str) -> pd.Series:
    """By ranks with ties averaged and the normal equations of a line."""
    parts = []
    for _, era in rows.groupby("era"):
        complete = era.dropna(subset=[target, model])
        normal = stats.norm.ppf((stats.rankdata(complete[model]) - 0.5) / len(complete))
        line = np.column_stack([np.ones(len(complete)), normal])
        parts.append(complete[target] - line @ (np.linalg.pinv(line) @ complete[target].to_numpy()))
    return pd.concat(parts).reindex(rows.index)


def test_a_residual_is_what_a_regression_within_the_era_leaves(found: pd.DataFrame) -> None:
    rows = table()
    rows.loc[[5, 6, 70], "meta"] = np.nan

    np.testing.assert_allclose(found[NAME], expected(rows, "target_a_20", "one"), atol=1e-6)
    np.testing.assert_allclose(found[OTHER], expected(rows, "target_b_60", "meta"), atol=1e-6)
    assert found[NAME].isna().groupby(found["era"]).sum().tolist() == [3, ROWS, 2]
    assert found.loc[[1, 5], [NAME, OTHER]].isna().to_numpy().tolist() == [[True, False], [False, True]]
    constant = rows.loc[rows["era"] == 3, "target_a_20"].where(rows["one"].notna())
    np.testing.assert_allclose(found.loc[60:, NAME], constant - constant.mean(), atol=1e-6)
    assert found["features"].map(list).tolist() == [[1, 2]] * len(rows)  # no row is lost, none is there twice


def test_no_other_era_has_a_say(spark: SparkSession, found: pd.DataFrame) -> None:
    rows, other = table(), table(seed=2)
    rows.loc[rows["era"] != 1, other.columns] = other

    pd.testing.assert_frame_equal(residuals(spark, rows).head(ROWS), found.head(ROWS))


def test_eras_and_rows_without_predictions_are_counted(spark: SparkSession) -> None:
    wanted = {NAME: WANTED[NAME]}
    rows = [(1, 0.5, 0.1), (1, 0.5, None), (2, 0.25, None), (3, None, None)]
    made = spark.createDataFrame(rows, f"era int, target_a_20 float, {NAME} float")

    detail = "one predicts nothing there, first in era 2, last in 2; rows of other eras without it: 1"
    assert residual_checks(made, wanted) == [(f"eras without {NAME}", 1, detail)]
    assert residual_checks(made, {}) == []
    with pytest.raises(InputError, match=f"{NAME}: no row has both target_a_20 and a prediction of one"):
        residual_checks(made.where("era = 2"), wanted)


MANIFEST = {"targets": ["target_a_20", "target_b_60"], "alias": "target_b_60"}


def named(*settings: str) -> list[str]:
    return ["source=classic", "classic.path=x", "targets.main=target", *settings]


def test_a_residual_has_the_horizon_of_its_target_and_scores_are_of_the_real_one() -> None:
    names = "[target_residual_to_meta, target_a_20_residual_to_one, target_a_20]"
    found = targets(load([], named(f"models.lightgbm.targets={names}")), MANIFEST)

    assert (found.main, found.columns) == ("target_b_60", ("target_b_60", "target_a_20"))
    assert found.residuals == {"target_residual_to_meta": Residual("target_b_60", "meta"), NAME: WANTED[NAME]}
    assert found.reach == {"target_b_60": 13, "target": 13, "target_residual_to_meta": 13, NAME: 5, "target_a_20": 5}
    assert residual_of("target_a_20") is None


def test_what_there_is_no_residual_of_is_told_in_a_sentence() -> None:
    with pytest.raises(InputError, match=r"targets\.main: models are scored on a target .*; name target_a_20 here and"):
        targets(load([], ["source=classic", "classic.path=x", f"targets.main={NAME}"]), MANIFEST)
    message = (
        r"^models\.lightgbm\.targets: the files have no target 'target_c_20'; choose one of target_a_20, target_b_60\.$"
    )
    with pytest.raises(InputError, match=message):
        targets(load([], named("models.lightgbm.targets=[target_c_20_residual_to_one]")), MANIFEST)
    found = targets(load([], named("models.lightgbm.targets=[target_residual_to_two]")), MANIFEST)
    message = (
        r"models\.lightgbm\.targets: x has no predictions of 'two' for target_residual_to_two; choose one of one, meta"
    )
    with pytest.raises(InputError, match=message):
        found.refuse_unknown_models(OtherModels((), "meta", ("one",)), Folder("x"))
    with pytest.raises(InputError, match="download the benchmark models' files"):
        found.refuse_unknown_models(OtherModels((), None, ()), Folder("x"))
