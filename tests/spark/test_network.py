"""Graphs over assets and network momentum: equal to a direct computation, from the past alone, in any blocks."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from eraflow.graphs.assets import NAMES, graph_edges, learned_graphs, network_momentum, with_network
from eraflow.graphs.distances import all_pairs, squared_distances
from eraflow.graphs.history import Ensemble
from eraflow.graphs.learner import learn

DAYS = [day.date() for day in pd.bdate_range("2020-01-06", periods=160)]
TICKERS = [f"T{number:02d}" for number in range(30)]
ENSEMBLE = Ensemble(look_backs=(30, 60), degree=4)
# Weeks from 40 on, so that they fall into two blocks.
ERAS = {40 + week: DAYS[5 * week + 4] for week in range(32)}


def history() -> pd.DataFrame:
    """Momentum of 30 tickers with common factors: T01 a holiday, T02 a long gap, T03 comes late, T04 leaves."""
    random = np.random.default_rng(0)
    factors = np.cumsum(random.normal(size=(len(DAYS), 3, len(NAMES))), axis=0) / 5
    values = np.einsum("tf,dfk->dtk", random.normal(size=(30, 3)), factors)
    values += random.normal(size=values.shape)
    frame = pd.DataFrame(values.reshape(-1, len(NAMES)), columns=list(NAMES))
    frame.insert(0, "ticker", np.tile(TICKERS, len(DAYS)))
    frame.insert(1, "date", np.repeat(DAYS, 30))
    frame.insert(2, "member", (frame["ticker"] != "T04") | (frame["date"] < DAYS[100]))
    place = {day: at for at, day in enumerate(DAYS)}
    day = frame["date"].map(place)
    gone = (frame["ticker"] == "T01") & day.between(70, 74) | (frame["ticker"] == "T02") & day.between(80, 95)
    frame.loc[(frame["ticker"] == "T05") & (day == 90), "ret_vol_21"] = np.nan
    return frame[~gone & ~((frame["ticker"] == "T03") & (day < 50))].reset_index(drop=True)


def graphs(spark: SparkSession, frame: pd.DataFrame, eras: Mapping[int, date] = ERAS) -> DataFrame:
    days = [day for day in DAYS if day <= frame["date"].max()]
    wanted = {era: day for era, day in eras.items() if day <= days[-1]}
    return learned_graphs(spark.createDataFrame(frame), TICKERS, days, wanted, ENSEMBLE, era_block=20)


def sorted_edges(learned: DataFrame) -> pd.DataFrame:
    return graph_edges(learned).toPandas().sort_values(["era", "source", "target"], ignore_index=True)


@pytest.fixture(scope="module")
def learned(spark: SparkSession) -> DataFrame:
    return graphs(spark, history()).cache()


@pytest.fixture(scope="module")
def edges(learned: DataFrame) -> pd.DataFrame:
    return sorted_edges(learned)


def direct(frame: pd.DataFrame, day: date) -> pd.DataFrame:
    """The adjacency matrix of one day by tickers, from a pandas panel and one learner call a look-back."""
    values = frame.set_index(["date", "ticker"])[list(NAMES)].astype("float32").astype("float64")
    panel = values[values.notna().all(axis=1)].unstack("ticker").loc[:day].ffill(limit=10)
    members = frame[frame["member"] & (frame["date"] <= day)].groupby("ticker")["date"].max()
    left = frame[~frame["member"] & (frame["date"] <= day)]["ticker"]
    total, looks = pd.DataFrame(0.0, TICKERS, TICKERS), pd.DataFrame(0.0, TICKERS, TICKERS)
    for span in ENSEMBLE.look_backs:
        window = panel.tail(span)
        held = [t for t in TICKERS if len(window) == span and t in members and t not in set(left)
                and not window.xs(t, axis=1, level="ticker").isna().any(axis=None)]  # fmt: skip
        if len(held) < 20:
            continue
        rows = np.stack([window.xs(t, axis=1, level="ticker").to_numpy().ravel() for t in held])
        total.loc[held, held] += learn(all_pairs(squared_distances(rows), 40), ENSEMBLE.degree).matrix()
        looks.loc[held, held] += 1.0
    return total / looks.where(looks > 0, 1.0)


@pytest.mark.parametrize("era", [45, 50, 51, 56, 62, 71])
def test_an_eras_graph_equals_a_direct_computation(edges: pd.DataFrame, era: int) -> None:
    wanted = direct(history(), ERAS[era])

    of_era = edges[edges["era"] == era]
    found = pd.DataFrame(0.0, TICKERS, TICKERS)
    for edge in of_era.itertuples():
        found.loc[edge.source, edge.target] = found.loc[edge.target, edge.source] = edge.weight
    np.testing.assert_allclose(found, wanted, atol=1e-8)
    degree = found.sum()
    scaled = of_era["weight"] / np.sqrt(degree[of_era["source"]].to_numpy() * degree[of_era["target"]].to_numpy())
    np.testing.assert_allclose(of_era["normalised"], scaled, rtol=1e-12)


def test_who_is_a_node(edges: pd.DataFrame) -> None:
    nodes = edges.groupby("era")[["source", "target"]].apply(lambda of_era: {*of_era["source"], *of_era["target"]})

    assert min(nodes.index) == 45  # the week in which 30 days are there
    assert all("T01" in tickers for tickers in nodes)  # a holiday of five days
    assert [era for era in nodes.index if "T02" in nodes[era]] == [*range(45, 58), *range(65, 72)]
    assert min(era for era in nodes.index if "T03" in nodes[era]) == 55
    assert max(era for era in nodes.index if "T04" in nodes[era]) == 59


def test_certificates_are_stored(learned: DataFrame) -> None:
    table = learned.toPandas().set_index("era")

    assert table["look_back"].map(list)[50] == [30]
    assert table["look_back"].map(list)[51] == [30, 60]
    assert max(table["kkt"].map(max)) < 1e-9
    assert max(table["gap"].map(max)) < 1e-9
    assert table["nodes"].between(20, 30).all()
    degree = 2 * table["look_back_edges"].map(np.array) / table["look_back_nodes"].map(np.array)
    assert all((abs(found - 4) < 0.6).all() for found in degree)


def test_later_days_change_no_graph(spark: SparkSession, edges: pd.DataFrame) -> None:
    frame, last = history(), ERAS[57]
    poisoned = frame.copy()
    poisoned.loc[poisoned["date"] > last, list(NAMES)] = 1e6

    for changed in (frame[frame["date"] <= last], poisoned):
        found = sorted_edges(graphs(spark, changed))
        pd.testing.assert_frame_equal(
            found[found["era"] <= 57], edges[edges["era"] <= 57], check_exact=False, rtol=1e-9, atol=1e-12
        )


def test_an_era_alone_has_the_same_graph(spark: SparkSession, edges: pd.DataFrame) -> None:
    found = sorted_edges(graphs(spark, history(), {60: ERAS[60]}))

    wanted = edges[edges["era"] == 60].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted, check_exact=False, rtol=1e-9)


def test_network_momentum_is_the_normalised_matrix_times_momentum(spark: SparkSession, edges: pd.DataFrame) -> None:
    frame = history()
    rows = frame[frame["date"].isin([ERAS[60], ERAS[61]])].assign(era=lambda x: np.where(x["date"] == ERAS[60], 60, 61))
    rows.loc[(rows["era"] == 61) & (rows["ticker"] == "T07"), "ret_vol_1"] = np.nan
    at_eras = spark.createDataFrame(rows)

    # Era 61 uses the graph of era 60.
    network = network_momentum(at_eras, spark.createDataFrame(edges), {60: 60, 61: 60, 62: 62})
    ranked = at_eras.selectExpr("ticker", "date", "array(1.0f) AS ranked")
    found = with_network(ranked, network).toPandas().sort_values(["date", "ticker"])

    matrix = pd.DataFrame(0.0, TICKERS, TICKERS)
    for edge in edges[edges["era"] == 60].itertuples():
        matrix.loc[edge.source, edge.target] = matrix.loc[edge.target, edge.source] = edge.normalised
    for era in (60, 61):
        of_era = found[found["date"] == ERAS[era]]
        u = rows[rows["era"] == era].set_index("ticker")[list(NAMES)].reindex(TICKERS).fillna(0.0)
        wanted = (matrix @ u).where(matrix.sum() > 0)
        np.testing.assert_allclose(np.array([*of_era["network"]], dtype=float), wanted, atol=1e-12)
        assert np.isnan(wanted.loc["T04"]).all()
        np.testing.assert_allclose(
            np.array([*of_era["ranked"]], dtype=float)[:, 1:], wanted.astype("float32"), rtol=1e-6, atol=1e-9
        )
