"""A Transformer over the features of a row: each feature's level is a token, and what they say together is a score.

It follows no row through time, so that it learns from any table, Numerai Classic's too. Its loss is that of the
sequence models, minus the mean correlation of an era, and it is trained as they are (`eraflow.models.sequence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.config.models import Tokens
from eraflow.models import network_files
from eraflow.models.base import Training
from eraflow.models.era_rows import categories, matrix
from eraflow.models.sequence import (
    PREDICTED,
    SHARDS,
    check_trainable,
    check_written,
    settings_of,
    trained,
    working_folder,
)


@dataclass(frozen=True)
class TokensModel:
    """A network on the levels of one row, with a loss of minus the mean correlation of an era."""

    config: Tokens
    seed: int
    work: Path | None = None  # see `working_folder`

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> FittedTokens:
        """Fits on the rows of `eras` with a known target; the weights of the best epoch by `watched` eras are kept.

        Without these all epochs are trained. InputError without torch, or where no row has a known target.
        """
        check_trainable(self.config.kind, training, (eras, watched))
        with working_folder(self.work) as work:
            rows = work / "rows"
            _write_rows(training, [*eras, *watched], rows)
            check_written(self.config.kind, rows)
            settings = settings_of(self.config, self.seed, training, eras, watched)
            found = trained(settings | {"folder": str(rows), "first": eras[0], "length": 1}, training)
        made = {"kind": self.config.kind, "target": training.target, "epoch": found["epoch"]}
        shape = self.config.model_dump(include={"width", "layers"})
        return FittedTokens(training.feature_names, training.missing, made | shape, found["state"])


@dataclass(frozen=True)
class FittedTokens:
    """A trained network. `made`: kind, target, width, layers, and the epoch whose weights these are."""

    feature_names: tuple[str, ...]
    missing: int
    made: Mapping[str, Any]
    state: Mapping[str, npt.NDArray[np.float32]]

    @property
    def target(self) -> str:
        return str(self.made["target"])

    def predict(self, rows: DataFrame) -> DataFrame:
        """`id, era, prediction` of every row."""
        return rows.select("id", "era", "features").mapInArrow(self._scored(), PREDICTED)

    def _scored(self) -> Any:
        """What a worker does with a batch of rows."""
        made, state, missing, width = dict(self.made), dict(self.state), self.missing, len(self.feature_names)

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            import torch

            from eraflow.models.networks import NETWORKS

            torch.set_num_threads(1)
            network = NETWORKS[made["kind"]](width, 1, made["width"], made["layers"])
            network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
            for batch in batches:
                with torch.no_grad():
                    scores = network(torch.from_numpy(categories(matrix(batch, width), missing)))
                columns = [batch.column("id"), batch.column("era"), pa.array(scores.double().numpy())]
                yield pa.RecordBatch.from_arrays(columns, ["id", "era", "prediction"])

        return make

    def save(self, folder: Path) -> None:
        network_files.save(folder, self.made, self.feature_names, self.missing, self.state)

    @classmethod
    def load(cls, folder: Path, training: Training) -> FittedTokens:
        """The model that `save` wrote."""
        return cls(*network_files.load(folder, training))


def _write_rows(training: Training, labelled: Sequence[int], folder: Path) -> None:
    """`shard=N/*.parquet` of `era, features, target`: the rows to learn from, in the order of their eras and ids."""
    rows = training.labelled(labelled).select("id", "era", "features", F.col(training.target).alias("target"))
    sharded = rows.withColumn("shard", F.pmod(F.xxhash64("id"), F.lit(SHARDS)))
    ordered = sharded.repartition("shard").sortWithinPartitions("shard", "era", "id")
    ordered.drop("id").write.partitionBy("shard").mode("overwrite").parquet(folder.as_uri())
