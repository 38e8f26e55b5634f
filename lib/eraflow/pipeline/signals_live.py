"""The live era of Signals, for `train` and `predict`: its rows, their checks, and the file that Numerai takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from eraflow.pipeline.dataset import LiveRows
from eraflow.rounds import submission
from eraflow.sources import lives, signals_files

MEND = "bring the prices and Numerai's files up to date"


def collected(rows: DataFrame, era: int, names: tuple[str, ...], missing: int, history: DataFrame | None) -> LiveRows:
    """The rows of the live era (`id, era, features`) on the driver: one a ticker.

    `history` are the rows of the training table, these among them.
    """
    live = rows.select("id", "features").toPandas().sort_values("id")
    levels = np.array(live["features"].tolist(), dtype=np.int8).reshape(len(live), len(names))
    frames = None if history is None else lambda: (rows, history)
    return LiveRows(era, live["id"].tolist(), levels, names, missing, frames)


@dataclass(frozen=True)
class SignalsRound:
    """The live era at its data date; `numerais` are the rows of Numerai's files, where there are any."""

    rows: LiveRows
    date: date
    numerais: DataFrame | None

    @cached_property
    def names(self) -> tuple[Mapping[str, str] | None, bool]:
        """Numerai's names of tickers, where its files are, and whether they are those of the live era."""
        return (None, True) if self.numerais is None else signals_files.live_names(self.numerais, self.date)

    def check(self, facts: Mapping[str, Any]) -> None:
        """InputError where Numerai would find too few tickers, or more is missing than models have learned from."""
        names, _ = self.names
        tickers = lives.named(pd.Series(self.rows.ids)).str.rsplit("_", n=1).str[0]
        submission.check_size(len(tickers) if names is None else int(tickers.isin(list(names)).sum()))
        where = f"on {self.date} (era {self.rows.era}), which is predicted for"
        self.rows.refuse_missing(facts, where, MEND)

    def submission(self, live: pd.DataFrame) -> pd.DataFrame:
        """The file of the rows' `id, era, prediction`."""
        return submission.signals(live.assign(id=lives.named(live["id"])), self.names[0])
