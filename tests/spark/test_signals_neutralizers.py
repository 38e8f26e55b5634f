"""Numerai Signals' neutralisers and sample weights, met with price tickers by week."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from eraflow.config import Signals, load
from eraflow.errors import InputError
from eraflow.sources.signals_neutralizers import identity, neutralizers

FIRST_WEEK = date(2019, 12, 28)  # a Saturday
WEEKS = [date(2020, 1, 3), date(2020, 1, 10)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tickers = ["A US", "B US", "C US"]
    keys = pd.DataFrame([(t, d) for d in WEEKS for t in tickers], columns=["numerai_ticker", "date"])
    factors = keys.assign(neutralizer_b=[1.0, 2.0, None, 4.0, 5.0, 6.0], neutralizer_a=0.5, other="x")
    weights = keys.assign(sample_weights=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    factors[:3].to_parquet(tmp_path / "train_neutralizer.parquet")
    factors[3:].to_parquet(tmp_path / "validation_neutralizer.parquet")
    weights.to_parquet(tmp_path / "validation_sample_weights.parquet")
    return tmp_path


def signals(folder: Path) -> Signals:
    return load([], [f"signals.path={folder}"]).signals


def theirs(spark: SparkSession) -> DataFrame:
    """Numerai's rows, as they have met the tickers of the prices."""
    keys = [(name, f"{name[0]} US", day) for day in WEEKS for name in ("AA", "BB", "CC")]
    return spark.createDataFrame([*keys, (None, "Z US", WEEKS[1])], "ticker string, numerai_ticker string, date date")


def rows(spark: SparkSession) -> DataFrame:
    """AA and CC on the Friday, BB on the Thursday before it, and a ticker that Numerai does not have."""
    ids = [("AA_2020-01-03", 1), ("BB_2020-01-02", 1), ("CC_2020-01-03", 1), ("AA_2020-01-10", 2), ("ZZ_2020-01-10", 2)]
    return spark.createDataFrame(ids, "id string, era int")


def test_rows_are_met_by_week_and_an_empty_neutraliser_leaves_none(spark: SparkSession, folder: Path) -> None:
    factors, weights = neutralizers(spark, signals(folder), rows(spark), theirs(spark), FIRST_WEEK)

    assert sorted(tuple(row) for row in factors.collect()) == [
        ("AA_2020-01-03", 1, [0.5, 1.0]),
        ("AA_2020-01-10", 2, [0.5, 4.0]),
        ("BB_2020-01-02", 1, [0.5, 2.0]),
        ("CC_2020-01-03", 1, None),
    ]
    assert sorted(tuple(row) for row in weights.collect()) == [
        ("AA_2020-01-03", 1, 0.1),
        ("AA_2020-01-10", 2, 0.4),
        ("BB_2020-01-02", 1, 0.2),
        ("CC_2020-01-03", 1, 0.3),
    ]


def test_where_no_file_is_there_is_nothing(spark: SparkSession, tmp_path: Path) -> None:
    for config in (load([], []).signals, load([], [f"signals.path={tmp_path}"]).signals):
        assert neutralizers(spark, config, rows(spark), theirs(spark), FIRST_WEEK) == ()
        assert identity(spark, config) == []


def test_files_of_two_versions_and_files_without_a_column_are_refused(spark: SparkSession, folder: Path) -> None:
    pd.DataFrame({"numerai_ticker": ["A US"], "date": [WEEKS[0]], "neutralizer_a": [0.0]}).to_parquet(
        folder / "train_neutralizer.parquet"
    )
    with pytest.raises(
        InputError, match=r"validation_neutralizer.parquet has 2 columns neutralizer_\*, .* 1; download"
    ):
        neutralizers(spark, signals(folder), rows(spark), theirs(spark), FIRST_WEEK)
    (folder / "train_neutralizer.parquet").unlink()
    pd.DataFrame({"numerai_ticker": ["A US"], "date": [WEEKS[0]]}).to_parquet(folder / "train_sample_weights.parquet")
    with pytest.raises(InputError, match=r"train_sample_weights.parquet has no column 'sample_weights'"):
        neutralizers(spark, signals(folder), rows(spark), theirs(spark), FIRST_WEEK)
