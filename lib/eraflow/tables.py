"""Delta tables under one root: read a named version, write a whole one atomically, know what it was made from.

A table is addressed by `NAME/RECIPE`: what other settings or other code make stands beside it, under another recipe.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DoubleType, FloatType

from eraflow import hadoop
from eraflow.delta_log import Commit, commits
from eraflow.errors import InputError
from eraflow.locks import locked
from eraflow.notes import CatalogNotes, FolderNotes, Notes

# Notes of a table: when a version was taken last; which are gone; hashes of the eras of the version that was read last.
USED, REMOVED, HASHES = "used", "removed", "hashes"
PROPERTIES = {
    # As long as a version is kept at all, its log entry and files must be: `retention.prune` removes them.
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    # Files are chosen by dates and eras, which are among the first two columns. Of 32 (the default) Delta would look
    # for the least and the greatest value and count the nulls, row by row.
    "delta.dataSkippingNumIndexedCols": "2",
}
# Bytes that wait in each open file until they are written. A task that writes tickers by years has a file of every year
# open: at Parquet's own 128 MB those of 7,000 tickers over 15 years filled a heap of 3 GB.
ROW_GROUP = 8 << 20
TABLE_OF_ERAFLOW = re.compile(r"(\w+?)__([0-9a-f]{16})")  # in a catalog
# Commits that change no row of a table.
UPKEEP = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "COMPUTE STATS",
          "UPGRADE PROTOCOL", "CLUSTER BY", "REORG")  # fmt: skip


@dataclass(frozen=True)
class Version:
    """One version of one table, and what it was made from.

    `fingerprint` is the hash of the table's recipe, of its inputs' fingerprints and of its raw data: two versions with
    one fingerprint hold the same content. `inputs` are numbers of versions by the address of their table. `manifest` is
    what readers need to know beside the schema.
    """

    table: str  # NAME/RECIPE
    number: int
    fingerprint: str
    inputs: Mapping[str, int] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.table.partition("/")[0]

    @property
    def recipe(self) -> str:
        return self.table.partition("/")[2]


@dataclass(frozen=True)
class DataFile:
    """A file of a table, by its path within its store."""

    path: str
    size: int  # bytes
    modified: float  # seconds since 1970


@dataclass(frozen=True)
class Part:
    """The rows of a table that a write replaces: where `condition` holds.

    None is of a day before `first`, but for labels (sectors), which may be others from `first_label` on.
    """

    first: date  # date.min where rows have no days
    condition: str
    first_label: date = date.max

    @property
    def since(self) -> date:
        """The first day of which anything may be another."""
        return min(self.first, self.first_label)


def from_day(first: date, last: date | None = None) -> Part:
    """The rows of a table by `year` and `date` from one day on, or to another one."""
    condition = f"year >= {first.year} AND date >= '{first}'"
    if last is not None:
        condition += f" AND year <= {last.year} AND date <= '{last}'"
    return Part(first, condition)


@dataclass(frozen=True)
class Store:
    """The tables under `root`: a folder, an object-store path, or `catalog.schema`."""

    spark: SparkSession
    root: str
    wait: float = 0.0  # seconds for which a writer waits for another one

    def latest(self, table: str) -> Version | None:
        """The newest version, or None where there is no such table yet, or something else wrote it.

        A commit that changes no row, such as an OPTIMIZE by hand, is no version.
        """
        newest = next((commit for commit in self._newest_first(table) if commit.operation not in UPKEEP), None)
        return self._version(table, newest) if newest else None

    def version(self, table: str, number: int) -> Version | None:
        """The version of this number; None where there is no such table, or the log does not hold it any more."""
        if number in (self.notes.get(note_of(REMOVED, table)) or []):
            return None
        found = next((commit for commit in self._newest_first(table) if commit.number <= number), None)
        return self._version(table, found) if found and found.number == number else None

    def versions(self, table: str) -> list[Version]:
        """All versions that the log still holds and whose files are there, the newest first."""
        gone = set(self.notes.get(note_of(REMOVED, table)) or [])
        made = [self._version(table, commit) for commit in self._newest_first(table) if commit.number not in gone]
        return [version for version in made if version is not None]

    def commits(self, table: str) -> list[Commit]:
        """All commits that the log still holds, the oldest first."""
        return [*self._newest_first(table)][::-1]

    def names(self) -> list[str]:
        """The names of all tables below the root."""
        if self._is_catalog:
            return sorted({name for name, _ in self._in_schema()})
        return sorted(name for name in self._folders(self.root) if name[0] not in "._")

    def recipes(self, name: str) -> list[str]:
        """The addresses of all tables of this name, whatever their recipe."""
        if self._is_catalog:
            return sorted(f"{table}/{recipe}" for table, recipe in self._in_schema() if table == name)
        folders = self._folders(f"{self.root.rstrip('/')}/{name}")
        return sorted(f"{name}/{part}" for part in folders if self._exists(f"{name}/{part}"))

    def refuse_older(self, name: str) -> None:
        """InputError where a version of eraflow that knew no recipes has written a table of this name."""
        if self.has_folder and self._exists(name):
            raise InputError(
                f"tables.root: {self.root} holds tables of an earlier version of eraflow; remove the folder, or name "
                "another one."
            )

    def input_of(self, made: Version, name: str) -> Version | None:
        """The version of the table of this name that `made` was made from, if the log still holds it."""
        found = [(table, number) for table, number in made.inputs.items() if table.partition("/")[0] == name]
        return self.version(*found[0]) if found else None

    def read(self, version: Version) -> DataFrame:
        reader = self.spark.read.option("versionAsOf", version.number)
        if self._is_catalog:
            return reader.table(self._address(version.table))
        return reader.format("delta").load(self._address(version.table))

    def write(
        self,
        table: str,
        frame: DataFrame,
        fingerprint: str,
        inputs: Sequence[Version] = (),
        manifest: Mapping[str, Any] | None = None,
        partition_by: Sequence[str] = (),
        part: Part | None = None,
    ) -> Version:
        """Replaces the table, or a part of it, by `frame` in one commit; until then readers see the version before.

        Rows outside the part are refused by Delta, and nothing is written.
        """
        made = {
            "fingerprint": fingerprint,
            "inputs": {version.table: version.number for version in inputs},
            "manifest": dict(manifest or {}),
            "changed_from": part.first.isoformat() if part else None,
            "labels_changed_from": part.since.isoformat() if part else None,
        }
        writer = frame.write.format("delta").partitionBy(*partition_by)
        writer = writer.option("userMetadata", json.dumps(made)).options(**PROPERTIES)
        if self.has_folder and next(self._newest_first(table), None) is None:
            writer = writer.mode("error")  # Delta looks for files to replace even where there is no table yet
        else:
            writer = writer.mode("overwrite")
            writer = writer.option(*("replaceWhere", part.condition) if part else ("overwriteSchema", "true"))
        with _parquet_of(frame):
            if self._is_catalog:
                writer.saveAsTable(self._address(table))
            else:
                writer.save(self._address(table))
        written = self.latest(table)
        if written is None or written.fingerprint != fingerprint:
            raise RuntimeError(f"table {table} was changed by somebody else while it was written")
        if written.number == 0:  # one of this name may have been removed by hand
            self._forget(table)
        return written

    def changed_since(self, table: str, number: int, labels: bool = False) -> date:
        """The first day on which the newest version may differ from an earlier one; date.min if on any.

        A change of labels alone counts where `labels` says so.
        """
        held = [*takewhile(lambda commit: commit.number >= number, self._newest_first(table))]
        later = [commit for commit in held if commit.number > number]
        if not held or len(later) != held[0].number - number:
            return date.min  # an older log entry is gone
        key = "labels_changed_from" if labels else "changed_from"
        days = [commit.noted.get(key) for commit in later if commit.operation not in UPKEEP]
        return min((date.fromisoformat(day) if day else date.min for day in days), default=date.max)

    @contextmanager
    def lock(self, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        """Lets one process write below the root. On an object store Delta's own conflict check has to do.

        A second one waits for `wait` seconds and says so by `waiting`; then InputError names who holds the lock.
        """
        if not self.has_lock:
            yield
            return
        path = self.root.removeprefix("file:")
        with locked(Path(path if not path.startswith("//") else path[2:]), "tables.root", self.wait, waiting):
            yield

    @property
    def has_folder(self) -> bool:
        """Whether the root is a folder or a path of a store, whose files can be counted; a catalog is none."""
        return not self._is_catalog

    @property
    def notes(self) -> Notes:
        """Small notes beside the tables."""
        return (CatalogNotes if self._is_catalog else FolderNotes)(self.spark, self.root)

    @property
    def has_lock(self) -> bool:
        """Whether `lock` keeps other writers away: below a folder of this machine alone."""
        scheme, colon, _ = self.root.rpartition(":")
        return self.has_folder and (not colon or scheme == "file")

    def data_files(self, table: str) -> list[DataFile]:
        """The files in the table's folder but its log: of all versions, and what killed writers have left."""
        path, system = hadoop.located(self.spark, self._address(table))
        found, every = [], system.listFiles(path, True)
        while every.hasNext():
            status = every.next()
            place = str(status.getPath().toUri().getPath())
            if "/_delta_log/" not in place:
                found.append(DataFile(place, int(status.getLen()), status.getModificationTime() / 1000))
        return found

    def remove(self, table: str) -> None:
        """Removes a whole table, and what is noted of its versions: one of its name begins at 0 again."""
        if self._is_catalog:
            self.spark.sql(f"DROP TABLE IF EXISTS {self._address(table)}")
        else:
            hadoop.remove(self.spark, self._address(table), folder=True)
        self._forget(table)

    def remove_file(self, place: str) -> None:
        """Removes one file of the root's store."""
        hadoop.remove(self.spark, place)

    def _folders(self, place: str) -> list[str]:
        entries = hadoop.inside(self.spark, place)
        return [entry.getPath().getName() for entry in entries if entry.isDirectory()]

    def _in_schema(self) -> list[tuple[str, str]]:
        """Name and recipe of eraflow's tables in the catalog's schema, in which others may stand, too."""
        rows = self.spark.sql(f"SHOW TABLES IN {self.root}").collect()  # one row a table
        found = (TABLE_OF_ERAFLOW.fullmatch(row["tableName"]) for row in rows)
        return [(match[1], match[2]) for match in found if match]

    def _forget(self, table: str) -> None:
        for kind in (REMOVED, USED, HASHES):
            self.notes.drop(note_of(kind, table))

    def _newest_first(self, table: str) -> Iterator[Commit]:
        """The commits that the log still holds; none where there is no such table."""
        if not self._is_catalog:
            yield from commits(self.spark, self._address(table))
        elif self._exists(table):
            history = self.spark.sql(f"DESCRIBE HISTORY {self._address(table)}")  # one row a commit
            for row in history.select("version", "timestamp", "operation", "userMetadata").collect():
                yield Commit.of(row["version"], row["timestamp"].astimezone(UTC), row["operation"], row["userMetadata"])

    def _version(self, table: str, commit: Commit) -> Version | None:
        made = commit.noted
        if "fingerprint" not in made:
            return None  # written by something else: what it holds is not known
        return Version(table, commit.number, made["fingerprint"], made["inputs"], made["manifest"])

    @property
    def _is_catalog(self) -> bool:
        return "/" not in self.root and self.root.count(".") == 1 and not self.root.startswith(".")

    def _address(self, table: str) -> str:
        if self._is_catalog:
            return f"{self.root}.{table.replace('/', '__')}"
        return f"{self.root.rstrip('/')}/{table}"

    def _exists(self, table: str) -> bool:
        if self._is_catalog:
            return bool(self.spark.catalog.tableExists(self._address(table)))
        return bool(DeltaTable.isDeltaTable(self.spark, self._address(table)))


@contextmanager
def _parquet_of(frame: DataFrame) -> Iterator[None]:
    """Parquet's settings for these rows: small row groups, and doubles and arrays of floats without a dictionary.

    They hardly repeat: Parquet would put each value of a file into a hash table first, and find that it saves nothing.
    Of a table of features that was half of the time of writing, and most of its memory.
    """
    places = [field.name for field in frame.schema if isinstance(field.dataType, DoubleType)]
    places += [
        f"{field.name}.list.element"
        for field in frame.schema
        if isinstance(field.dataType, ArrayType) and isinstance(field.dataType.elementType, DoubleType | FloatType)
    ]
    parquet = {f"parquet.enable.dictionary#{place}": "false" for place in places}
    parquet["parquet.block.size"] = str(ROW_GROUP)
    settings = frame.sparkSession.conf
    before = {key: settings.get(key, None) for key in parquet}  # a platform's session may have its own
    for key, value in parquet.items():
        settings.set(key, value)
    try:
        yield
    finally:
        for key, value_before in before.items():
            if value_before is None:
                settings.unset(key)
            else:
                settings.set(key, value_before)


def file_names(rows: DataFrame) -> list[str]:
    """The names of the files that these rows of one table are read from."""
    return sorted(file.rpartition("/")[2] for file in rows.inputFiles())


def refuse_taken(spark: SparkSession, folder: str) -> None:
    """Raises InputError where a plain copy would be written over something."""
    path, system = hadoop.located(spark, folder)
    if system.exists(path):
        raise InputError(f"--export {folder}: that is there already; name a new folder, so that nothing is lost.")


def write_parquet(frame: DataFrame, folder: str) -> None:
    """Writes plain parquet files as pyarrow does: zstd at its first level, no checksums of pages."""
    with _parquet_of(frame):
        options = {"compression": "zstd", "parquet.compression.codec.zstd.level": "1"}
        options["parquet.page.write-checksum.enabled"] = "false"
        frame.write.mode("error").options(**options).parquet(folder)


def write_plain(frame: DataFrame, dictionary: pd.DataFrame, folder: str) -> None:
    """Writes `folder/features/*.parquet` and, when these are complete, `folder/dictionary.csv`."""
    write_parquet(frame, f"{folder.rstrip('/')}/features")
    hadoop.write_text(frame.sparkSession, f"{folder.rstrip('/')}/dictionary.csv", dictionary.to_csv(index=False))


def note_of(kind: str, table: str) -> str:
    """The name of a table's note of this kind."""
    return f"{kind}/{table.replace('/', '-')}"
