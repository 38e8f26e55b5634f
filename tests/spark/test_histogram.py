"""Predictions counted in bins."""

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from eraflow.histogram import BINS, prediction_histogram


def predictions(spark: SparkSession, **models: list[float | None]) -> DataFrame:
    rows = [(model, value) for model, values in models.items() for value in values]
    return spark.createDataFrame(rows, "model string, prediction double")


def test_bins_run_from_each_models_lowest_to_its_highest(spark: SparkSession) -> None:
    frame = predictions(
        spark, a=[0.0, 1.0, 2.0, 4.0, 4.0, None, float("nan")], b=[-1.0, -0.9], constant=[0.5, 0.5], none=[None]
    )
    found = prediction_histogram(frame, bins=4).toPandas()
    assert found.values.tolist() == [
        ["a", 0.0, 1.0, 1], ["a", 1.0, 2.0, 1], ["a", 2.0, 3.0, 1], ["a", 3.0, 4.0, 2],
        ["b", -1.0, pytest.approx(-0.975), 1], ["b", pytest.approx(-0.925), -0.9, 1],
        ["constant", 0.5, 0.5, 2],
    ]  # fmt: skip


def test_bins_are_numpys_and_few(spark: SparkSession) -> None:
    values = np.random.default_rng(5).normal(size=3000)
    frame = spark.createDataFrame(pd.DataFrame({"model": "m", "prediction": values, "era": 1}))
    found = prediction_histogram(frame).toPandas()
    counts, edges = np.histogram(values, BINS)
    assert found["rows"].tolist() == counts[counts > 0].tolist()
    np.testing.assert_allclose(found["low"], edges[:-1][counts > 0], atol=1e-12)
    np.testing.assert_allclose(found["high"], edges[1:][counts > 0], atol=1e-12)
