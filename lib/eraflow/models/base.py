"""The protocol that every model follows, and what it sees of the data: a training table and its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Training:
    """A training table read at one version: `id, era, features array<tinyint>, <target> float`.

    `feature_names` are the elements of `features` in order; `missing` is the level that stands for an unknown value.
    """

    table: DataFrame
    feature_names: tuple[str, ...]
    target: str
    missing: int

    def rows(self, eras: Sequence[int]) -> DataFrame:
        """The rows of these eras; the filter reaches the files, so that others are not read."""
        return self.table.where(F.col("era").isin(list(eras)))


class Fitted(Protocol):
    """A model that has learned."""

    def predict(self, rows: DataFrame) -> DataFrame:
        """`id string, era int, prediction double` for every row."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the model in a form that needs no Spark to read."""
        ...


class Model(Protocol):
    """A model that can learn."""

    def fit(self, training: Training, eras: Sequence[int]) -> Fitted:
        """The model learned from the rows of these eras whose target is known."""
        ...
