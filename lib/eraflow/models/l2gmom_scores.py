"""A learned graph over tickers below a linear head that has been trained, and how Spark's workers predict by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.models.levels import Levels, Vector
from eraflow.models.member import Follower
from eraflow.models.panel import Panel, panel
from eraflow.models.sequence_scores import PREDICTED, held, nothing, scored, ticker
from eraflow.models.trained_network import TrainedNetwork

BLOCK = 26  # eras that one worker scores; it reads `length` more


@dataclass(frozen=True)
class L2gmomScores(TrainedNetwork, Follower):
    """Its shape is length, degree, layers, shared and graph."""

    reads_whole_eras = True

    @property
    def weeks(self) -> int:
        return int(self.made["length"])

    def scores(self, windows: Levels, missing: int) -> Vector:
        import torch

        count, length, width = windows.shape
        names = tuple(str(number) for number in range(count))
        unknown = np.full((count, length), np.nan, dtype=np.float32)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # a worker is one of many
        try:
            data = Panel(names, range(length), windows, unknown, missing)
            return self._of_era(self._network(width), data, length - 1)
        finally:
            torch.set_num_threads(threads)

    def _network(self, features: int) -> Any:
        import torch

        from eraflow.models.unrolled import L2gmomNetwork

        made = self.made
        network = L2gmomNetwork(features, made["layers"], made["shared"], made["graph"])
        network.load_state_dict({name: torch.from_numpy(value) for name, value in self.state.items()})
        return network

    def _of_era(self, network: Any, data: Panel, era: int) -> Vector:
        """The score of each of the panel's tickers in the era."""
        from eraflow.models.l2gmom_training import scored as scores_of

        scores = np.full(len(data.tickers), network.head.bias.item())
        nodes, found = scores_of(network, data, era, self.weeks, self.made["degree"])
        scores[nodes] = found
        return scores

    def predict(self, rows: DataFrame, history: DataFrame, width: int, missing: int) -> DataFrame:
        """`id, era, prediction` of the rows' eras, from the graph over all tickers that `history` has in each of them.

        A ticker of which nothing is known in the era scores what one without neighbours does.
        """
        wanted = sorted(row["era"] for row in rows.select("era").distinct().collect())  # one row an era
        if not wanted:
            return nothing(rows)
        blocks = {era: (era - wanted[0]) // BLOCK for era in wanted}
        length = int(self.made["length"])
        read = sorted({(era - back, block) for era, block in blocks.items() for back in range(length)})
        by_era = rows.sparkSession.createDataFrame(read, "era int, block int")  # at most `length` rows an era
        past = history.where(F.col("era").between(read[0][0], wanted[-1]))
        columns = past.select("id", ticker().alias("ticker"), "era", "features")
        joined = columns.join(F.broadcast(by_era), on="era", how="inner").select(
            "block", "era", *columns.drop("era").columns
        )
        parts = joined.repartition(len(set(blocks.values())), "block")
        return parts.mapInArrow(self._scored(blocks, width, missing), PREDICTED)

    def _scored(self, blocks: Mapping[int, int], width: int, missing: int) -> Any:
        """What a worker does with all rows of its blocks."""
        length = self.weeks

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            every = held(batches)
            if every is None:
                return
            import torch

            torch.set_num_threads(1)
            network = self._network(width)
            for block in pc.unique(every.column("block")).to_pylist():
                rows = every.filter(pc.equal(every.column("block"), block))
                eras = [era for era, its_block in blocks.items() if its_block == block]
                data = panel(rows, range(eras[0] - length + 1, eras[-1] + 1), width, missing)
                for era in eras:
                    of_era = rows.filter(pc.equal(rows.column("era"), era))
                    if len(of_era):
                        scores = self._of_era(network, data, era)
                        at = pc.index_in(of_era.column("ticker"), pa.array(data.tickers)).to_numpy()
                        yield scored(of_era, era, scores[at])

        return make
