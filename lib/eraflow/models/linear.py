"""Ridge regression on levels, the baseline that every other model must beat: one pass over the rows, exact.

Levels are small whole numbers, and the target is rounded to 24 binary places, weights of eras to 12, so that every sum
over rows is one of whole numbers, without rounding: the order of rows, batches and partitions cannot change a bit of
the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from eraflow.config.models import Linear
from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.models.levels import centred, matrix, whole
from eraflow.models.linear_weights import LinearWeights
from eraflow.session import slots

Whole = npt.NDArray[np.int64]

TARGET_BITS = 24
WEIGHT_BITS = 12  # 2 * 2^24 * 2^12 * rows must stay below 2^63: enough for 2^26 rows of targets between -1 and 1
SUMS = "row int, sums array<bigint>"


@dataclass(frozen=True)
class LinearModel:
    """Ridge regression of the target on centred levels, with an intercept."""

    config: Linear

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> LinearWeights:
        """Fits on the rows of `eras` with a known target. InputError where no feature varies in them."""
        sums = _sums(training, eras)
        weight = sums[-1, -2]  # of all rows
        means = sums[:-1, -2] / max(weight, 1.0)
        target = sums[-1, -1] / max(weight, 1.0) / 2**TARGET_BITS
        covariance = sums[:-1, :-2] / max(weight, 1.0) - np.outer(means, means)
        with_target = sums[:-1, -1] / max(weight, 1.0) / 2**TARGET_BITS - means * target
        variance = covariance.diagonal().mean()
        if not variance > 0:
            raise InputError(
                f"model: no feature varies in the rows with a known {training.target} of eras {eras[0]} to {eras[-1]}; "
                "give a longer history."
            )
        penalised = covariance + self.config.penalty * variance * np.eye(len(means))
        weights = whole(np.linalg.solve(penalised, with_target))
        return LinearWeights(tuple(weights.tolist()), float(target - means @ weights))


def _sums(training: Training, eras: Sequence[int]) -> Whole:
    """(features + 1) x (features + 2): X'WX and X'Wy, X the centred levels and a one, y the target in whole numbers.

    W, the weights of eras, are whole numbers too where rows differ in weight: then the sums are 2^12 times as large.
    One pair of sums a slot, added up row by row, so that one matrix is all that comes to the driver.
    """
    width, missing, target = len(training.feature_names), training.missing, training.target
    weights = {era: round(weight * 2**WEIGHT_BITS) for era, weight in training.weights(eras).items()}
    weighs = training.half_life is not None

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sums = np.zeros((width + 1, width + 2), dtype=np.int64)
        for batch in batches:  # of some thousand rows, whose sums are below 2^53
            levels = centred(matrix(batch.column("features"), width), missing)
            X = np.hstack([levels, np.ones((len(levels), 1), dtype=np.float32)])
            y = np.rint(batch.column(target).to_numpy().astype(np.float64) * 2**TARGET_BITS)
            weighted = X.T.astype(np.float64)
            if weighs:
                weighted *= [weights[era] for era in batch.column("era").to_pylist()]
            # Without weights these are whole numbers below 2^24, so that single precision holds them.
            sums[:, :-1] += ((weighted if weighs else X.T) @ X).astype(np.int64)
            sums[:, -1] += (weighted @ y).astype(np.int64)
        yield pa.RecordBatch.from_pydict({"row": pa.array(range(width + 1), pa.int32()), "sums": list(sums)})

    def added(parts: pd.DataFrame) -> pd.DataFrame:
        total = np.sum(np.stack(parts["sums"].tolist()), axis=0)
        return pd.DataFrame({"row": parts["row"].head(1), "sums": [total]})

    rows = training.labelled(eras)
    parts = rows.select("era", "features", target).coalesce(slots(rows.sparkSession)).mapInArrow(make, SUMS)
    found = parts.groupBy("row").applyInPandas(added, SUMS).toPandas()  # a row for each feature, and one
    if found.empty:
        return np.zeros((width + 1, width + 2), dtype=np.int64)
    return np.stack(found.sort_values("row")["sums"].tolist())
