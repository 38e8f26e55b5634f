"""A Transformer over the features of a row: each feature's level is a token, and what they say together is a score.

It follows no row through time, so that it learns from any table, Numerai Classic's too. Its loss is that of the
sequence models, minus the mean correlation of an era, and it is trained as they are (`eraflow.models.sequence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyspark.sql import functions as F

from eraflow.config.models import Tokens
from eraflow.models.base import Training
from eraflow.models.sequence import SHARDS, check_trainable, check_written, settings_of, trained, working_folder
from eraflow.models.tokens_scores import TokensScores


@dataclass(frozen=True)
class TokensModel:
    """A network on the levels of one row, with a loss of minus the mean correlation of an era."""

    config: Tokens
    seed: int
    work: Path | None = None  # see `working_folder`

    def lasting(self, epochs: int) -> TokensModel:
        """The same for so many epochs, with a working folder of its own."""
        work = self.work and self.work.with_name(f"{self.work.name}-whole")
        return replace(self, config=self.config.model_copy(update={"epochs": epochs}), work=work)

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> TokensScores:
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
        made = self.config.model_dump(include={"kind", "width", "layers"}) | {"epoch": found["epoch"]}
        return TokensScores(made, found["state"])


def _write_rows(training: Training, labelled: Sequence[int], folder: Path) -> None:
    """`shard=N/*.parquet` of `era, features, target`: the rows to learn from, in the order of their eras and ids."""
    rows = training.labelled(labelled).select("id", "era", "features", F.col(training.target).alias("target"))
    sharded = rows.withColumn("shard", F.pmod(F.xxhash64("id"), F.lit(SHARDS)))
    ordered = sharded.repartition("shard").sortWithinPartitions("shard", "era", "id")
    ordered.drop("id").write.partitionBy("shard").mode("overwrite").parquet(folder.as_uri())
