"""A network over a ticker's last weeks that has been trained, and how Spark's workers predict by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.models.levels import Levels, Vector
from eraflow.models.member import Follower
from eraflow.models.panel import panel, scaled, with_presence
from eraflow.models.trained_network import TrainedNetwork

DATED_ID = r"^(.+)_\d{4}-\d{2}-\d{2}$"  # TICKER_YYYY-MM-DD: only such a row can be followed through time
PREDICTED = "id string, era int, prediction double"
NAMES = ["id", "era", "prediction"]


@dataclass(frozen=True)
class SequenceScores(TrainedNetwork, Follower):
    """Its shape is length, width and layers."""

    reads_whole_eras = False

    @property
    def weeks(self) -> int:
        return int(self.made["length"])

    def scores(self, windows: Levels, missing: int) -> Vector:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # a worker is one of many
        try:
            with torch.no_grad():
                found = self._network(windows.shape[2])(torch.from_numpy(with_presence(*scaled(windows, missing))))
                return np.asarray(found.double().numpy())
        finally:
            torch.set_num_threads(threads)

    def _network(self, features: int) -> Any:
        import torch

        from eraflow.models.networks import NETWORKS

        made = self.made
        network = NETWORKS[made["kind"]](features, made["length"], made["width"], made["layers"])
        network.load_state_dict({name: torch.from_numpy(value) for name, value in self.state.items()})
        return network

    def predict(self, rows: DataFrame, history: DataFrame, width: int, missing: int) -> DataFrame:
        """`id, era, prediction` of the rows' eras, from the weeks that `history` has up to the row's own."""
        # One row.
        seen = rows.agg(F.min("era").alias("first"), F.max("era").alias("last")).collect()[0]
        if seen["first"] is None:
            return nothing(rows)
        wanted = range(seen["first"], seen["last"] + 1)
        eras = range(wanted.start - int(self.made["length"]) + 1, wanted.stop)
        past = history.where(F.col("era").between(eras.start, eras.stop - 1))
        columns = past.select("id", ticker().alias("ticker"), "era", "features")
        return columns.repartition("ticker").mapInArrow(self._scored(eras, wanted, width, missing), PREDICTED)

    def _scored(self, eras: range, wanted: range, width: int, missing: int) -> Any:
        """What a worker does with all rows of its tickers."""
        length = self.weeks

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            rows = held(batches)
            if rows is None:
                return
            import torch

            torch.set_num_threads(1)
            network = self._network(width)
            data = panel(rows, eras, width, missing)
            place = {ticker: at for at, ticker in enumerate(data.tickers)}
            for era in wanted:
                of_era = rows.filter(pa.array(rows.column("era").to_numpy() == era))
                if len(of_era):
                    at = np.array([place[ticker] for ticker in of_era.column("ticker").to_pylist()])
                    with torch.no_grad():
                        scores = network(torch.from_numpy(data.windows(era, length, at)))
                    yield scored(of_era, era, scores.double().numpy())

        return make


def ticker() -> Column:
    """The ticker of the row; empty where the id is none of TICKER_YYYY-MM-DD."""
    return F.regexp_extract("id", DATED_ID, 1)


def nothing(rows: DataFrame) -> DataFrame:
    """Predictions of no rows."""
    return rows.select("id", "era", F.lit(None).cast("double").alias("prediction"))


def held(batches: Iterable[pa.RecordBatch]) -> pa.Table | None:
    """All rows of a worker in the order of their ids, since a sum's rounding may depend on its place; None of none."""
    some = [batch for batch in batches if len(batch)]
    rows = pa.Table.from_batches(some) if some else None
    return rows and rows.take(pc.sort_indices(rows.column("id")))


def scored(rows: pa.Table, era: int, scores: np.ndarray) -> pa.RecordBatch:
    """`id, era, prediction` of one era's rows."""
    columns = [rows.column("id").combine_chunks(), pa.array(np.full(len(rows), era, np.int32)), pa.array(scores)]
    return pa.RecordBatch.from_arrays(columns, NAMES)
