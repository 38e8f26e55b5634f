"""What learned graphs over tickers look like: degrees, sectors, how they change from date to date, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.graphs.edges import Edges
from eraflow.graphs.layout import layout

SHUFFLES = 400  # of the sectors among the tickers: what chance gives
INTERVAL = (0.025, 0.975)
MOST_NODES = 300  # of a picture
MOST_EDGES = 1200
_MEASURES = "era int, nodes int, edges int, same_sector double, chance double, low double, high double"


@dataclass(frozen=True)
class Described:
    """Graphs of all dates in small frames.

    `by_era`: era, nodes, edges, same_sector (share of the edges), chance with low and high (95 % of random sectors),
    all four null without sectors, and kept (share of the edges of the graph before; null for the first). `nodes` and
    `edges` are of the last date: ticker, sector (null without sectors), degree; source, target, weight, heaviest first.
    `kkt`, `gap`: the largest of any graph.
    """

    by_era: pd.DataFrame
    nodes: pd.DataFrame
    edges: pd.DataFrame
    kkt: float
    gap: float


def described(graphs: DataFrame, edges: DataFrame, prices: DataFrame) -> Described | None:
    """The graphs of the tables `graphs`, `graph_edges` and `prices`; None where no era had history enough for one."""
    # A row a ticker: its newest sector.
    last = prices.groupBy("ticker").agg(F.max_by("sector", "date").alias("sector")).toPandas()
    several = last["sector"].nunique() > 1
    sectors: dict[str, str] = dict(zip(last["ticker"], last["sector"], strict=True)) if several else {}
    measures = edges.groupBy("era").applyInPandas(_measured(sectors), _MEASURES).toPandas()  # a row an era
    if measures.empty:
        return None
    measures = measures.sort_values("era", ignore_index=True)
    kept = kept_edges(edges, measures["era"].tolist()).toPandas().set_index("era")["kept"]  # a row an era
    before = measures["edges"].shift()
    by_era = measures.assign(kept=measures["era"].map(kept).fillna(0.0) / before)
    # The edges of one date.
    newest = edges.where(F.col("era") == int(measures["era"].max())).select("source", "target", "weight").toPandas()
    newest = newest.sort_values(["weight", "source", "target"], ascending=[False, True, True], ignore_index=True)
    degree = pd.concat([newest["source"], newest["target"]]).value_counts().sort_index()
    nodes = pd.DataFrame({"ticker": degree.index, "sector": degree.index.map(sectors.get), "degree": degree.to_numpy()})
    worst = graphs.agg(F.max(F.array_max("kkt")).alias("kkt"), F.max(F.array_max("gap")).alias("gap")).collect()[0]
    return Described(by_era, nodes, newest, worst["kkt"], worst["gap"])


def kept_edges(edges: DataFrame, eras: Sequence[int]) -> DataFrame:
    """`era, kept`: how many edges of an era's graph the graph before has too; `eras` are all that have one, sorted."""
    spark = edges.sparkSession
    after = F.broadcast(spark.createDataFrame(list(pairwise(eras)), "era int, later int"))
    earlier = edges.join(after, on="era", how="inner").select(F.col("later").alias("era"), "source", "target")
    both = edges.join(earlier, on=["era", "source", "target"], how="left_semi")
    return both.groupBy("era").agg(F.count("*").alias("kept"))


def drawn(nodes: pd.DataFrame, edges: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes with x and y, and edges with x1, y1, x2, y2: the MOST_NODES of the largest weight, their heaviest edges."""
    both = pd.concat([edges.set_index("source")["weight"], edges.set_index("target")["weight"]])
    chosen = both.groupby(level=0).sum().sort_values(ascending=False, kind="stable").index[:MOST_NODES]
    inner = edges[edges["source"].isin(chosen) & edges["target"].isin(chosen)].head(MOST_EDGES)
    names = pd.Index(sorted({*inner["source"], *inner["target"]}))
    pairs = Edges(len(names), names.get_indexer(inner["source"]), names.get_indexer(inner["target"]))
    place = layout(pairs, inner["weight"].to_numpy())
    shown = nodes.set_index("ticker").loc[names].rename_axis("ticker").reset_index()
    ends = {f"{axis}{end}": place[at, way] for end, at in (("1", pairs.first), ("2", pairs.second))
            for way, axis in enumerate("xy")}  # fmt: skip
    return shown.assign(x=place[:, 0], y=place[:, 1]), inner.assign(**ends).reset_index(drop=True)


def _measured(sectors: Mapping[str, str]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def make(edges: pd.DataFrame) -> pd.DataFrame:
        tickers = pd.Index(sorted({*edges["source"], *edges["target"]}))
        one, other = tickers.get_indexer(edges["source"]), tickers.get_indexer(edges["target"])
        era = int(edges["era"].iloc[0])
        shares: Sequence[float | None] = [None] * 4
        if sectors:
            label, _ = pd.factorize(tickers.map(sectors.__getitem__))
            shares = _sector_shares(label.astype(np.int16), one, other, era)
        row = (era, len(tickers), len(edges), *shares)
        return pd.DataFrame([row], columns=[field.split()[0] for field in _MEASURES.split(", ")])

    return make


def _sector_shares(label: np.ndarray, one: np.ndarray, other: np.ndarray, seed: int) -> list[float]:
    """Share of edges within a sector, what it is expected to be by chance, and the interval of chance."""
    sizes = np.bincount(label).astype(np.float64)
    expected = (sizes * (sizes - 1.0)).sum() / (len(label) * (len(label) - 1.0))
    random = np.random.default_rng(seed)
    shuffled = random.permuted(np.tile(label, (SHUFFLES, 1)), axis=1)
    by_chance = [float((labels[one] == labels[other]).mean()) for labels in shuffled]
    return [float((label[one] == label[other]).mean()), float(expected), *map(float, np.quantile(by_chance, INTERVAL))]


def shapes(edges: DataFrame) -> pd.DataFrame:
    """`era, degree, kept` of all graphs: the mean degree of a node, and the share of edges that the graph before has.

    `kept` is NaN of the first. A row an era comes to the driver.
    """
    ends = edges.select("era", F.explode(F.array("source", "target")).alias("node"))
    nodes = ends.groupBy("era").agg(F.countDistinct("node").alias("nodes"))
    counts = edges.groupBy("era").agg(F.count("*").alias("edges")).join(nodes, on="era", how="inner")
    found = counts.toPandas().sort_values("era", ignore_index=True)
    kept = kept_edges(edges, found["era"].tolist()).toPandas().set_index("era")["kept"]
    share = found["era"].map(kept).fillna(0.0) / found["edges"].shift()
    return found.assign(degree=2 * found["edges"] / found["nodes"], kept=share)[["era", "degree", "kept"]]
