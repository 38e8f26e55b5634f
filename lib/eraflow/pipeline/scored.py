"""Predictions become scores in one way, whoever made them: out-of-fold ones, those of a holdout, and foreign files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
from pyspark.sql import DataFrame

from eraflow import scoring
from eraflow.config import Config
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.scores import Strategy
from eraflow.progress import Progress
from eraflow.scoring import Payout, References


@dataclass(frozen=True)
class Against:
    """What predictions are held against beside their target.

    `asset`: see `Dataset.asset`. `strategy` follows portfolios of predictions, where there are prices. `payout` is what
    an era is taken to pay, where that is estimated.
    """

    references: References = field(default_factory=References)
    asset: str | None = None
    strategy: Callable[[DataFrame], Strategy | None] | None = None
    payout: Payout | None = None

    @classmethod
    def of(cls, data: Dataset, config: Config) -> Against:
        return cls(data.references, data.asset, data.strategy, payout(config))


@dataclass(frozen=True)
class Scored:
    """Scores of `predictions`: `by_fold` are `model, era, fold, metric, value`."""

    predictions: DataFrame
    by_fold: pd.DataFrame
    exposures: pd.DataFrame  # as `scoring.largest_exposures`
    strategy: Strategy | None

    @cached_property
    def per_era(self) -> pd.DataFrame:
        """`model, era, metric, value`, sorted: means over folds, and spreads where there are prices."""
        found = scoring.per_era(self.by_fold)
        if self.strategy is None:
            return found
        return pd.concat([found, self.strategy.spreads]).sort_values(["model", "era", "metric"], ignore_index=True)

    @cached_property
    def unscored(self) -> Mapping[str, Sequence[int]]:
        """By model the eras that have predictions but no known target."""
        return scoring.unscored_eras(self.predictions)


def payout(config: Config) -> Payout:
    """What the configuration takes an era to pay."""
    return Payout(**config.scoring.payout.model_dump())


def scored(predictions: DataFrame, against: Against, progress: Progress) -> Scored:
    """The scores of `id, era, fold, model, prediction, target`. InputError where an era cannot be scored."""
    progress.stage("scoring predictions")
    # Models x folds x eras x metrics rows.
    found = scoring.collected(scoring.score_eras(predictions, against.references, against.asset))
    by_fold = found.drop(columns="detail")
    if against.payout is not None:
        by_fold = scoring.with_payout(by_fold, against.payout)
    portfolios = None
    if against.strategy is not None:
        progress.stage("following portfolios of the predictions")
        portfolios = against.strategy(predictions)
    return Scored(predictions, by_fold, scoring.largest_exposures(found), portfolios)
