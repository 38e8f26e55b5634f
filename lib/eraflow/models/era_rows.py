"""Rows of several eras as one array, for a network that reads a row at a time: no row is followed through time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.models.levels import matrix

COLUMNS = {"era": pa.int32(), "features": pa.list_(pa.int8()), "target": pa.float32()}


@dataclass(frozen=True)
class EraRows:
    """`levels` rows x features int8, `target` float32, era by era; an era's rows lie between its two `bounds`."""

    bounds: dict[int, tuple[int, int]]
    levels: npt.NDArray[np.int8]
    target: npt.NDArray[np.float32]
    missing: int

    def labelled(self, era: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Places of the era's rows, and their targets."""
        start, stop = self.bounds.get(era, (0, 0))
        return np.arange(start, stop), self.target[start:stop]

    def windows(self, era: int, length: int, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Chosen rows x features: 0 where a level is unknown, else one more than the level."""
        return categories(self.levels[places], self.missing)


def categories(levels: npt.NDArray[np.int8], missing: int) -> npt.NDArray[np.int64]:
    """0 for an unknown level, else one more than the level."""
    return np.where(levels == missing, 0, levels.astype(np.int64) + 1)


def read_rows(folder: Path, shards: Sequence[int], features: int, missing: int) -> EraRows:
    """The rows of some of the shards that `eraflow.models.tokens` wrote."""
    files = [file for shard in shards for file in sorted((folder / f"shard={shard}").glob("*.parquet"))]
    tables = [pq.read_table(file, columns=list(COLUMNS), partitioning=None) for file in files]
    rows = pa.concat_tables(tables) if tables else pa.schema(COLUMNS).empty_table()
    era = rows.column("era").to_numpy()
    order = np.argsort(era, kind="stable")
    eras, starts = np.unique(era[order], return_index=True)
    stops = [*starts[1:].tolist(), len(era)]
    bounds = {int(e): (int(start), stop) for e, start, stop in zip(eras, starts, stops, strict=True)}
    target = rows.column("target").to_numpy().astype(np.float32)
    return EraRows(bounds, matrix(rows.column("features"), features)[order], target[order], missing)
