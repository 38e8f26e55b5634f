"""What the rows of Numerai Classic's files hold, era by era: missing features, levels, and a hash of the content.

A task reads one row group after the other, some rows at a time, in numpy: Spark's own reader and an expression of
thousands of columns take some times as long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from eraflow.errors import InputError
from eraflow.sources.classic_files import GREATEST, Folder, Split

Levels = npt.NDArray[np.int8]  # features x rows, or of one row of these
MISSING = -1  # the level of a value that is not known: a packed array has no null elements
ABSENT = 2  # the level that all rows of an era have where the era does not have the feature
NO_LEVEL = 100  # stands for a value that is none of the levels
VALUES_AT_ONCE = 8_000_000
_HASH_BYTES = 16


@dataclass(frozen=True)
class EraSurvey:
    """What one file's rows of an era hold: `least` and `greatest` level by feature (MISSING: no value at all).

    `levels_hash` is of ids and levels, `targets_hash` of ids and targets: sums over the rows, so that their order does
    not matter.
    """

    split: str
    era: str
    rows: int
    nulls: int
    least: Levels
    greatest: Levels
    levels_hash: bytes
    targets_hash: bytes

    @property
    def absent(self) -> bytes:
        """The features that the era does not have, a bit each: nothing but nulls, or the middle level throughout."""
        all_two = (self.least == ABSENT) & (self.greatest == ABSENT)
        return np.packbits((self.greatest == MISSING) | all_two).tobytes()


def absent_features(bits: bytes, features: int) -> npt.NDArray[np.bool_]:
    """`EraSurvey.absent` by feature."""
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=features).astype(np.bool_)


def survey(
    spark: SparkSession, folder: Folder, files: Sequence[Split], features: Sequence[str], targets: Sequence[str]
) -> list[EraSurvey]:
    """Every era of every file, sorted. InputError names file, column and era of a value that is no level.

    Some thousand rows of twice as many bytes as there are features come to the driver: about 10 MB for all of v5.3.
    """
    root = folder.path
    columns = {split.name: ["id", "era", *(x for x in targets if x in split.targets), *features] for split in files}

    def make(groups: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for split, group in groups_of(groups):
            eras: dict[str, EraSurvey] = {}
            for rows in batches(Folder(root), split, group, columns[split]):
                for seen in _seen(split, rows, features, targets):
                    eras[seen.era] = _joined(eras[seen.era], seen) if seen.era in eras else seen
            yield pa.RecordBatch.from_pylist(
                [vars(x) | {"least": x.least.tobytes(), "greatest": x.greatest.tobytes()} for x in eras.values()]
            )

    schema = (
        "split string, era string, rows long, nulls long, least binary, greatest binary, levels_hash binary, "
        "targets_hash binary"
    )
    eras: dict[tuple[str, str], EraSurvey] = {}
    for row in row_groups(spark, folder, files).mapInArrow(make, schema).toLocalIterator():
        least, greatest = (np.frombuffer(row[name], dtype=np.int8) for name in ("least", "greatest"))
        hashes = (bytes(row["levels_hash"]), bytes(row["targets_hash"]))
        part = EraSurvey(row["split"], row["era"], row["rows"], row["nulls"], least, greatest, *hashes)
        key = (part.split, part.era)
        eras[key] = _joined(eras[key], part) if key in eras else part
    for part in eras.values():
        _refuse_no_level(folder, part, features)
    return [eras[key] for key in sorted(eras)]


def _seen(split: str, rows: pa.RecordBatch, features: Sequence[str], targets: Sequence[str]) -> Iterator[EraSurvey]:
    levels = levels_of(rows, features)
    labels = np.column_stack([floats_of(rows, name) for name in targets]) if targets else None
    ids, eras = (rows.column(name).cast(pa.string()).to_pylist() for name in ("id", "era"))
    of_era = pd.Series(np.arange(len(eras))).groupby(np.asarray(eras, dtype=object), sort=False)
    for era, places in of_era.indices.items():
        era_levels, era_ids = levels[:, places], [ids[place] for place in places]
        some = np.where(era_levels == MISSING, np.int8(NO_LEVEL), era_levels).min(axis=1)
        greatest = era_levels.max(axis=1)
        least = np.where(greatest == MISSING, np.int8(MISSING), some)
        nulls = int((era_levels == MISSING).sum())
        era_labels = np.empty((len(places), 0), dtype=np.float32) if labels is None else labels[places]
        hashes = (_hash(era_ids, era_levels.T), _hash(era_ids, era_labels))
        yield EraSurvey(split, str(era), len(places), nulls, least, greatest, *hashes)


def _hash(ids: Sequence[str], values: npt.NDArray[np.generic]) -> bytes:
    """The sum of a hash of each row: its id and the bytes of its values."""
    width, rows = values.shape[1] * values.itemsize, np.ascontiguousarray(values).tobytes()
    total = 0
    for place, name in enumerate(ids):
        row = f"{name}\0".encode() + rows[place * width : (place + 1) * width]
        total += int.from_bytes(hashlib.blake2b(row, digest_size=_HASH_BYTES).digest(), "little")
    return _bytes(total)


def _bytes(total: int) -> bytes:
    return (total % (1 << 8 * _HASH_BYTES)).to_bytes(_HASH_BYTES, "little")


def _sum(one: bytes, other: bytes) -> bytes:
    return _bytes(int.from_bytes(one, "little") + int.from_bytes(other, "little"))


def _joined(one: EraSurvey, other: EraSurvey) -> EraSurvey:
    nothing = (one.greatest == MISSING, other.greatest == MISSING)
    least = np.where(nothing[0], other.least, np.where(nothing[1], one.least, np.minimum(one.least, other.least)))
    greatest = np.maximum(one.greatest, other.greatest)
    hashes = (_sum(one.levels_hash, other.levels_hash), _sum(one.targets_hash, other.targets_hash))
    return EraSurvey(one.split, one.era, one.rows + other.rows, one.nulls + other.nulls, least, greatest, *hashes)


def _refuse_no_level(folder: Folder, part: EraSurvey, names: Sequence[str]) -> None:
    wrong = (part.least < MISSING) | (part.greatest > GREATEST)
    if wrong.any():
        raise InputError(
            f"{folder.path}/{part.split}.parquet: column {names[int(wrong.argmax())]!r} holds a value in era "
            f"{part.era} that is none of the five levels (0 to 4, or 0 to 1 by quarters); download it again."
        )


def floats_of(rows: pa.RecordBatch, name: str) -> npt.NDArray[np.float32]:
    """A target; NaN, always of the same bits, where it is not known or the file does not have it."""
    if name not in rows.schema.names:
        return np.full(rows.num_rows, np.nan, dtype=np.float32)
    values = rows.column(name).cast(pa.float32()).to_numpy(zero_copy_only=False)
    return np.where(np.isnan(values), np.float32(np.nan), values)


def levels_of(rows: pa.RecordBatch, names: Sequence[str]) -> Levels:
    """Features x rows: the levels 0 to 4, MISSING for null, NO_LEVEL (or -NO_LEVEL) for anything else."""
    levels = np.empty((len(names), rows.num_rows), dtype=np.int8)
    for place, name in enumerate(names):
        column = rows.column(name)
        if column.type == pa.int8() and column.null_count == 0:
            values = column.to_numpy()
            levels[place] = np.where(values < 0, np.int8(-NO_LEVEL), np.minimum(values, NO_LEVEL))
            continue
        floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        floats = floats * GREATEST if pa.types.is_floating(column.type) else floats
        unknown = np.isnan(floats)
        whole = np.where(unknown, 0, np.rint(floats))
        right = (np.abs(whole - floats) < 1e-3) & (whole >= 0) & (whole <= GREATEST)
        levels[place] = np.where(unknown, MISSING, np.where(right, whole, NO_LEVEL)).astype(np.int8)
    return levels


def row_groups(spark: SparkSession, folder: Folder, files: Sequence[Split]) -> DataFrame:
    """`split, group`: one row and one partition for each row group."""
    every = [
        (split.name, group) for split in files for group in range(folder.footer(f"{split.name}.parquet").num_row_groups)
    ]
    return spread(spark, every)


def spread(spark: SparkSession, groups: Sequence[tuple[str, int]]) -> DataFrame:
    """`split, group`, each in a partition of its own."""
    frame = pd.DataFrame(groups, columns=["split", "group"])
    return spark.createDataFrame(frame, "split string, group int").repartition(max(1, len(groups)))


def groups_of(parts: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, int]]:
    """What `spread` has spread."""
    for batch in parts:
        yield from zip(*(batch.column(name).to_pylist() for name in ("split", "group")), strict=True)


def batches(folder: Folder, split: str, group: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, so many at a time that they stay small."""
    rows = max(256, VALUES_AT_ONCE // len(columns))
    with folder.opened(f"{split}.parquet") as stream:
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=64 * 1024)
        yield from file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False)
