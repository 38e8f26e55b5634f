"""The table `training`: levels, raw values and targets by era, made whole or from the first era that has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.config import Config, fingerprint
from eraflow.features import cross_section
from eraflow.features.ranking import Ranking
from eraflow.features.signals import with_signals
from eraflow.features.training import training_table
from eraflow.pipeline.fresh import Freshness, Made
from eraflow.pipeline.network import Networks
from eraflow.sources import signals_files
from eraflow.sources.calendar import Calendars
from eraflow.tables import Part, Store, Version


@dataclass(frozen=True)
class TrainingTable:
    """What the table is made from: the versions upstream, and how the prices of `raw` are read, with their `masked`."""

    store: Store
    fresh: Freshness
    config: Config
    ranking: Ranking
    raw: Version
    days: Callable[[], Calendars]
    prices: Callable[[], DataFrame]
    features: Version
    eras: Version
    signals: Version | None
    networks: Networks
    edges: Version | None

    def version(self, rebuild: bool = False) -> Version:
        """A fresh version. An era is made again if its features or one of its labels changed, and with `rebuild`."""
        inputs = (self.raw, self.features, self.eras, *filter(None, (self.signals, self.edges)))
        return self.fresh.version(
            "training", self._recipe, None, inputs, self._make, self._make_later, ("era_block",), again=rebuild
        )

    @property
    def _recipe(self) -> list[object]:
        config, targets = self.config, self.config.targets
        rules, theirs = config.features.model_dump(mode="json"), [config.signals.features, targets.signals]
        recipe: list[object] = [targets.exposures, targets.horizons, targets.lag, config.tables.era_block, rules]
        masking = [check for check, policy in config.quality.policies.items() if policy == "mask"]
        return [*recipe, theirs, masking, *([self.networks.recipe] if self.edges else [])]

    @property
    def _manifest(self) -> dict[str, object]:
        names = self.ranking.names
        return {
            "features": names,
            "features_hash": fingerprint(names),
            "families": self.ranking.families,
            "dtype": "int8",
            "missing": cross_section.MISSING,
            "targets": self.config.targets.names,
        }

    def _make(self) -> Made:
        days = self.days()
        return Made(self._frame(days, min(days.eras)), self._manifest)

    def _make_later(self, there: Version) -> Made | None:
        first, block = self._changed(there), self.config.tables.era_block
        if first == date.min or (self.signals and self.signals.number != there.inputs.get("signals")):
            return None
        targets, days = self.config.targets, self.days()
        labels = days.labels(targets.horizons, targets.lag)
        changed = min([first, *(label.date for label in labels if label.end is None or label.end >= first)])
        era = min(era for era, _, day in days.era_days if day >= changed)
        condition = f"era_block >= {era // block} AND era >= {era}"
        return Made(self._frame(days, era), self._manifest, Part(days.eras[era], condition))

    def _changed(self, there: Version) -> date:
        """The first day on which sectors, features or networks may differ from those that `there` was made from."""
        inputs = ("prices", "features", *(["graph_edges"] if self.edges else []))
        return min(self.store.changed_since(name, there.inputs[name], labels=True) for name in inputs)

    def _frame(self, days: Calendars, first: int) -> DataFrame:
        """The rows of the eras from `first` on."""
        targets = self.config.targets
        eras_made = [row for row in days.era_days if row[0] >= first]
        later = F.col("date") >= F.lit(min(day for _, _, day in eras_made))
        prices = self.prices().where(later)
        daily = self._joined(self.store.read(self.features).where(later), prices, eras_made, days)
        return training_table(
            daily,
            prices,
            eras_made,
            days.sessions,
            self.ranking,
            targets.horizons,
            targets.lag,
            targets.exposures,
            self.config.tables.era_block,
            targets.signals,
            (days.live_era, days.data_date),
        )

    def _joined(
        self, daily: DataFrame, prices: DataFrame, eras: Sequence[tuple[int, str, date]], days: Calendars
    ) -> DataFrame:
        """Daily features and, on the days of eras, what Numerai Signals' files and networks add."""
        at_eras = era_days(self.store.spark, eras)
        if self.signals or self.edges:
            daily = daily.join(F.broadcast(at_eras), on=["country", "date"], how="inner")
        if self.signals:
            joined = signals_files.of_eras(daily, self.store.read(self.signals), days.first_week)
            daily = with_signals(joined, self.config.signals.features, self.config.targets.signals)
        if self.edges:
            daily = self.networks.added(daily, prices, self.edges, days)
        return daily


def era_days(spark: SparkSession, days: Sequence[tuple[int, str, date]]) -> DataFrame:
    """`era, country, date`: some thousand rows for each country."""
    return spark.createDataFrame(pd.DataFrame(days), "era int, country string, date date")
