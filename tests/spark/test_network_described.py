"""Measures of learned graphs, on two small ones that can be counted by hand."""

import datetime

import pytest
from pyspark.sql import DataFrame, SparkSession

from eraflow.graphs.described import described

DAY = datetime.date(2020, 1, 3)
EDGES = [
    (4, "A", "B", 2.0), (4, "A", "C", 1.0), (4, "B", "C", 0.5), (4, "C", "D", 0.25),
    (8, "A", "B", 1.0), (8, "C", "D", 3.0), (8, "B", "D", 1.0),
]  # fmt: skip
SECTORS = {"A": "bank", "B": "bank", "C": "food", "D": "food"}


def tables(spark: SparkSession, sectors: dict[str, str]) -> tuple[DataFrame, DataFrame, DataFrame]:
    graphs = [(4, [1e-14, 3e-14], [1e-13, 1e-15]), (8, [2e-14], [2e-13])]
    prices = [(ticker, DAY + datetime.timedelta(days=day), sector if day else "old")
              for ticker, sector in sectors.items() for day in (0, 1)]  # fmt: skip
    return (
        spark.createDataFrame(graphs, "era int, kkt array<double>, gap array<double>"),
        spark.createDataFrame(EDGES, "era int, source string, target string, weight double"),
        spark.createDataFrame(prices, "ticker string, date date, sector string"),
    )


def test_degrees_sectors_and_what_is_kept(spark: SparkSession) -> None:
    found = described(*tables(spark, SECTORS))

    assert found is not None
    by_era = found.by_era
    assert by_era[["era", "nodes", "edges"]].to_numpy().tolist() == [[4, 4, 4], [8, 4, 3]]
    assert by_era["same_sector"].tolist() == pytest.approx([2 / 4, 2 / 3])
    assert by_era["chance"].tolist() == pytest.approx([1 / 3, 1 / 3])  # 2 of 6 pairs
    assert (by_era["low"] <= by_era["chance"]).all()
    assert (by_era["high"] >= by_era["chance"]).all()
    assert by_era["kept"].isna().tolist() == [True, False]
    assert by_era["kept"].iloc[1] == pytest.approx(2 / 4)
    assert found.nodes.to_numpy().tolist() == [["A", "bank", 1], ["B", "bank", 2], ["C", "food", 1], ["D", "food", 2]]
    assert found.edges.to_numpy().tolist() == [["C", "D", 3.0], ["A", "B", 1.0], ["B", "D", 1.0]]
    assert (found.kkt, found.gap) == (3e-14, 2e-13)


def test_one_sector_is_none(spark: SparkSession) -> None:
    found = described(*tables(spark, dict.fromkeys(SECTORS, "all")))

    assert found is not None
    assert found.by_era[["same_sector", "chance", "low", "high"]].isna().all(axis=None)
    assert found.nodes["sector"].isna().all()


def test_without_a_graph_there_is_nothing_to_tell(spark: SparkSession) -> None:
    graphs, edges, prices = tables(spark, SECTORS)
    assert described(graphs.limit(0), edges.limit(0), prices) is None
