"""Learned networks on the page: what is told with and without sectors, and where nodes are drawn."""

import dataclasses
import datetime
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from tests.unit.test_reporting import a_report, refuse_invalid, text_of

from eraflow.graphs.described import drawn
from eraflow.graphs.edges import Edges
from eraflow.graphs.layout import layout
from eraflow.reporting import Page, Section, feature_graphs_section, network_section

DATES = {era: datetime.date(2020, 1, 3) + datetime.timedelta(weeks=era) for era in range(1, 13)}


def a_graph(sectors: int, size: int = 8) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes and edges: every pair within a sector, and one edge between neighbouring sectors."""
    names = [[f"T{sector}{place:02}" for place in range(size)] for sector in range(sectors)]
    rows = [
        (one, other, 1.0 + place / 100) for group in names for place, (one, other) in enumerate(combinations(group, 2))
    ]
    rows += [(low[0], high[1], 0.1) for low, high in pairwise(names)]
    edges = pd.DataFrame(rows, columns=["source", "target", "weight"])
    edges = edges.sort_values("weight", ascending=False, kind="stable")
    degree = pd.concat([edges["source"], edges["target"]]).value_counts().sort_index()
    sector = [f"sector {ticker[1:-2]}" for ticker in degree.index]
    nodes = pd.DataFrame({"ticker": degree.index, "sector": sector, "degree": degree.to_numpy()})
    return nodes, edges.reset_index(drop=True)


def a_section(sectors: int = 3, has_sectors: bool = True, size: int = 8) -> Section:
    nodes, edges = a_graph(sectors, size)
    by_era = pd.DataFrame({"era": list(DATES), "nodes": 24, "edges": 90, "same_sector": 0.5, "chance": 0.3})
    by_era = by_era.assign(low=0.25, high=0.35, kept=np.where(by_era["era"] == 1, np.nan, 0.9))
    if not has_sectors:
        nodes["sector"] = None
        by_era[["same_sector", "chance", "low", "high"]] = np.nan
    return network_section(by_era, nodes, edges, drawn(nodes, edges), (2e-14, 3e-13), DATES)


def test_sectors_stability_degrees_and_the_strongest_edges_are_told() -> None:
    content = dataclasses.replace(a_report(), sections=(a_section(),))
    page = Page(content)
    words, written = text_of(page.html()), dict(page.files())
    refuse_invalid(*content.sections)

    assert "12 graphs up to era 12 (2020-03-27); the last joins 24 tickers by 90 edges, 7.5 at a ticker." in words
    assert "KKT residual of 2e-14 and a relative duality gap of 3e-13" in words
    assert "50.0 % on average, and 30.0 % if sectors were dealt at random" in words
    assert "next graph has too: 90.0 % on average. Rests on 11 pairs of graphs." in words
    assert "Strongest edges of the last date Ticker Neighbour Sectors Weight T006 T007 sector 0 1.2700" in words
    for key in ("network-sectors", "network-overlap", "network-degrees", "network-graph"):
        assert written[f"figures/{key}.svg"].startswith(b"<svg")
    bins = written["frames/network-degrees.csv"].decode().splitlines()
    assert bins[0] == "low,high,tickers,mean,graph"
    assert [line.split(",")[2] for line in bins[1:]] == ["20", "4"]  # within a sector, and with one edge more
    assert written["frames/network-graph.csv"].decode().startswith("ticker,sector,degree,x,y,kind,source,target,weight")


def test_without_sectors_the_section_leaves_them_out() -> None:
    section = a_section(has_sectors=False)

    assert [figure.key for figure in section.figures] == ["network-overlap", "network-degrees", "network-graph"]
    assert [cell.text for cell in section.tables[0].columns] == ["Ticker", "Neighbour", "Weight"]
    assert section.figures[-1].legend == ()
    assert "The graph" in text_of(Page(dataclasses.replace(a_report(), sections=(section,))).html())


def test_more_sectors_than_colours_are_told_apart_by_shape() -> None:
    labels = [entry.label for entry in a_section(sectors=10).figures[-1].legend]

    assert labels == [*(f"sector {place}" for place in range(8)), "sector 8 (square)", "sector 9 (square)"]


def test_what_is_joined_is_drawn_near_and_the_same_each_time() -> None:
    nodes, edges = a_graph(4)
    shown, ends = drawn(nodes, edges)
    again, _ = drawn(nodes, edges.iloc[::-1])

    place = shown.set_index("ticker")[["x", "y"]]
    groups = place.groupby(shown.set_index("ticker")["sector"])
    within = np.sqrt(((place - groups.transform("mean")) ** 2).sum(axis=1)).mean()
    between = np.sqrt(((groups.mean() - groups.mean().mean()) ** 2).sum(axis=1)).mean()
    assert within < 0.5 * between
    assert shown[["x", "y"]].abs().to_numpy().max() == pytest.approx(1.0)
    pd.testing.assert_frame_equal(shown, again, atol=1e-6)
    first = ends.iloc[0]
    assert (first["x1"], first["y1"]) == tuple(place.loc[first["source"]])
    assert (first["x2"], first["y2"]) == tuple(place.loc[first["target"]])


@pytest.mark.parametrize("nodes", [2, 3, 4, 6])
def test_small_graphs_and_separate_parts_have_a_place(nodes: int) -> None:
    pairs = np.arange(nodes // 2)
    edges = Edges(nodes, 2 * pairs, 2 * pairs + 1) if nodes != 3 else Edges(3, np.array([0, 1]), np.array([1, 2]))

    place = layout(edges, np.ones(len(edges)))

    assert np.isfinite(place).all()
    assert len({tuple(point) for point in place.round(3)}) == nodes


def test_graphs_over_features_are_told_by_model() -> None:
    edges = pd.DataFrame([("f1", "f2", 0.5), ("f2", "f3", 0.25)], columns=["source", "target", "weight"])
    section = feature_graphs_section({"gbm": edges, "ridge": edges.iloc[:1]})

    words = text_of(Page(dataclasses.replace(a_report(), sections=(section,))).html())

    assert "Strongest edges Feature Neighbour Weight gbm f1 f2 0.5000 f2 f3 0.2500 ridge f1 f2 0.5000" in words
    assert section.figures[0].frame["features"].tolist() == [2, 1, 2]


def test_what_another_processor_rounds_moves_no_node() -> None:
    draw = np.random.default_rng(3)
    first, second = np.triu_indices(40, 1)
    chosen = draw.random(len(first)) < 0.12
    edges = Edges(40, first[chosen].astype(np.int32), second[chosen].astype(np.int32))
    weights = draw.uniform(0.1, 1.0, len(edges))

    elsewhere = weights * (1.0 + draw.choice([-1e-14, 1e-14], len(edges)))

    np.testing.assert_allclose(layout(edges, elsewhere), layout(edges, weights), atol=1e-6)
