"""Numerai Classic's files: the contract of a round's data set, checked by its footers and keys.

No feature value is read for it: a parquet file's footer tells each column's least and greatest value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.sources.files import reading

KEYS = ("id", "era", "data_type")
KINDS = {"train": ("train",), "validation": ("validation", "test"), "live": ("live",)}  # data_type by file
SPLITS = tuple(KINDS)
LABELLED = ("train", "validation")  # the files whose rows are learned from and validated
LIVE_ERA = "X"
ALIAS = "target"  # a column that equals one of the named targets; which one has changed between versions
ALL = "all"  # the set of all features, whether features.json names it or not
FEATURE = "feature_"  # how the name of a feature's column begins
GREATEST = 4  # of the bins that integers name, from 0; floats name them from 0 to 1


@dataclass(frozen=True)
class Catalogue:
    """The features of a round's files in order, and every set as places among these, in the set's own order.

    Sets overlap as they like: of v5.0's 42 `small` features 31 are not `medium`. The set `all` is always there.
    """

    features: tuple[str, ...]
    sets: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Split:
    """One of a round's files."""

    name: str
    path: str
    rows: int
    targets: tuple[str, ...]  # without the alias
    has_alias: bool
    dtype: str  # of the features: int8 or float


class Folder:
    """A folder of this machine, or of any store that pyarrow reads."""

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self._system, self._root = fs.FileSystem.from_uri(path if "://" in path else Path(path).absolute().as_uri())

    def has(self, name: str) -> bool:
        return bool(self._system.get_file_info(f"{self._root}/{name}").type == fs.FileType.File)

    def text(self, name: str) -> str:
        with self._system.open_input_stream(f"{self._root}/{name}") as stream:
            return bytes(stream.readall()).decode("utf-8")

    def identity(self, names: Sequence[str]) -> list[tuple[str, int, int]]:
        """Name, size and time of those of the files that are there: what tells that one has changed."""
        found = self._system.get_file_info([f"{self._root}/{name}" for name in names])
        return [
            (name, info.size, info.mtime_ns or 0)
            for name, info in zip(names, found, strict=True)
            if info.type == fs.FileType.File
        ]

    def opened(self, name: str) -> Any:
        """The file for reading anywhere in it."""
        return self._system.open_input_file(f"{self._root}/{name}")

    def footer(self, name: str) -> pq.FileMetaData:
        """InputError where the file has none: a download that broke off."""
        try:
            return pq.read_metadata(f"{self._root}/{name}", filesystem=self._system)
        except (OSError, pa.ArrowInvalid):
            raise InputError(
                f"{self.path}/{name} has no readable parquet footer: it is not whole; download it again."
            ) from None


def catalogue(folder: Folder) -> Catalogue:
    """What the folder's features.json says; what it lacks (v4 names no set `all`) is taken from the files' columns.

    InputError: it is missing, no JSON, or names a feature twice in a set.
    """
    place = f"{folder.path}/features.json"
    if not folder.has("features.json"):
        raise InputError(f"{place} is not there; download it with the round's other files, or check classic.path.")
    try:
        metadata = json.loads(folder.text("features.json"))
        named = {str(name): tuple(map(str, members)) for name, members in metadata["feature_sets"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{place} is no catalogue of feature sets; download it again.") from None
    for name, members in named.items():
        if len(set(members)) < len(members):
            raise InputError(f"{place}: the set {name!r} names a feature twice; download it again.")
    every = named.get(ALL) or _columns(folder)
    # A feature that a set alone names is one of the catalogue, so that a file without it is refused.
    features = tuple(dict.fromkeys([*every, *chain.from_iterable(named.values())]))
    if not features:
        raise InputError(f"{place} names no features, and the files have no column {FEATURE}...; download them again.")
    place_of = {name: at for at, name in enumerate(features)}
    sets = {name: tuple(place_of[member] for member in members) for name, members in named.items()}
    return Catalogue(features, {**sets, ALL: tuple(place_of[name] for name in every)})


def _columns(folder: Folder) -> list[str]:
    """The features of the first file that is there."""
    for name in SPLITS:
        if folder.has(f"{name}.parquet"):
            columns = folder.footer(f"{name}.parquet").schema.to_arrow_schema().names
            return [column for column in columns if column.startswith(FEATURE)]
    return []


def splits(folder: Folder, listed: Catalogue, names: Sequence[str] = SPLITS) -> tuple[Split, ...]:
    """Those of the round's files of these names that are there, in this order.

    InputError: none is there; no footer; a key or a feature that is missing, a feature that features.json does not
    know; a type that is none of int8 and float; a feature value outside its bins; files of one round that differ.
    """
    found = tuple(_split(folder, name, listed) for name in names if folder.has(f"{name}.parquet"))
    if not found:
        raise InputError(
            f"classic.path: {folder.path} holds none of {', '.join(f'{name}.parquet' for name in names)}; download "
            "them, or check the path."
        )
    first = found[0]
    for other in found[1:]:
        if other.dtype != first.dtype:
            raise InputError(
                f"{other.path} has features of type {other.dtype}, {first.path} of {first.dtype}; take both from one "
                "version of the data."
            )
        if other.name != "live" and (apart := sorted(set(other.targets) ^ set(first.targets))):
            raise InputError(
                f"{other.path} and {first.path} do not both have {apart[0]!r}; take both from one version."
            )
    return found


def _split(folder: Folder, name: str, listed: Catalogue) -> Split:
    path, footer = f"{folder.path}/{name}.parquet", folder.footer(f"{name}.parquet")
    schema = footer.schema.to_arrow_schema()
    columns = set(schema.names)
    for column in KEYS:
        if column not in columns:
            raise InputError(f"{path} has no column {column!r}; download it again.")
    for feature in listed.features:
        if feature not in columns:
            raise InputError(
                f"{path} has no column {feature!r}, which features.json names; take both from one version."
            )
    mine = set(listed.features)
    for column in schema.names:
        if column.startswith(FEATURE) and column not in mine:
            raise InputError(f"{path} has a column {column!r} that features.json does not name; take both from one "
                             "version.")  # fmt: skip
    targets = tuple(name for name in schema.names if name.startswith("target_"))
    dtypes = {_dtype(schema.field(feature), path) for feature in listed.features}
    if len(dtypes) > 1:
        raise InputError(f"{path} has int8 and float features; download it again.")
    dtype = dtypes.pop()
    for feature, least, greatest, group in _ranges(footer, mine):
        limit = GREATEST if dtype == "int8" else 1.0
        if least < 0 or greatest > limit:
            wrong = least if least < 0 else greatest
            raise InputError(
                f"{path}: column {feature!r} holds {wrong} in row group {group}, where features are from 0 to "
                f"{limit:g}; download it again."
            )
    return Split(name, path, footer.num_rows, targets, ALIAS in columns, dtype)


def _dtype(field: pa.Field, path: str) -> str:
    if pa.types.is_integer(field.type):
        return "int8"
    if pa.types.is_floating(field.type):
        return "float"
    raise InputError(
        f"{path}: column {field.name!r} is of type {field.type}, which is no feature's; download it again."
    )


def _ranges(footer: pq.FileMetaData, columns: set[str]) -> Iterator[tuple[str, Any, Any, int]]:
    """Column, least and greatest value, row group, where a footer tells them: a column of nulls has neither."""
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if chunk.path_in_schema in columns and chunk.statistics is not None and chunk.statistics.has_min_max:
                yield chunk.path_in_schema, chunk.statistics.min, chunk.statistics.max, number


@dataclass(frozen=True)
class Contents:
    """What the rows of a round's files say, without their features."""

    eras: Mapping[str, tuple[int, ...]]  # of each split, in order
    rows: Mapping[str, int]
    unknown: Mapping[str, tuple[int, ...]]  # target -> eras in which no row knows it
    alias: str | None  # the named target that `target` equals
    gaps: tuple[tuple[int, int], ...]  # (last era before, first era after) where numbers are missing


def contents(spark: SparkSession, found: Sequence[Split]) -> Contents:
    """Reads keys and targets of files with targets. Some thousand rows come to the driver, one an era and file.

    InputError: an era that is no number, an era in two files, an id twice, a data_type or a target value that there is
    not.
    """
    with reading():
        _refuse_twice(spark, found)
        by_split = {split: _by_era(spark, split) for split in found}
    eras: dict[str, tuple[int, ...]] = {}
    for split, rows in by_split.items():
        for row in rows:
            _refuse_wrong(split, row)
        eras[split.name] = tuple(sorted(int(row["era"]) for row in rows))
        if twice := [era for era, later in pairwise(eras[split.name]) if era == later]:
            raise InputError(f"{split.path} writes era {twice[0]:04d} in two ways; download it again.")
    if both := sorted(set(eras.get("train", ())) & set(eras.get("validation", ()))):
        raise InputError(f"era {both[0]:04d} is in train.parquet and in validation.parquet; download both again.")
    every = [row for rows in by_split.values() for row in rows]
    targets = found[0].targets if found else ()
    unknown = {name: tuple(sorted(int(row["era"]) for row in every if not row[f"known {name}"])) for name in targets}
    ordered = sorted(era for numbers in eras.values() for era in numbers)
    return Contents(
        eras,
        {split.name: split.rows for split in found},
        unknown,
        next((name for name in targets if every and all(row[f"apart {name}"] == 0 for row in every)), None),
        tuple((before, after) for before, after in pairwise(ordered) if after > before + 1),
    )


def _by_era(spark: SparkSession, split: Split) -> list[Row]:
    """A row an era: its kinds, how often each target is known and differs from the alias, the targets' range."""
    alias = F.col(ALIAS) if split.has_alias else F.lit(None).cast("double")
    values: list[Column] = []
    for name in split.targets:
        column = F.when(~F.isnan(F.col(name)), F.col(name))
        values += [
            F.count(column).alias(f"known {name}"),
            F.count(F.when(~column.eqNullSafe(F.when(~F.isnan(alias), alias)), 1)).alias(f"apart {name}"),
            F.min(column).alias(f"least {name}"),
            F.max(column).alias(f"greatest {name}"),
        ]
    frame = spark.read.parquet(split.path).groupBy(F.col("era").cast("string").alias("era"))
    return frame.agg(F.collect_set("data_type").alias("kinds"), *values).collect()  # one row an era


def _refuse_wrong(split: Split, row: Row) -> None:
    era = row["era"]
    refuse_keys(split, era, row["kinds"])
    for name in split.targets:
        least, greatest = row[f"least {name}"], row[f"greatest {name}"]
        if least is not None and (least < 0 or greatest > 1):
            wrong = least if least < 0 else greatest
            raise InputError(
                f"{split.path}: column {name!r} holds {wrong} in era {era}, where targets are from 0 to 1; download it "
                "again."
            )


def refuse_keys(split: Split, era: str | None, kinds: Collection[str]) -> None:
    """InputError where the file has no rows of such an era, or of one of the kinds that `data_type` says."""
    if split.name == "live":
        if era != LIVE_ERA:
            raise InputError(
                f"{split.path} holds era {era!r}, where live rows are of era {LIVE_ERA}; download it again."
            )
    elif era is None or re.fullmatch(r"\d{1,5}", era) is None:
        raise InputError(f"{split.path} holds era {era!r}, which is no number such as 0001; download it again.")
    if strange := sorted(set(kinds) - set(KINDS[split.name])):
        raise InputError(
            f"{split.path}: column 'data_type' holds {strange[0]!r} in era {era}; rows of this file are "
            f"{' or '.join(KINDS[split.name])}."
        )


def _refuse_twice(spark: SparkSession, found: Sequence[Split]) -> None:
    ids = [spark.read.parquet(split.path).select("id", F.lit(split.path).alias("path")) for split in found]
    every = reduce(DataFrame.unionAll, ids)
    twice = every.groupBy("id").agg(F.count("*").alias("rows"), F.max("path").alias("path")).where("rows > 1")
    first = twice.agg(F.count("*").alias("ids"), F.min(F.struct("id", "rows", "path")).alias("first")).first()
    if first and first["ids"]:
        others = f", and {first['ids'] - 1} more ids are there twice" if first["ids"] > 1 else ""
        raise InputError(
            f"{first['first']['path']}: id {first['first']['id']!r} has {first['first']['rows']} rows{others}; "
            "download the files of one round again."
        )
