"""Neutralisation on Spark: every era against numerai-tools, whatever the order of rows; exposures; what is refused."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring as numerai
from pyspark.sql import DataFrame, SparkSession

from eraflow.ensembles.neutralisation import Features, neutralise
from eraflow.errors import InputError

NAMES = tuple(f"feature_{number}" for number in range(6))
ROWS, ERAS = 50, (3, 4, 5)


def table_frame() -> pd.DataFrame:
    """Eras 2 to 5 of 50 rows and six features; a tenth is unknown (-1), and the last feature in all of era 4."""
    draw = np.random.default_rng(2)
    eras = np.repeat([2, *ERAS], ROWS)
    levels = draw.integers(0, 5, (len(eras), len(NAMES)))
    levels[draw.random(levels.shape) < 0.1] = -1
    levels[eras == 4, 5] = -1
    ids = [f"n{row:03}" for row in range(len(eras))]
    return pd.DataFrame({"id": ids, "era": eras, "features": levels.tolist()})


def predictions_frame() -> pd.DataFrame:
    """Two models that lean on feature 1 and on feature 2; era 3 of model a is in two folds."""
    draw = np.random.default_rng(3)
    rows, parts = table_frame().query("era > 2"), []
    levels = np.array(rows["features"].tolist())
    for model, leaning, eras, fold in [("a", 1, ERAS, 1), ("a", 1, (3,), 2), ("b", 2, ERAS, 1)]:
        part = rows[["id", "era"]].assign(fold=fold, model=model)
        part["prediction"] = levels[:, leaning] + draw.normal(size=len(rows))
        part["target"] = np.where(rows["era"] == 5, np.nan, 0.5)
        parts.append(part[part["era"].isin(eras)])
    return pd.concat(parts, ignore_index=True)


def filled(era: int) -> pd.DataFrame:
    """An era's features as numerai-tools can take them: the era's mean where a level is unknown."""
    rows = table_frame().query("era == @era").set_index("id")["features"]
    levels = pd.DataFrame(rows.tolist(), index=rows.index, columns=NAMES, dtype=float).replace(-1.0, np.nan)
    return levels.fillna(levels.mean()).fillna(0.0)


def features(spark: SparkSession, rows: pd.DataFrame | None = None) -> Features:
    rows = (table_frame() if rows is None else rows).sample(frac=1, random_state=4)
    table = spark.createDataFrame(rows.to_numpy().tolist(), "id string, era int, features array<tinyint>")
    return Features(table.repartition(3), NAMES, -1)


def predictions(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    rows = [
        tuple(None if x != x else x for x in row) for row in frame.sample(frac=1, random_state=5).to_numpy().tolist()
    ]
    schema = "id string, era int, fold int, model string, prediction double, target float"
    return spark.createDataFrame(rows, schema).repartition(2)


@pytest.mark.parametrize(("proportion", "chosen"), [(1.0, None), (0.6, ("feature_5", "feature_2"))])
def test_every_era_equals_numerai_tools(spark: SparkSession, proportion: float, chosen: tuple[str, ...] | None) -> None:
    frame = predictions_frame()
    found = neutralise(predictions(spark, frame), features(spark), proportion, chosen).toPandas()

    expected = frame.copy()
    for (era, _, _), rows in frame.groupby(["era", "model", "fold"]):
        against = filled(era)[list(chosen or NAMES)]
        before = rows.set_index("id")[["prediction"]].loc[against.index]
        after = numerai.neutralize(before, against, proportion)["prediction"]
        expected.loc[rows.index, "prediction"] = after.loc[rows["id"]].to_numpy()
    key = ["model", "fold", "era", "id"]
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True)[expected.columns],
        expected.sort_values(key, ignore_index=True),
        check_dtype=False,
        rtol=0,
        atol=1e-12,
    )


def test_the_riskiest_features_are_those_that_an_eras_predictions_correlate_with_most(spark: SparkSession) -> None:
    frame = predictions_frame()
    found = neutralise(predictions(spark, frame), features(spark), riskiest=2).toPandas()

    taken = set()
    for (era, model, fold), rows in frame.groupby(["era", "model", "fold"]):
        against = filled(era)
        before = rows.set_index("id")[["prediction"]].loc[against.index]
        varying = against.loc[:, against.nunique() > 1]
        sizes = varying.corrwith(before["prediction"]).abs()
        chosen = sizes.sort_values(ascending=False, kind="stable").index[:2]
        taken.add((model, chosen[0]))
        neutral = found[(found["era"] == era) & (found["model"] == model) & (found["fold"] == fold)]
        neutral = neutral.set_index("id")["prediction"]
        expected = numerai.neutralize(before, against[list(chosen)], 1.0)["prediction"]
        np.testing.assert_allclose(neutral.loc[against.index], expected, rtol=0, atol=1e-12)
    assert taken == {("a", "feature_1"), ("b", "feature_2")}


def test_one_exchange_moves_the_wide_rows(spark: SparkSession) -> None:
    plan = neutralise(predictions(spark, predictions_frame()), features(spark))._jdf.queryExecution().optimizedPlan()
    exchanged = plan.toString().split("MapInArrow")[1].split("Union")[0]
    assert exchanged.count("RepartitionByExpression") == 1
    assert "Join" not in exchanged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[x["id"] != "n060"], "era 3, fold 1: a does not predict each of the 50 rows"),
        (lambda x: x.assign(prediction=x["prediction"].mask(x["model"] == "b")), "fold 1: b does not predict each"),
        (lambda x: pd.concat([x, x[x["model"] == "b"]]), "fold 1: b does not predict each"),
        (lambda x: x.assign(id=x["id"].replace("n060", "n999")), "era 3, fold 1: a does not predict each of the 50"),
        (lambda x: x.assign(era=9), "era 9 has predictions, but no rows in the training table"),
    ],
)
def test_predictions_that_do_not_fit_are_told(
    spark: SparkSession, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        neutralise(predictions(spark, change(predictions_frame())), features(spark)).collect()


def test_settings_that_cannot_be_are_refused(spark: SparkSession) -> None:
    rows = predictions(spark, predictions_frame())
    for message, wrong in {
        "there is no feature 'feature_9' in the training table": {"chosen": ("feature_9",)},
        "no features are chosen": {"chosen": ()},
        "a proportion of 1.5 is not between 0 and 1": {"proportion": 1.5},
    }.items():
        with pytest.raises(InputError, match=message):
            neutralise(rows, features(spark), **wrong)
