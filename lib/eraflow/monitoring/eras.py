"""Profiles of a training table's eras: the one place of this room that needs Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame

from eraflow.batches import groups
from eraflow.models.levels import matrix
from eraflow.monitoring.profile import Profile, of_bytes, profile
from eraflow.session import slots


def profiles(rows: DataFrame, features: int, missing: int) -> dict[int, Profile]:
    """By era, the oldest first, the profile of its `era, features` rows. A worker holds the rows of one era.

    To the driver come some bytes a feature and era, and two for each pair of the features that are correlated.
    """

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for of_era in groups(batches, "era"):
            found = profile(matrix(of_era.column("features"), features), missing)
            yield pa.RecordBatch.from_pydict({
                "era": pa.array([of_era.column("era")[0].as_py()], pa.int32()),
                "profile": pa.array([found.written()], pa.binary()),
            })  # fmt: skip

    ordered = rows.select("era", "features").repartition(2 * slots(rows.sparkSession), "era")
    found = ordered.sortWithinPartitions("era").mapInArrow(look, "era int, profile binary").collect()  # one row an era
    return {row["era"]: of_bytes(bytes(row["profile"])) for row in sorted(found, key=lambda row: int(row["era"]))}
