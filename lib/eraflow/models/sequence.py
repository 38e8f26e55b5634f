"""LSTM and Transformer over the last weeks of a ticker's features, trained by TorchDistributor on this machine's slots.

Spark writes the tickers' histories as shards; each process reads its own (`sequence_training`). torch is an extra of
its own: without it a fit says what to install.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import functions as F

from eraflow.config.models import Model, Sequences, Tokens
from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.models.sequence_scores import SequenceScores, ticker
from eraflow.session import slots

ROWS_PER_PROCESS = 50_000  # fewer are trained sooner than another process has started
SHARDS = 16  # more than the slots of one machine need, so that their shares are about alike


@dataclass(frozen=True)
class SequenceModel:
    """A network on the last `config.length` eras of a ticker, with a loss of minus the mean correlation of an era."""

    config: Sequences
    seed: int
    work: Path | None = None  # see `working_folder`

    def lasting(self, epochs: int) -> SequenceModel:
        """The same for so many epochs, with a working folder of its own."""
        work = self.work and self.work.with_name(f"{self.work.name}-whole")
        return replace(self, config=self.config.model_copy(update={"epochs": epochs}), work=work)

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> SequenceScores:
        """Fits on the rows of `eras` with a known target; the weights of the best epoch by `watched` eras are kept.

        Without these all epochs are trained. InputError without torch, or where no row has a known target.
        """
        check_trainable(self.config.kind, training, (eras, watched))
        with working_folder(self.work) as work:
            rows, first = work / "rows", eras[0] - self.config.length + 1
            write_shards(training, [*eras, *watched], first, rows)
            check_written(self.config.kind, rows)
            settings = settings_of(self.config, self.seed, training, eras, watched)
            found = trained(settings | {"folder": str(rows), "first": first}, training)
        made = self.config.model_dump(include={"kind", "length", "width", "layers"}) | {"epoch": found["epoch"]}
        return SequenceScores(made, found["state"])


@contextmanager
def working_folder(work: Path | None) -> Iterator[Path]:
    """A folder for the rows and the checkpoint of one fit, gone once that ends.

    Where `work` names it, it stays when the fit is cut short, and the same fit goes on after its last whole epoch.
    """
    if work is None:
        with tempfile.TemporaryDirectory(prefix="eraflow-") as folder:
            yield Path(folder)
        return
    work.mkdir(parents=True, exist_ok=True)
    yield work.absolute()
    shutil.rmtree(work)


def settings_of(
    config: Sequences | Tokens, seed: int, training: Training, eras: Sequence[int], watched: Sequence[int]
) -> dict[str, Any]:
    """What `sequence_training.Task` is made of, but where the rows are and which era is the first that is read."""
    settings = config.model_dump(exclude={"kind", "early_stopping_eras", *Model.model_fields})
    settings["patience"] = settings.pop("early_stopping_epochs")
    return settings | {
        "shards": SHARDS,
        "network": config.kind,
        "features": len(training.feature_names),
        "missing": training.missing,
        "train": tuple(eras),
        "weights": tuple(training.weights(eras).values()),
        "stop": tuple(watched),
        "seed": seed,
    }


def trained(task: Mapping[str, Any], training: Training) -> dict[str, Any]:
    """What `sequence_training.train` returns, from as many processes as there are slots and rows for."""
    from eraflow.models.sequence_training import Task, train, train_beside_others

    rows = training.labelled(task["train"]).count()
    processes = max(1, min(slots(training.table.sparkSession), SHARDS, rows // ROWS_PER_PROCESS))
    if processes == 1:
        return train(Task(**task))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torchrun does the same, with five lines about it
    distributor = TorchDistributor(num_processes=processes, local_mode=True, use_gpu=False)
    return cast(dict[str, Any], distributor.run(train_beside_others, Task(**task)))


def required(kind: str) -> None:
    """InputError, which says what to install, where torch is missing."""
    if importlib.util.find_spec("torch") is None:
        raise InputError(f"model: {kind} needs torch; say make torch, or else pip install 'eraflow[torch]'.")


def check_trainable(kind: str, training: Training, parts: Sequence[Sequence[int]]) -> None:
    """InputError without torch, or where a part of the eras has no row with a known target."""
    required(kind)
    for eras in parts:
        if eras and training.labelled(eras).isEmpty():
            raise InputError(f"model: no row of eras {eras[0]} to {eras[-1]} has a known {training.target}; give more.")


def check_written(kind: str, folder: Path) -> None:
    """InputError where the shards were written on other machines than this one."""
    if not list(folder.glob("shard=*/*.parquet")):
        raise InputError(
            f"model: {kind} trains on the driver's machine and Spark's executors write on others; run it with master "
            "local[*]."
        )


def write_shards(training: Training, labelled: Sequence[int], first: int, folder: Path) -> None:
    """`shard=N/*.parquet` of `ticker, era, features, target`, the target null but in rows to learn from."""
    rows = training.table.where(F.col("era").between(first, max(labelled)))
    learned = training.labelled(labelled).select("id", F.col(training.target).alias("target"))
    # Narrow beside narrow: a ticker's features are a few hundred bytes at most.
    columns = rows.select("id", ticker().alias("ticker"), "era", "features").join(learned, on="id", how="left")
    if columns.where("ticker = ''").limit(1).count():
        raise InputError("model: ids are not TICKER_YYYY-MM-DD, so no row can be followed through time; choose a model "
                         "that reads one row at a time.")  # fmt: skip
    sharded = columns.drop("id").withColumn("shard", F.pmod(F.xxhash64("ticker"), F.lit(SHARDS)))
    ordered = sharded.repartition("shard").sortWithinPartitions("shard", "ticker", "era")
    ordered.write.partitionBy("shard").mode("overwrite").parquet(folder.as_uri())
