"""Histories of tickers as one array: what a sequence model reads, week by week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eraflow.models.levels import matrix

MIDDLE = 2.0  # of the levels 0 to 4


@dataclass(frozen=True)
class Panel:
    """Tickers x eras: `levels` (with features) int8, `target` float32, NaN where there is none to learn from.

    `eras` are consecutive numbers; a ticker without a row in an era has `missing` in all its levels there.
    """

    tickers: tuple[str, ...]
    eras: range
    levels: npt.NDArray[np.int8]
    target: npt.NDArray[np.float32]
    missing: int

    def windows(self, era: int, length: int, tickers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Chosen tickers x length x (features + 1): the eras up to `era`, the oldest first.

        Levels lie between -1 and 1, 0 where they are unknown; the last column says whether the ticker was there.
        """
        return with_presence(*self.seen(era, length, tickers))

    def seen(
        self, era: int, length: int, tickers: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Chosen tickers x length x features: levels between -1 and 1, 0 where unknown, and which are known."""
        last = era - self.eras.start + 1
        levels = self.levels[tickers, max(0, last - length) : last]
        lacking = length - levels.shape[1]
        levels = np.pad(levels, ((0, 0), (lacking, 0), (0, 0)), constant_values=self.missing)
        return scaled(levels, self.missing)

    def present(self, era: int) -> npt.NDArray[np.int64]:
        """Places of the tickers of which a level is known in the era."""
        return np.flatnonzero((self.levels[:, era - self.eras.start] != self.missing).any(axis=1))

    def labelled(self, era: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Places of the tickers that have a target in the era, and these targets."""
        target = self.target[:, era - self.eras.start]
        places = np.flatnonzero(~np.isnan(target))
        return places, target[places]


def scaled(levels: npt.NDArray[np.int8], missing: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Levels between -1 and 1, 0 where unknown, and which are known."""
    observed = levels != missing
    return np.where(observed, (levels.astype(np.float32) - MIDDLE) / MIDDLE, np.float32(0)), observed


def with_presence(values: npt.NDArray[np.float32], observed: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Tickers x weeks x (features + 1): the last column says whether anything is observed of the ticker in the week."""
    return np.concatenate([values, observed.any(axis=2, keepdims=True).astype(np.float32)], axis=2)


def panel(rows: pa.Table, eras: range, features: int, missing: int) -> Panel:
    """The panel of `ticker, era, features` and, where there is one, `target`; rows of other eras are left out."""
    era = rows.column("era").to_numpy()
    rows = rows.filter(pa.array((era >= eras.start) & (era < eras.stop)))
    tickers = sorted(set(rows.column("ticker").to_pylist()))
    row = pc.index_in(rows.column("ticker"), pa.array(tickers, pa.string())).to_numpy().astype(np.int64)
    column = rows.column("era").to_numpy().astype(np.int64) - eras.start
    levels = np.full((len(tickers), len(eras), features), missing, dtype=np.int8)
    levels[row, column] = matrix(rows.column("features"), features)
    target = np.full(levels.shape[:2], np.nan, dtype=np.float32)
    if "target" in rows.column_names:
        target[row, column] = rows.column("target").to_numpy(zero_copy_only=False)
    return Panel(tuple(tickers), eras, levels, target, missing)


def read_shards(folder: Path, shards: Sequence[int], eras: range, features: int, missing: int) -> Panel:
    """The panel of some of the shards that `eraflow.models.sequence` wrote."""
    files = [file for shard in shards for file in sorted((folder / f"shard={shard}").glob("*.parquet"))]
    if not files:
        columns = {"ticker": pa.string(), "era": pa.int32(), "features": pa.list_(pa.int8()), "target": pa.float32()}
        return panel(pa.schema(columns).empty_table(), eras, features, missing)
    return panel(pa.concat_tables([pq.read_table(file, partitioning=None) for file in files]), eras, features, missing)
