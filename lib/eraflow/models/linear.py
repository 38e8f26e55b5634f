"""Ridge regression on levels, the baseline that every other model must beat: one pass over the rows, exact.

Levels are small whole numbers, and the target is rounded to 24 binary places, weights of eras to 12, so that every sum
over rows is one of whole numbers, without rounding: the order of rows, batches and partitions cannot change a bit of
the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from eraflow.config.models import Linear
from eraflow.errors import InputError
from eraflow.models.base import Training, check_features
from eraflow.session import slots

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

MIDDLE = 2  # of the levels 0 to 4; an unknown level counts as this one
TARGET_BITS = 24
WEIGHT_BITS = 12  # 2 * 2^24 * 2^12 * rows must stay below 2^63: enough for 2^26 rows of targets between -1 and 1
WHOLE_BITS = 52  # whole numbers of so many bits add up in floating point without rounding
SUMS = "row int, sums array<bigint>"


@dataclass(frozen=True)
class LinearModel:
    """Ridge regression of the target on centred levels, with an intercept."""

    config: Linear

    def fit(self, training: Training, eras: Sequence[int], watched: Sequence[int] = ()) -> FittedLinear:
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
        intercept = float(target - means @ weights)
        return FittedLinear(
            training.feature_names, tuple(weights.tolist()), intercept, training.target, training.missing
        )


@dataclass(frozen=True)
class FittedLinear:
    """`intercept` plus the sum of `weights` times what each level is above the middle one."""

    feature_names: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float
    target: str
    missing: int

    def predict(self, rows: DataFrame) -> DataFrame:
        """`id, era, prediction` of every row; an unknown level counts as the middle one."""
        weights, intercept, missing = np.array(self.weights), self.intercept, self.missing

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                centred = _centred(batch.column("features"), len(weights), missing)
                prediction = pa.array(centred.astype(np.float64) @ weights + intercept)
                yield pa.RecordBatch.from_arrays([batch.column("id"), batch.column("era"), prediction], names)

        names = ["id", "era", "prediction"]
        return rows.select("id", "era", "features").mapInArrow(make, "id string, era int, prediction double")

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, training: Training) -> FittedLinear:
        """The model that `save` wrote."""
        saved: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        check_features(saved["feature_names"], training, folder)
        names, weights = tuple(saved["feature_names"]), tuple(saved["weights"])
        return cls(names, weights, saved["intercept"], saved["target"], saved["missing"])


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
            centred = _centred(batch.column("features"), width, missing)
            X = np.hstack([centred, np.ones((len(centred), 1), dtype=np.float32)])
            y = np.rint(batch.column(target).to_numpy().astype(np.float64) * 2**TARGET_BITS)
            own = X.T.astype(np.float64)
            if weighs:
                own *= [weights[era] for era in batch.column("era").to_pylist()]
            # Without weights these are whole numbers below 2^24, so that single precision holds them.
            sums[:, :-1] += ((own if weighs else X.T) @ X).astype(np.int64)
            sums[:, -1] += (own @ y).astype(np.int64)
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


def _centred(features: pa.Array, width: int, missing: int) -> npt.NDArray[np.float32]:
    """Rows x features: the level less the middle one, 0 where it is unknown."""
    if lengths := set(pc.unique(pc.list_value_length(features)).to_pylist()) - {width}:
        raise InputError(f"rows have {lengths.pop()} features, the model has {width}; use the table it was fitted on.")
    levels = features.flatten().to_numpy().reshape(-1, width)
    return np.where(levels == missing, np.int8(0), levels - np.int8(MIDDLE)).astype(np.float32)


def whole(weights: Vector) -> Vector:
    """The weights rounded so that any sum of them times levels is free of rounding, and so of the order of terms."""
    largest = np.abs(weights).max()
    if largest == 0:
        return weights
    places = WHOLE_BITS - np.ceil(np.log2(MIDDLE * len(weights))) - np.ceil(np.log2(largest))
    return np.asarray(np.ldexp(np.rint(np.ldexp(weights, int(places))), -int(places)), dtype=np.float64)
