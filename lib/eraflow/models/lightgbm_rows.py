"""What a fit of LightGBM learns from, whichever way it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame

from eraflow.models.base import Training

LEVELS = 5
MAX_BIN = 7  # more than five levels and missing; LightGBM holds 4 bits a value


@dataclass(frozen=True)
class Rows:
    """What a fit learns from: `count` rows `learned` of a training table, and the eras that it watches.

    `label` and `weight` are double; all rows weigh the same where there is no weight. `watched` are rows of the eras
    `watched_eras` with a known target, whatever share of the others is learned.
    """

    training: Training
    learned: DataFrame
    count: int
    label: Column
    weight: Column | None
    watched: DataFrame | None
    watched_eras: Sequence[int]
