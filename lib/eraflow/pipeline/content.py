"""What is known at the end of a run, for its files, its page and its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from eraflow import scoring
from eraflow.config import Config
from eraflow.pipeline.dataset import Dataset, Shown
from eraflow.pipeline.scored import Scored
from eraflow.reporting.explained_frames import Explained
from eraflow.validation import Fold


@dataclass(frozen=True)
class Content:
    """What is known at the end of a run."""

    config: Config
    data: Dataset
    identity: Mapping[str, Any]
    folds: Sequence[Fold]
    scored: Scored
    failed: Mapping[str, str]  # the reason by model
    predicted: pd.DataFrame  # model, low, high, rows
    trials: pd.DataFrame  # of searches for settings
    explained: Sequence[Explained]
    seconds: float

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """Of each model and metric (see `scoring.summarise`)."""
        return scoring.summarise(self.scored.per_era, self.data.eras.overlap, self.scored.by_fold)

    @cached_property
    def shown(self) -> Shown:
        """What the page says of the data."""
        return self.data.shown()
