"""Blends in Spark: the same moments and sums as on the rows of each era, whatever the order of rows."""

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from eraflow.ensembles.blending import blended, moments
from eraflow.ensembles.weights import blend, era_moments, non_negative, weights_by_era
from eraflow.spans import EraSpan

SCHEMA = "id string, era int, fold int, model string, prediction double, target float"
MODELS = ("a", "b")
ERAS = range(1, 9)
SPANS = [EraSpan(era, era, era + 2) for era in ERAS]


def rows_frame() -> pd.DataFrame:
    """8 eras of 40 rows by two models; era 8 has no target yet, era 2 is in two folds; a third model is left out."""
    draw = np.random.default_rng(5)
    parts = []
    for era, fold in [*((era, 1) for era in ERAS), (2, 2)]:
        target = np.full(40, np.nan) if era == 8 else draw.choice([0, 0.25, 0.5, 0.75, 1], 40)
        target[3] = np.nan
        for model, strength in [("a", 1.0), ("b", 0.5), ("other", 0.0)]:
            part = pd.DataFrame({"id": [f"n{row:02}" for row in range(40)], "era": era, "fold": fold, "model": model})
            part["prediction"] = np.round(strength * np.nan_to_num(target) + draw.normal(size=40), 1)
            parts.append(part.assign(target=target))
    return pd.concat(parts, ignore_index=True)


def as_spark(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    rows = [tuple(None if value != value else value for value in row) for row in frame.to_numpy().tolist()]
    return spark.createDataFrame(rows, SCHEMA)


def matrices(frame: pd.DataFrame, era: int, fold: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rows = frame[(frame["era"] == era) & (frame["fold"] == fold)]
    wide = rows.pivot(index="id", columns="model", values="prediction")[list(MODELS)]
    return wide.to_numpy(), rows[rows["model"] == "a"]["target"].to_numpy()


def test_moments_of_every_era_with_a_target_are_those_of_its_rows(spark: SparkSession) -> None:
    frame = rows_frame()
    found = moments(as_spark(spark, frame.sample(frac=1, random_state=1)).repartition(3), MODELS)

    assert found.eras.tolist() == [1, 2, 3, 4, 5, 6, 7]
    for place, era in enumerate(found.eras):
        folds = (1, 2) if era == 2 else (1,)
        expected = [era_moments(*matrices(frame, era, fold)) for fold in folds]
        np.testing.assert_array_equal(found.gram[place], np.mean([gram for gram, _ in expected], axis=0))
        np.testing.assert_array_equal(found.target[place], np.mean([target for _, target in expected], axis=0))


def test_every_row_is_blended_by_the_weights_of_its_era(spark: SparkSession) -> None:
    frame = rows_frame()
    weights = {era: np.array([era, 1.0]) / (era + 1) for era in ERAS}
    shuffled = as_spark(spark, frame.sample(frac=1, random_state=1)).repartition(3)
    found = blended(shuffled, MODELS, weights).toPandas().sort_values(["era", "fold", "id"], ignore_index=True)

    one = frame[frame["model"] == "a"].sort_values(["era", "fold", "id"], ignore_index=True)
    expected = one[["id", "era", "fold"]].assign(prediction=0.0, target=one["target"])
    for (era, fold), rows in one.groupby(["era", "fold"]):
        expected.loc[rows.index, "prediction"] = blend(matrices(frame, era, fold)[0], weights[era])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)


def test_a_blend_of_an_era_knows_nothing_of_its_own_target_and_of_later_ones(spark: SparkSession) -> None:
    frame = rows_frame()
    poisoned = frame.assign(target=frame["target"].mask(frame["era"] >= 5, 1 - frame["target"]))  # label of 4: until 6

    def of_era_7(rows: pd.DataFrame) -> pd.DataFrame:
        predictions = as_spark(spark, rows)
        weights = weights_by_era(moments(predictions, MODELS), SPANS, SPANS, non_negative, least=2)
        era = blended(predictions.where("era = 7"), MODELS, weights).drop("target").toPandas()
        return era.sort_values("id", ignore_index=True)

    pd.testing.assert_frame_equal(of_era_7(frame), of_era_7(poisoned), check_exact=True)


@pytest.mark.parametrize(
    ("models", "change", "message"),
    [
        (MODELS, lambda x: x[~((x["model"] == "b") & (x["era"] == 3))], "era 3, fold 1: 40 of 40 rows have no .* by b"),
        (MODELS, lambda x: pd.concat([x, x[:1]]), "era 1, fold 1: an id occurs twice among the predictions of one"),
        ((), lambda x: x, "an ensemble needs models, each named once; given: none"),
        (("a", "a"), lambda x: x, "an ensemble needs models, each named once; given: a, a"),
    ],
)
def test_predictions_that_do_not_fit_are_told(spark: SparkSession, models, change, message) -> None:
    with pytest.raises(Exception, match=message):
        moments(as_spark(spark, change(rows_frame())), models)
