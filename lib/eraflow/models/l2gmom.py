"""L2GMOM: a graph over an era's tickers, learned from their last weeks, below a linear head (arXiv 2308.12212).

A ticker's score is made of its neighbours' features. The graph learner and the head are trained together by torch, an
extra: without it a fit says what to install. Memory and time follow an era's candidate edges, at most n x 10 x `degree`
for n tickers, and training has one era's graph at a time: an era of 7,000 tickers with 10 layers takes .9 GB and .4
seconds a pass. What is known of its candidates lies in a temporary folder: 9 MB an era of 7,000 tickers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.config.models import L2gmom, Model
from eraflow.models import network_files
from eraflow.models.base import Training
from eraflow.models.panel import Panel, panel, read_shards
from eraflow.models.sequence import (
    PREDICTED,
    SHARDS,
    check_trainable,
    check_written,
    ticker,
    working_folder,
    write_shards,
)

BLOCK = 26  # eras that one worker scores; it reads `length` more


@dataclass(frozen=True)
class L2gmomModel:
    """A learned graph and a linear head, trained to raise the mean correlation of an era or the Sharpe ratio."""

    config: L2gmom
    seed: int
    work: Path | None = None  # see `working_folder`

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> FittedL2gmom:
        """Fits on the rows of `eras` with a known target; the weights of the best epoch by `watched` eras are kept.

        Without these all epochs are trained. InputError without torch, or where no row has a known target. The panel of
        tickers x eras x features, a byte each, is held on the driver, the candidates of all eras in a folder that goes.
        """
        check_trainable(self.config.kind, training, (eras, watched))
        with working_folder(self.work) as work:
            rows, first = work / "rows", eras[0] - self.config.length + 1
            write_shards(training, [*eras, *watched], first, rows)
            check_written(self.config.kind, rows)
            span = range(first, max([*eras, *watched]) + 1)
            features = len(training.feature_names)
            data = read_shards(rows, range(SHARDS), span, features, training.missing)
            weights = tuple(training.weights(eras).values())
            found = self._trained(data, eras, weights, watched, str(work))
        made = {"kind": self.config.kind, "target": training.target, "epoch": found["epoch"]}
        shape = self.config.model_dump(include={"length", "degree", "layers", "shared", "graph"})
        return FittedL2gmom(training.table, training.feature_names, training.missing, made | shape, found["state"])

    def _trained(
        self, data: Panel, eras: Sequence[int], weights: tuple[float, ...], watched: Sequence[int], folder: str
    ) -> dict[str, Any]:
        from eraflow.models.l2gmom_training import Task, train

        settings = self.config.model_dump(exclude={"kind", "early_stopping_eras", *Model.model_fields})
        settings["patience"] = settings.pop("early_stopping_epochs")
        task = Task(folder, train=tuple(eras), weights=weights, stop=tuple(watched), seed=self.seed, **settings)
        return train(task, data)


@dataclass(frozen=True)
class FittedL2gmom:
    """A trained learner and head; `table` holds all tickers of the eras that it is asked for, and the weeks before.

    `made`: kind, target, length, degree, layers, shared, graph, and the epoch whose weights these are.
    """

    table: DataFrame
    feature_names: tuple[str, ...]
    missing: int
    made: Mapping[str, Any]
    state: Mapping[str, npt.NDArray[np.float32]]

    @property
    def target(self) -> str:
        return str(self.made["target"])

    def predict(self, rows: DataFrame) -> DataFrame:
        """`id, era, prediction` of every row, from the graph over all tickers that `table` has in the row's era.

        A ticker of which nothing is known in the era scores what one without neighbours does.
        """
        wanted = sorted(row["era"] for row in rows.select("era").distinct().collect())  # one row an era
        if not wanted:
            return rows.select("id", "era", F.lit(None).cast("double").alias("prediction"))
        blocks = {era: (era - wanted[0]) // BLOCK for era in wanted}
        length = int(self.made["length"])
        read = sorted({(era - back, block) for era, block in blocks.items() for back in range(length)})
        by_era = rows.sparkSession.createDataFrame(read, "era int, block int")  # at most `length` rows an era
        history = self.table.where(F.col("era").between(read[0][0], wanted[-1]))
        columns = history.select("id", ticker().alias("ticker"), "era", "features")
        joined = columns.join(F.broadcast(by_era), on="era", how="inner").select(
            "block", "era", *columns.drop("era").columns
        )
        count = len(set(blocks.values()))
        predicted = joined.repartition(count, "block").mapInArrow(self._scored(blocks), PREDICTED)
        return predicted.join(rows.select("id"), on="id", how="left_semi")

    def _scored(self, blocks: Mapping[int, int]) -> Any:
        """What a worker does with all rows of its blocks."""
        made, state, missing, width = dict(self.made), dict(self.state), self.missing, len(self.feature_names)

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            held = [batch for batch in batches if len(batch)]
            if not held:
                return
            every = pa.Table.from_batches(held)
            import torch

            from eraflow.models.l2gmom_training import scored
            from eraflow.models.unrolled import L2gmomNetwork

            torch.set_num_threads(1)
            network = L2gmomNetwork(width, made["layers"], made["shared"], made["graph"])
            network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
            for block in pc.unique(every.column("block")).to_pylist():
                rows = every.filter(pc.equal(every.column("block"), block))
                eras = [era for era, own in blocks.items() if own == block]
                data = panel(rows, range(eras[0] - made["length"] + 1, eras[-1] + 1), width, missing)
                for era in eras:
                    own = rows.filter(pc.equal(rows.column("era"), era))
                    if len(own):
                        scores = np.full(len(data.tickers), network.head.bias.item())
                        nodes, found = scored(network, data, era, made["length"], made["degree"])
                        scores[nodes] = found
                        at = pc.index_in(own.column("ticker"), pa.array(data.tickers)).to_numpy()
                        columns = [own.column("id").combine_chunks(), pa.array(np.full(len(own), era, np.int32))]
                        yield pa.RecordBatch.from_arrays([*columns, pa.array(scores[at])], names)

        names = ["id", "era", "prediction"]
        return make

    def save(self, folder: Path) -> None:
        network_files.save(folder, self.made, self.feature_names, self.missing, self.state)

    @classmethod
    def load(cls, folder: Path, training: Training) -> FittedL2gmom:
        """The model that `save` wrote, to predict rows of this training table."""
        return cls(training.table, *network_files.load(folder, training))
