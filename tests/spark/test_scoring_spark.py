"""Scoring on Spark: one row for each model, era, fold and metric, whatever the order of rows."""

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from eraflow.scoring import METRICS, score_eras, unscored_eras

SCHEMA = "id string, era int, fold int, model string, prediction double, target float"


def predictions_frame() -> pd.DataFrame:
    """Two models over eras 1 to 3 of 30 rows; era 3 has no target yet, era 1 of model b is in two folds."""
    draw = np.random.default_rng(7)
    parts = []
    for model, era, fold in [("a", 1, 1), ("a", 2, 1), ("a", 3, 2), ("b", 1, 1), ("b", 1, 2), ("b", 2, 1), ("b", 3, 2)]:
        part = pd.DataFrame({"id": [f"n{row:02}" for row in range(30)], "era": era, "fold": fold, "model": model})
        part["prediction"] = draw.normal(size=30)
        part["target"] = np.nan if era == 3 else draw.choice([0, 0.25, 0.5, 0.75, 1], 30)
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[frame["id"] == "n05", "target"] = np.nan
    return frame


def as_spark(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    rows = [tuple(None if value != value else value for value in row) for row in frame.to_numpy().tolist()]
    return spark.createDataFrame(rows, SCHEMA)


def collected(scored: DataFrame) -> pd.DataFrame:
    return scored.toPandas().sort_values(["model", "era", "fold", "metric"]).reset_index(drop=True)


def test_score_eras_gives_every_metric_of_every_scored_fold(spark: SparkSession) -> None:
    frame = predictions_frame()
    expected = pd.DataFrame(
        [
            (model, era, fold, name, metric(rows.set_index("id")["prediction"], rows.set_index("id")["target"]))
            for (model, era, fold), rows in frame[frame["era"] < 3].groupby(["model", "era", "fold"])
            for name, metric in sorted(METRICS.items())
        ],
        columns=["model", "era", "fold", "metric", "value"],
    )

    straight = collected(score_eras(as_spark(spark, frame)))
    shuffled = collected(score_eras(as_spark(spark, frame.sample(frac=1, random_state=2)).repartition(3)))

    pd.testing.assert_frame_equal(straight, expected, check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(shuffled, straight, check_exact=True)


def test_eras_without_a_known_target_are_listed(spark: SparkSession) -> None:
    frame = predictions_frame()
    frame.loc[(frame["model"] == "b") & (frame["era"] == 1), "target"] = np.nan

    assert unscored_eras(as_spark(spark, frame)) == {"a": [3], "b": [1, 3]}


def test_a_missing_prediction_is_told_with_model_and_era(spark: SparkSession) -> None:
    frame = predictions_frame()
    frame.loc[(frame["model"] == "b") & (frame["era"] == 2) & (frame["id"] == "n01"), "prediction"] = np.nan

    with pytest.raises(Exception, match="model b, era 2, fold 1: 1 of 29 scored rows have no prediction"):
        score_eras(as_spark(spark, frame)).collect()
