"""Delta tables under one root: read a named version, write a whole one atomically, know what it was made from.

A table is addressed by `NAME/RECIPE`: what other settings or other code make stands beside it, under another recipe.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import pandas as pd
from delta.tables import DeltaTable
from filelock import FileLock, Timeout
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from eraflow.errors import InputError

NOTES = "_eraflow"  # the folder below a root in which small notes about its tables lie
USED, REMOVED = f"{NOTES}/used", f"{NOTES}/removed"  # of a table: when a version was taken last; which are gone
# As long as a version is kept at all, its log entry and files must be: `retention.prune` removes them.
LASTING = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
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
        if not self._exists(table):
            return None
        newest = self._commits(self._delta(table).history(1))
        if newest and newest[0]["operation"] in UPKEEP:
            newest = [row for row in self.commits(table) if row["operation"] not in UPKEEP][-1:]
        return self._version(table, newest[0]) if newest else None

    def version(self, table: str, number: int) -> Version | None:
        """The version of this number; None where there is no such table, or the log does not hold it any more."""
        if not self._exists(table) or number in (self.noted(note_of(REMOVED, table)) or []):
            return None
        found = self._commits(self._delta(table).history().where(F.col("version") == number))
        return self._version(table, found[0]) if found else None

    def commits(self, table: str) -> list[Row]:
        """`version, timestamp, operation, userMetadata` of all commits that the log still holds, the oldest first."""
        return sorted(self._commits(self._delta(table).history()), key=itemgetter("version"))

    def names(self) -> list[str]:
        """The names of all tables below the root's folder."""
        path, system = _hadoop(self.spark, self.root)
        if not system.exists(path):
            return []
        inside = [status.getPath().getName() for status in system.listStatus(path) if status.isDirectory()]
        return sorted(name for name in inside if name[0] not in "._")

    def recipes(self, name: str) -> list[str]:
        """The addresses of all tables of this name, whatever their recipe."""
        if self._is_catalog:
            found = self.spark.sql(f"SHOW TABLES IN {self.root} LIKE '{name}__*'").collect()  # one row a recipe
            return sorted(f"{name}/{row['tableName'].partition('__')[2]}" for row in found)
        path, system = _hadoop(self.spark, f"{self.root.rstrip('/')}/{name}")
        if not system.exists(path):
            return []
        inside = [status.getPath().getName() for status in system.listStatus(path) if status.isDirectory()]
        return sorted(f"{name}/{part}" for part in inside if self._exists(f"{name}/{part}"))

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
        writer = frame.write.format("delta").mode("overwrite").partitionBy(*partition_by)
        writer = writer.option("userMetadata", json.dumps(made)).options(**LASTING)
        writer = writer.option(*("replaceWhere", part.condition) if part else ("overwriteSchema", "true"))
        if self._is_catalog:
            writer.saveAsTable(self._address(table))
        else:
            writer.save(self._address(table))
        written = self.latest(table)
        if written is None or written.fingerprint != fingerprint:
            raise RuntimeError(f"table {table} was changed by somebody else while it was written")
        return written

    def changed_since(self, table: str, number: int, labels: bool = False) -> date:
        """The first day on which the newest version may differ from an earlier one; date.min if on any.

        A change of labels alone counts where `labels` says so.
        """
        commits = self._commits(self._delta(table).history().where(F.col("version") >= number))
        later = [row for row in commits if row["version"] > number]
        if not commits or len(later) != max(row["version"] for row in commits) - number:
            return date.min  # an older log entry is gone
        key = "labels_changed_from" if labels else "changed_from"
        days = [json.loads(row["userMetadata"] or "{}").get(key) for row in later if row["operation"] not in UPKEEP]
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
        """Whether the root is a folder or a path of a store, where notes can lie beside tables; a catalog is none."""
        return not self._is_catalog

    def note(self, name: str, content: object) -> None:
        """Keeps a small note beside the tables, whole or not at all; nothing is kept in a catalog."""
        if self.has_folder:
            path, system = _hadoop(self.spark, self.note_path(name))
            part = path.suffix(".part")
            stream = system.create(part, True)
            stream.write(bytearray(json.dumps(content, sort_keys=True), "utf-8"))
            stream.close()
            _replace(self.spark, part, path)

    def noted(self, name: str) -> Any:
        """What a note holds; None where there is none."""
        if not self.has_folder:
            return None
        path, system = _hadoop(self.spark, self.note_path(name))
        if not system.exists(path):
            return None
        stream = system.open(path)
        try:
            return json.loads(bytes(stream.readAllBytes()))
        finally:
            stream.close()

    def notes(self, folder: str) -> list[str]:
        """The names of the notes in a folder of them."""
        path, system = _hadoop(self.spark, f"{self.root.rstrip('/')}/{folder}")
        found = system.listStatus(path) if system.exists(path) else []
        names = [status.getPath().getName() for status in found]
        return sorted(f"{folder}/{name.removesuffix('.json')}" for name in names if name.endswith(".json"))

    def note_path(self, name: str) -> str:
        """Where a note lies."""
        return f"{self.root.rstrip('/')}/{name}.json"

    @property
    def has_lock(self) -> bool:
        """Whether `lock` keeps other writers away: below a folder of this machine alone."""
        scheme, colon, _ = self.root.rpartition(":")
        return self.has_folder and (not colon or scheme == "file")

    def data_files(self, table: str) -> list[DataFile]:
        """The files in the table's folder but its log: of all versions, and what killed writers have left."""
        path, system = _hadoop(self.spark, self._address(table))
        found, every = [], system.listFiles(path, True)
        while every.hasNext():
            status = every.next()
            place = str(status.getPath().toUri().getPath())
            if "/_delta_log/" not in place:
                found.append(DataFile(place, int(status.getLen()), status.getModificationTime() / 1000))
        return found

    def remove(self, table: str) -> None:
        """Removes a whole table, and what is noted of its versions: one of its name begins at 0 again."""
        path, system = _hadoop(self.spark, self._address(table))
        system.delete(path, True)
        for kind in (REMOVED, USED):
            self.remove_file(self.note_path(note_of(kind, table)))

    def remove_file(self, place: str) -> None:
        """Removes one file of the root's store."""
        path, system = _hadoop(self.spark, place)
        system.delete(path, False)

    def _commits(self, history: DataFrame) -> list[Row]:
        """One row a commit that the log still holds."""
        return history.select("version", "timestamp", "operation", "userMetadata").collect()

    def _version(self, table: str, commit: Row) -> Version | None:
        made = json.loads(commit["userMetadata"] or "{}")
        if "fingerprint" not in made:
            return None  # written by something else: what it holds is not known
        return Version(table, int(commit["version"]), made["fingerprint"], made["inputs"], made["manifest"])

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

    def _delta(self, table: str) -> DeltaTable:
        address = self._address(table)
        return DeltaTable.forName(self.spark, address) if self._is_catalog else DeltaTable.forPath(self.spark, address)


@contextmanager
def locked(folder: Path, key: str, wait: float = 0.0, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the folder's lock, which ends with the process however it ends.

    While another process holds it, this one waits, and says so by `waiting`; after `wait` seconds InputError names it.
    """
    holder, lock = folder / ".writer", FileLock(folder / ".lock")

    def other() -> str:
        return holder.read_text(encoding="utf-8").strip() if holder.exists() else "another process"

    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if wait and waiting:
                waiting(f"waiting for {other()}, which writes below {folder}")
            lock.acquire(timeout=wait, poll_interval=0.5)
    except Timeout:  # an OSError too, so it comes first
        raise InputError(
            f"{key}: {folder} is in use by {other()}; wait until it ends, or choose another folder."
        ) from None
    except OSError as error:
        raise InputError(f"{key}: {folder} cannot be written ({error.strerror}); choose another folder.") from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def refuse_taken(spark: SparkSession, folder: str) -> None:
    """Raises InputError where a plain copy would be written over something."""
    path, system = _hadoop(spark, folder)
    if system.exists(path):
        raise InputError(f"--export {folder}: that is there already; name a new folder, so that nothing is lost.")


def write_plain(frame: DataFrame, dictionary: pd.DataFrame, folder: str) -> None:
    """Writes `folder/features/*.parquet` and, when these are complete, `folder/dictionary.csv`."""
    frame.write.option("compression", "zstd").parquet(f"{folder.rstrip('/')}/features")
    path, system = _hadoop(frame.sparkSession, f"{folder.rstrip('/')}/dictionary.csv")
    stream = system.create(path, True)
    stream.write(bytearray(dictionary.to_csv(index=False), "utf-8"))
    stream.close()


def note_of(kind: str, table: str) -> str:
    """The name of a table's note of this kind."""
    return f"{kind}/{table.replace('/', '-')}"


def _replace(spark: SparkSession, part: Any, path: Any) -> None:
    """Gives a file the name of another, which it takes the place of: there is always one of them."""
    jvm, gateway = cast(Any, spark.sparkContext._jvm), cast(Any, spark.sparkContext._gateway)
    rename = jvm.org.apache.hadoop.fs.Options.Rename
    options = gateway.new_array(rename, 1)
    options[0] = rename.OVERWRITE
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    jvm.org.apache.hadoop.fs.FileContext.getFileContext(path.toUri(), configuration).rename(part, path, options)


def _hadoop(spark: SparkSession, place: str) -> tuple[Any, Any]:
    """A path of any store that Spark writes to, and its file system."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(place)
    return path, path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
