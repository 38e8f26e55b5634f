"""Fitted models that stand behind a step: it makes the rows that they have learned from out of the table's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame

from eraflow.models.base import Fitted


@dataclass(frozen=True)
class FittedBehind(ABC):
    """`fitted`, which predicts rows of the table once they are `prepared`; the rest is as the model has it."""

    fitted: Fitted

    @abstractmethod
    def prepared(self, rows: DataFrame) -> DataFrame:
        """Rows of the table as the model has learned from them."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.fitted.feature_names

    @property
    def target(self) -> str:
        return self.fitted.target

    def predict(self, rows: DataFrame) -> DataFrame:
        """`id, era, prediction` of rows of the table."""
        return self.fitted.predict(self.prepared(rows))

    def save(self, folder: Path) -> None:
        self.fitted.save(folder)
