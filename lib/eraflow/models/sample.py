"""Some rows of a training table on the driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.models.levels import Eras, Levels, Vector


@dataclass(frozen=True)
class Sample:
    """Rows with what their target was; NaN where it is not known."""

    levels: Levels
    eras: Eras
    target: Vector

    def without(self, first: int, last: int) -> Sample:
        """The rows of all eras but these."""
        kept = (self.eras < first) | (self.eras > last)
        return Sample(self.levels[kept], self.eras[kept], self.target[kept])


def sampled(rows: DataFrame, count: int, width: int) -> Sample:
    """So many of `id, era, features, target` rows, spread over them by a hash of their ids."""
    chosen = rows.select("id", "era", "features", "target").orderBy(F.xxhash64("id"), "id").limit(count)
    found = chosen.toPandas()  # `count` rows of bytes
    levels = np.array(found["features"].tolist(), dtype=np.int8).reshape(len(found), width)
    return Sample(levels, found["era"].to_numpy(dtype=np.int64), found["target"].to_numpy(dtype=np.float64))
