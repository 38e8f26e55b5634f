"""L2GMOM: a graph over an era's tickers, learned from their last weeks, below a linear head (arXiv 2308.12212).

A ticker's score is made of its neighbours' features. The graph learner and the head are trained together by torch, an
extra: without it a fit says what to install. Memory and time follow an era's candidate edges, at most n x 10 x `degree`
for n tickers, and training has one era's graph at a time: an era of 7,000 tickers with 10 layers takes .9 GB and .4
seconds a pass. What is known of its candidates lies in a temporary folder: 9 MB an era of 7,000 tickers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eraflow.config.models import L2gmom, Model
from eraflow.models.base import Training
from eraflow.models.l2gmom_scores import L2gmomScores
from eraflow.models.panel import Panel, read_shards
from eraflow.models.sequence import SHARDS, check_trainable, check_written, working_folder, write_shards


@dataclass(frozen=True)
class L2gmomModel:
    """A learned graph and a linear head, trained to raise the mean correlation of an era or the Sharpe ratio."""

    config: L2gmom
    seed: int
    work: Path | None = None  # see `working_folder`

    def lasting(self, epochs: int) -> L2gmomModel:
        """The same for so many epochs, with a working folder of its own."""
        work = self.work and self.work.with_name(f"{self.work.name}-whole")
        return replace(self, config=self.config.model_copy(update={"epochs": epochs}), work=work)

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> L2gmomScores:
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
        shape = self.config.model_dump(include={"kind", "length", "degree", "layers", "shared", "graph"})
        return L2gmomScores(shape | {"epoch": found["epoch"]}, found["state"])

    def _trained(
        self, data: Panel, eras: Sequence[int], weights: tuple[float, ...], watched: Sequence[int], folder: str
    ) -> dict[str, Any]:
        from eraflow.models.l2gmom_training import Task, train

        settings = self.config.model_dump(exclude={"kind", "early_stopping_eras", *Model.model_fields})
        settings["patience"] = settings.pop("early_stopping_epochs")
        task = Task(folder, train=tuple(eras), weights=weights, stop=tuple(watched), seed=self.seed, **settings)
        return train(task, data)
