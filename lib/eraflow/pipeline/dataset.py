"""What a run sees of a tournament: a training table, label spans, and what it must know at its two ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.graphs.described import Described
from eraflow.models.base import Fitted, Training
from eraflow.pipeline.scores import Strategy
from eraflow.scoring import References
from eraflow.tables import Version
from eraflow.validation import EraSpan


@dataclass(frozen=True)
class Dataset:
    """The data of one tournament, at the versions that a run reads.

    `spans`: of each era with a known target the span of its label. `unlabelled`: eras whose label has ended without
    one. `overlap`: how many consecutive eras share returns with one of them. `era_dates` are empty where only numbers
    are known. `live` are the rows of the live era (`id, era, features`); `submission` makes the file of their
    `id, prediction`, and `check_live` raises InputError where they make none. `references` are what scores are held
    against, `reference_files` tell when their files have changed. `asset` is an SQL expression of `id` for what is the
    same in all eras, if anything is.
    """

    tables: tuple[Version, ...]
    training: Training
    manifest: Mapping[str, Any]  # of the training table
    spans: Sequence[EraSpan]
    unlabelled: Sequence[int]
    overlap: int
    live: DataFrame
    live_era: int
    era_dates: Mapping[int, date]
    submission: Callable[[pd.DataFrame], pd.DataFrame]
    check_live: Callable[[], None]
    references: References
    reference_files: Sequence[Any]
    asset: str | None
    strategy: Callable[[DataFrame], Strategy] | None  # of out-of-fold predictions, where there are prices
    quality: Callable[[], pd.DataFrame]  # columns check, count, detail
    notes: tuple[str, ...]
    facts: Mapping[str, str]
    network: Callable[[], Described | None] | None = None  # the learned graphs over tickers, where there are any

    def predicted(self, fitted: Fitted, eras: Sequence[int]) -> DataFrame:
        """`id, era, prediction, target` of the rows of these eras; an unknown target is null."""
        rows = self.training.rows(eras)
        known = rows.select("id", F.col(self.training.target).alias("target"))
        # Both sides are the rows of a few eras, so the join costs no more than reading them twice.
        return fitted.predict(rows).join(known, on="id", how="inner").select("id", "era", "prediction", "target")

    def versions(self) -> dict[str, dict[str, object]]:
        """By its name the recipe and the number of each table, for the run manifest."""
        return {made.name: {"recipe": made.recipe, "version": made.number} for made in self.tables}

    def fingerprints(self) -> dict[str, str]:
        return {made.name: made.fingerprint for made in self.tables}
