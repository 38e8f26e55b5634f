"""Graphs over assets and the momentum of neighbours, over Spark: blocks of eras side by side, each with its history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.features.feature import Feature, Output, unscaled
from eraflow.features.series import Input
from eraflow.features.sets import EXPOSURES, MOMENTUM, columns, families
from eraflow.graphs.edges import Edges
from eraflow.graphs.history import LONGEST_GAP, Ensemble, EraGraph, History

NAMES = tuple(columns(MOMENTUM))
ERAS = 52  # in a block: a longer one ships less history twice, a shorter one fits more slots

GRAPHS = (
    "era int, era_block int, date date, nodes int, look_back array<int>, look_back_nodes array<int>, "
    "look_back_edges array<int>, theta array<double>, objective array<double>, kkt array<double>, gap array<double>, "
    "covered array<double>, source array<string>, target array<string>, weight array<double>, normalised array<double>"
)
EDGES = ("source", "target", "weight", "normalised")


@dataclass(frozen=True)
class NetworkMomentum(Feature):
    """ũ = Ã u: of a momentum feature the sum over a ticker's neighbours, by the normalised weights of their edges."""

    of: str
    family: ClassVar[str] = "network"

    @property
    def name(self) -> str:
        return f"net_{self.of}"

    @property
    def meaning(self) -> str:
        return f"Mean of the neighbours' {self.of} in the learned network, by normalised weights"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{self.name: Input(self.name)})


NETWORK: tuple[Feature, ...] = tuple(NetworkMomentum(name) for name in NAMES)


def history(daily: DataFrame, prices: DataFrame, features: Sequence[Feature], *others: str) -> DataFrame:
    """`others, ticker, date, member` and NAMES of days that are not masked; `daily` holds these `features`."""
    days = prices.where(~F.coalesce("masked", F.lit(False))).select("ticker", "date", "member")
    places = families([*features, *EXPOSURES])["momentum"]
    momentum = [F.get("momentum", F.lit(places.index(name))).alias(name) for name in NAMES]
    joined = daily.join(days, on=["ticker", "date"], how="inner")
    return joined.select(*others, "ticker", "date", "member", *momentum)


def from_era(rows: DataFrame, first: int) -> DataFrame:
    """The rows of this era and of later ones."""
    return rows.where(F.col("era") >= first)


def learned_graphs(
    history: DataFrame, tickers: Sequence[str], days: Sequence[date], eras: Mapping[int, date], ensemble: Ensemble,
    era_block: int,
) -> DataFrame:  # fmt: skip
    """One row an era whose history is long enough: certificates by look-back, and the edges of the mean graph (GRAPHS).

    `history`: `ticker, date, member` and a column for each of NAMES, null where not known; `tickers` all of its
    tickers, sorted. `days` are all trading days, ascending; `eras` those to learn a graph for, with their dates. What
    comes after an era's date is not read. A block of eras is one group with the days that its longest look-back
    reaches: nodes x (days of ERAS weeks + look-back) x 8 doubles in one worker's memory.
    """
    spark = history.sparkSession
    reach = max(ensemble.look_backs) + LONGEST_GAP
    place = {day: at for at, day in enumerate(days)}
    blocks: dict[int, list[tuple[int, int]]] = {}
    for era, day in sorted(eras.items()):
        blocks.setdefault(era // ERAS, []).append((era, place[day]))
    held = [
        (days[at], at, block)
        for block, members in blocks.items()
        for at in range(max(0, members[0][1] - reach + 1), members[-1][1] + 1)
    ]
    # Both are small: a row a ticker, and a row a day for each block that reads it.
    numbers = spark.createDataFrame(list(enumerate(tickers)), "node int, ticker string")
    by_day = spark.createDataFrame(held, "date date, day int, block int")
    rows = (
        history.where(F.col("date") >= F.lit(min(held)[0]))
        .join(F.broadcast(numbers), on="ticker", how="inner")
        .join(F.broadcast(by_day), on="date", how="inner")
        .select("block", "node", "day", "member", *(F.col(name).cast("float").alias(name) for name in NAMES))
    )
    # A number of partitions of its own: adaptive execution would join small blocks into one task, however long it runs.
    spread = rows.repartition(3 * len(blocks), "block")
    make = _block_graphs(list(tickers), list(days), blocks, ensemble, era_block)
    return spread.groupBy("block").applyInPandas(make, GRAPHS)


def graph_edges(graphs: DataFrame) -> DataFrame:
    """`era, era_block, source, target, weight, normalised`: one row an edge, each once, source before target."""
    zipped = F.explode(F.arrays_zip(*EDGES)).alias("edge")
    return graphs.select("era", "era_block", zipped).select("era", "era_block", "edge.*")


def network_momentum(at_eras: DataFrame, edges: DataFrame, graph_of: Mapping[int, int]) -> DataFrame:
    """`era, ticker, date, network array<double>`: ũ of NAMES for the rows at eras whose ticker is in the graph.

    `at_eras`: `era, ticker, date` and NAMES, where an unknown value counts as 0, the middle. `graph_of`: era -> the era
    whose graph is used.
    """
    spark = at_eras.sparkSession
    used = spark.createDataFrame(list(graph_of.items()), "used_by int, era int")  # one row an era
    theirs = edges.join(F.broadcast(used), on="era", how="inner").select(
        F.col("used_by").alias("era"), "source", "target", "normalised"
    )
    both = at_eras.select("era", "ticker", "date", *NAMES).groupBy("era").cogroup(theirs.groupBy("era"))
    network: DataFrame = both.applyInPandas(_neighbours, "era int, ticker string, date date, network array<double>")
    return network


def with_network(daily: DataFrame, network: DataFrame) -> DataFrame:
    """Daily features at eras whose `ranked` also holds network momentum, at its end, and `network` itself.

    Where `daily` names no era, a day is of one era only.
    """
    if "era" not in daily.columns:
        network = network.drop("era")
    joined = daily.join(network, on=[*network.columns[:-1]], how="left")
    missing = F.array_repeat(F.lit(None).cast("double"), len(NAMES))
    filled = F.coalesce("network", missing)
    return joined.withColumns({"ranked": F.concat("ranked", filled.cast("array<float>")), "network": filled})


def _block_graphs(
    tickers: Sequence[str],
    days: Sequence[date],
    blocks: Mapping[int, Sequence[tuple[int, int]]],
    ensemble: Ensemble,
    era_block: int,
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    names = np.array(tickers, dtype=object)

    def make(rows: pd.DataFrame) -> pd.DataFrame:
        first = int(rows["day"].min())
        nodes, node = np.unique(rows["node"].to_numpy(), return_inverse=True)
        shape = (len(nodes), int(rows["day"].max()) - first + 1)
        values, members = np.full((*shape, len(NAMES)), np.nan), np.zeros(shape, dtype=bool)
        at = (node, rows["day"].to_numpy() - first)
        for feature, name in enumerate(NAMES):
            values[(*at, feature)] = rows[name].to_numpy()
        members[at] = rows["member"].to_numpy()
        history = History.of(values, members)
        out = [
            _row(era, era // era_block, days[day], graph, names[nodes])
            for era, day in blocks[int(rows["block"].iloc[0])]
            if 0 <= day - first < shape[1] and (graph := history.graph(day - first, ensemble))
        ]
        return pd.DataFrame(out, columns=[field.split()[0] for field in GRAPHS.split(", ")])

    return make


def _row(era: int, block: int, day: date, graph: EraGraph, names: npt.NDArray[np.object_]) -> tuple[object, ...]:
    parts = list(graph.graphs.values())
    certificates = [[getattr(part.certificate, name) for part in parts] for name in ("objective", "kkt", "gap")]
    return (
        era, block, day, max(part.edges.nodes for part in parts),
        list(graph.graphs), [part.edges.nodes for part in parts], [len(part.edges) for part in parts],
        [part.theta for part in parts], *certificates, [part.covered for part in parts],
        names[graph.edges.first], names[graph.edges.second], graph.weights, graph.normalised,
    )  # fmt: skip


def _neighbours(mine: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    if mine.empty or edges.empty:
        return pd.DataFrame(columns=["era", "ticker", "date", "network"], dtype=object)
    mine = mine.sort_values("ticker", ignore_index=True)
    nodes = pd.Index(sorted({*edges["source"], *edges["target"]}))
    edges = edges.sort_values(["source", "target"])
    pairs = Edges(len(nodes), nodes.get_indexer(edges["source"]), nodes.get_indexer(edges["target"]))
    values = np.zeros((len(nodes), len(NAMES)))
    place = nodes.get_indexer(mine["ticker"])
    in_graph = place >= 0
    values[place[in_graph]] = np.nan_to_num(mine.loc[in_graph, list(NAMES)].to_numpy(dtype=np.float64))
    found = pairs.matrix(edges["normalised"].to_numpy()) @ values
    kept: pd.DataFrame = mine.loc[in_graph, ["era", "ticker", "date"]]
    return kept.assign(network=list(found[place[in_graph]]))
