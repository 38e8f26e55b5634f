"""What predictions are held against beside the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from eraflow.scoring.metrics import METRICS


@dataclass(frozen=True)
class FeatureSet:
    """Features of a packed column `array<tinyint>`, in its order, and the level that stands for a missing one."""

    column: str
    names: tuple[str, ...]
    missing: int


@dataclass(frozen=True)
class References:
    """What predictions are held against beside the target: of each kind the columns of `parts` that hold it.

    Each part has `id, era` and some of these columns, a row an id at most; a column is of one part. What a part does
    not have is unknown. Columns that no field names are not read.
    """

    parts: tuple[DataFrame, ...] = ()
    meta_model: str | None = None
    benchmarks: tuple[str, ...] = ()
    features: Mapping[str, FeatureSet] = field(default_factory=dict)  # by the name of the set
    neutralizers: str | None = None  # array<float>
    weights: str | None = None
    example: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        single = (self.meta_model, self.neutralizers, self.weights, self.example)
        return (*filter(None, single), *self.benchmarks, *(one.column for one in self.features.values()))

    def needed_by(self, metrics: Sequence[str]) -> References:
        """Without what none of the metrics needs."""
        needed = {part for name in metrics for part in METRICS[name].needs}
        return References(
            self.parts,
            self.meta_model if "meta_model" in needed else None,
            self.benchmarks if "benchmarks" in needed else (),
            self.features if "features" in needed else {},
            self.neutralizers if "neutralizers" in needed else None,
            self.weights if "weights" in needed else None,
            self.example if "example" in needed else None,
        )
