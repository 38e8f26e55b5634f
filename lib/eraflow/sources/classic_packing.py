"""Numerai Classic's wide files as packed rows: one array for each block of features, and the rows of an era numbered.

Feature sets overlap. The sets that are to be read fast cut all features into blocks, so that each of them is some whole
blocks; any other set is a selection from the blocks that hold it. Targets lie apart (`classic_labels`): they become
known long after an era's features, which never change, and find their row by its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from eraflow.errors import InputError
from eraflow.sources.classic_files import Catalogue, Folder, Split
from eraflow.sources.classic_survey import (
    MISSING,
    Levels,
    absent_features,
    batches,
    groups_of,
    levels_of,
    row_groups,
    spread,
)


def blocks(catalogue: Catalogue, fast: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Column -> the places of its features, ascending: the parts into which the sets `fast` cut all features.

    InputError where features.json names no such set.
    """
    if unknown := [name for name in fast if name not in catalogue.sets]:
        raise InputError(
            f"classic.read_fast: there is no feature set {unknown[0]!r}; choose from {', '.join(catalogue.sets)}."
        )
    members = {name: set(catalogue.sets[name]) for name in fast}
    parts: dict[tuple[str, ...], list[int]] = {}
    for place in range(len(catalogue.features)):
        parts.setdefault(tuple(name for name in fast if place in members[name]), []).append(place)
    # Those in the most sets come first, those in none last: an order that depends on nothing but the sets.
    ordered = sorted(parts, key=lambda names: (-len(names), [fast.index(name) for name in names]))
    columns = {_column(names).lower(): tuple(parts[names]) for names in ordered}
    if len(columns) < len(ordered):
        raise InputError(f"classic.read_fast: {', '.join(fast)} give two arrays of features one name; leave a set out.")
    return columns


def _column(sets: Sequence[str]) -> str:
    """A name that any table format takes."""
    return "features_" + ("_and_".join(re.sub(r"\W", "_", name) for name in sets) or "others")


@dataclass(frozen=True)
class Wanted:
    """Which eras are packed: of each the bits of the features that it lacks (`EraSurvey.absent`), by its number."""

    absent: Mapping[int, bytes]
    era_block: int

    def number(self, label: str) -> int | None:
        """Of an era as the files write it; None where it is not wanted."""
        return int(label) if int(label) in self.absent else None


def packed(
    spark: SparkSession,
    folder: Folder,
    files: Sequence[Split],
    features: Sequence[str],
    columns: Mapping[str, Sequence[int]],
    wanted: Wanted,
) -> DataFrame:
    """`id, era, row, era_block` and an `array<tinyint>` for each of `columns`: its places within `features`.

    `row` numbers the rows of an era 0, 1, ... as the files have them. What an era does not have is MISSING, as nulls
    are. Row groups without a wanted era are not read.
    """
    root = folder.path
    starts = _starts(spark, folder, files, wanted)

    def make(groups: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for split, group in groups_of(groups):
            next_row = dict(starts[split, group])
            for rows in batches(Folder(root), split, group, ["id", "era", *features]):
                yield from _packed(rows, features, columns, wanted, next_row)

    arrays = "".join(f", {name} array<tinyint>" for name in columns)
    schema = f"id string, era int, row int, era_block int{arrays}"
    return spread(spark, list(starts)).mapInArrow(make, schema)


def _starts(
    spark: SparkSession, folder: Folder, files: Sequence[Split], wanted: Wanted
) -> dict[tuple[str, int], dict[int, int]]:
    """Of each row group with wanted eras these eras' first row in it, by number: an era may go over several groups."""
    root = folder.path

    def count(groups: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for split, group in groups_of(groups):
            for rows in batches(Folder(root), split, group, ["era"]):
                counts = rows.column("era").cast(pa.string()).value_counts()
                size = len(counts)
                columns = [pa.array([split] * size), pa.array([group] * size, pa.int32()), *counts.flatten()]
                yield pa.RecordBatch.from_arrays(columns, ["split", "group", "era", "rows"])

    schema = "split string, group int, era string, rows long"
    counted = row_groups(spark, folder, files).mapInArrow(count, schema).groupBy("split", "group", "era").sum("rows")
    before: dict[tuple[str, int], int] = {}
    starts: dict[tuple[str, int], dict[int, int]] = {}
    # One row an era, and one more wherever a row group ends within an era.
    for split, group, era, rows in sorted(counted.collect()):
        if (number := wanted.number(era)) is not None:
            starts.setdefault((split, group), {})[number] = before.get((split, number), 0)
            before[split, number] = before.get((split, number), 0) + rows
    return starts


def _packed(
    rows: pa.RecordBatch,
    features: Sequence[str],
    columns: Mapping[str, Sequence[int]],
    wanted: Wanted,
    next_row: dict[int, int],
) -> Iterator[pa.RecordBatch]:
    """The wanted rows, an era a batch; counts them on in `next_row`."""
    labels = np.asarray(rows.column("era").cast(pa.string()).to_pylist(), dtype=object)
    numbers = {label: number for label in dict.fromkeys(labels) if (number := wanted.number(label)) is not None}
    levels = levels_of(rows, features) if numbers else np.empty((0, 0), dtype=np.int8)
    for label, number in numbers.items():
        places = np.flatnonzero(labels == label)
        of_era, count, first = levels[:, places], len(places), next_row[number]
        of_era[absent_features(wanted.absent[number], len(features))] = MISSING
        out: dict[str, pa.Array] = {
            "id": rows.column("id").cast(pa.string()).take(pa.array(places)),
            "era": _repeated(number, count),
            "row": pa.array(np.arange(first, first + count, dtype=np.int32)),
            "era_block": _repeated(number // wanted.era_block, count),
        }
        out |= {name: _lists(of_era[np.asarray(at, dtype=np.intp)]) for name, at in columns.items()}
        next_row[number] += count
        yield pa.RecordBatch.from_pydict(out)


def _repeated(value: int, count: int) -> pa.Array:
    return pa.array(np.full(count, value, dtype=np.int32))


def _lists(levels: Levels) -> pa.Array:
    """A list for each row, of features x rows."""
    offsets = np.arange(levels.shape[1] + 1, dtype=np.int32) * levels.shape[0]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(levels.T).reshape(-1)))
