"""Numerai Classic's wide files as packed rows: one array for each block of the nested feature sets.

A task reads one row group after the other, some rows at a time, and turns columns into rows in numpy: Spark's own
reader and an expression of thousands of columns take some times as long. Two passes: `survey` finds which features an
era does not have, which only all of its rows tell, and `packed` writes them as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from eraflow.errors import InputError
from eraflow.sources.classic_files import GREATEST, LIVE_ERA, Catalogue, Folder, Split

Levels = npt.NDArray[np.int8]  # features x rows, or of one row of these
MISSING = -1  # the level of a value that is not known: a packed array has no null elements
ABSENT = 2  # the level that all rows of an era have where the era does not have the feature
NO_LEVEL = 100  # stands for a value that is none of the levels
VALUES_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class EraSurvey:
    """What one file's rows of an era hold: `least` and `greatest` level by feature (MISSING: no value at all)."""

    split: str
    era: str
    rows: int
    nulls: int
    least: Levels
    greatest: Levels

    @property
    def absent(self) -> bytes:
        """The features that the era does not have, a bit each: nothing but nulls, or the middle level throughout."""
        all_two = (self.least == ABSENT) & (self.greatest == ABSENT)
        return np.packbits((self.greatest == MISSING) | all_two).tobytes()


def absent_features(bits: bytes, features: int) -> npt.NDArray[np.bool_]:
    """`EraSurvey.absent` by feature."""
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=features).astype(np.bool_)


def survey(spark: SparkSession, folder: Folder, found: Sequence[Split], known: Catalogue) -> list[EraSurvey]:
    """Every era of every file, sorted. InputError names file, column and era of a value that is no level.

    Some thousand rows of twice as many bytes as there are features come to the driver: about 10 MB for all of v5.3.
    """
    root, names = folder.path, known.features

    def make(groups: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for split, group in _groups(groups):
            eras: dict[str, EraSurvey] = {}
            for rows in _batches(Folder(root), split, group, ["era", *names]):
                for seen in _seen(split, rows, names):
                    eras[seen.era] = _joined(eras[seen.era], seen) if seen.era in eras else seen
            yield pa.RecordBatch.from_pylist(
                [vars(x) | {"least": x.least.tobytes(), "greatest": x.greatest.tobytes()} for x in eras.values()]
            )

    schema = "split string, era string, rows long, nulls long, least binary, greatest binary"
    eras: dict[tuple[str, str], EraSurvey] = {}
    for row in _row_groups(spark, folder, found).mapInArrow(make, schema).toLocalIterator():
        least, greatest = (np.frombuffer(row[name], dtype=np.int8) for name in ("least", "greatest"))
        part = EraSurvey(row["split"], row["era"], row["rows"], row["nulls"], least, greatest)
        key = (part.split, part.era)
        eras[key] = _joined(eras[key], part) if key in eras else part
    for part in eras.values():
        _refuse_no_level(folder, part, names)
    return [eras[key] for key in sorted(eras)]


def _seen(split: str, rows: pa.RecordBatch, names: Sequence[str]) -> Iterator[EraSurvey]:
    levels = _levels(rows, names)
    eras = np.asarray(rows.column("era").cast(pa.string()).to_pylist(), dtype=object)
    for era in dict.fromkeys(eras):
        own = levels[:, eras == era]
        some = np.where(own == MISSING, np.int8(NO_LEVEL), own).min(axis=1)
        greatest = own.max(axis=1)
        least = np.where(greatest == MISSING, np.int8(MISSING), some)
        yield EraSurvey(split, era, own.shape[1], int((own == MISSING).sum()), least, greatest)


def _joined(one: EraSurvey, other: EraSurvey) -> EraSurvey:
    nothing = (one.greatest == MISSING, other.greatest == MISSING)
    least = np.where(nothing[0], other.least, np.where(nothing[1], one.least, np.minimum(one.least, other.least)))
    greatest = np.maximum(one.greatest, other.greatest)
    return EraSurvey(one.split, one.era, one.rows + other.rows, one.nulls + other.nulls, least, greatest)


def _refuse_no_level(folder: Folder, part: EraSurvey, names: Sequence[str]) -> None:
    wrong = (part.least < MISSING) | (part.greatest > GREATEST)
    if wrong.any():
        raise InputError(
            f"{folder.path}/{part.split}.parquet: column {names[int(wrong.argmax())]!r} holds a value in era "
            f"{part.era} that is none of the five levels (0 to 4, or 0 to 1 by quarters); download it again."
        )


def blocks(known: Catalogue) -> dict[str, tuple[str, ...]]:
    """Column -> its features: small, the rest of medium, all others. A nested set is leading blocks side by side."""
    small, medium = len(known.sets["small"]), len(known.sets["medium"])
    names = known.features
    return {
        "features_small": names[:small],
        "features_medium": names[small:medium],
        "features_all": names[medium:],
    }


def packed(
    spark: SparkSession,
    folder: Folder,
    found: Sequence[Split],
    known: Catalogue,
    absent: Mapping[int, bytes],
    live_era: int,
    era_block: int,
) -> DataFrame:
    """`id, era, era_block, data_type`, the blocks as `array<tinyint>`, and the targets as `float` (null: unknown).

    `absent`: by era the features that it does not have (`EraSurvey.absent`); they are MISSING, as nulls are. The live
    rows get the number `live_era`, and have no targets.
    """
    root, names, columns = folder.path, known.features, blocks(known)
    targets = tuple(dict.fromkeys(name for split in found for name in split.targets))

    def make(groups: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for split, group in _groups(groups):
            there = [name for name in targets if any(x.name == split and name in x.targets for x in found)]
            for rows in _batches(Folder(root), split, group, ["id", "era", "data_type", *there, *names]):
                yield _packed(rows, names, columns, targets, absent, live_era, era_block)

    arrays = ", ".join(f"{name} array<tinyint>" for name in columns)
    floats = "".join(f", {name} float" for name in targets)
    schema = f"id string, era int, era_block int, data_type string, {arrays}{floats}"
    return _row_groups(spark, folder, found).mapInArrow(make, schema)


def _packed(
    rows: pa.RecordBatch,
    names: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    targets: Sequence[str],
    absent: Mapping[int, bytes],
    live_era: int,
    era_block: int,
) -> pa.RecordBatch:
    labels = rows.column("era").cast(pa.string()).to_pylist()
    eras = np.array([live_era if label == LIVE_ERA else int(label) for label in labels], dtype=np.int32)
    levels = _levels(rows, names)
    for era in np.unique(eras):
        mask = absent_features(absent[int(era)], len(names))
        if mask.any():
            levels[np.ix_(mask, eras == era)] = MISSING
    out: dict[str, pa.Array] = {
        "id": rows.column("id").cast(pa.string()),
        "era": pa.array(eras),
        "era_block": pa.array(eras // era_block),
        "data_type": rows.column("data_type").cast(pa.string()),
    }
    begin = 0
    for column, features in columns.items():
        block = np.ascontiguousarray(levels[begin : begin + len(features)].T)
        offsets = np.arange(len(eras) + 1, dtype=np.int32) * len(features)
        out[column] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(block.reshape(-1)))
        begin += len(features)
    for name in targets:
        out[name] = _floats(rows, name)
    return pa.RecordBatch.from_pydict(out)


def _floats(rows: pa.RecordBatch, name: str) -> pa.Array:
    if name not in rows.schema.names:
        return pa.nulls(rows.num_rows, pa.float32())
    values = rows.column(name).cast(pa.float32()).to_numpy(zero_copy_only=False)
    return pa.array(values, from_pandas=True)  # NaN is null


def _levels(rows: pa.RecordBatch, names: Sequence[str]) -> Levels:
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
        whole = np.rint(np.where(unknown, 0.0, floats))
        right = unknown | ((np.abs(floats - whole) < 1e-6) & (whole >= 0) & (whole <= GREATEST))
        levels[place] = np.where(unknown, MISSING, np.where(right, whole, NO_LEVEL)).astype(np.int8)
    return levels


def _row_groups(spark: SparkSession, folder: Folder, found: Sequence[Split]) -> DataFrame:
    """`split, group`: one row and one partition for each row group."""
    every = [
        (split.name, group) for split in found for group in range(folder.footer(f"{split.name}.parquet").num_row_groups)
    ]
    return spark.createDataFrame(pd.DataFrame(every), "split string, group int").repartition(len(every))


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, int]]:
    for batch in batches:
        yield from zip(*(batch.column(name).to_pylist() for name in ("split", "group")), strict=True)


def _batches(folder: Folder, split: str, group: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    rows = max(256, VALUES_AT_ONCE // len(columns))
    with folder.opened(f"{split}.parquet") as stream:
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=64 * 1024)
        yield from file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False)
