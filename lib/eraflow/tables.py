"""Delta tables under one root: read a named version, write a whole one atomically, know what it was made from."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from delta.tables import DeltaTable
from filelock import FileLock, Timeout
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.errors import InputError


@dataclass(frozen=True)
class Version:
    """One version of one table, and what it was made from.

    `fingerprint` is the hash of the table's part of the config, of its inputs' fingerprints and of its expressions: two
    versions with one fingerprint hold the same content. `manifest` is what readers need to know beside the schema.
    """

    table: str
    number: int
    fingerprint: str
    inputs: Mapping[str, int] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)


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

    def latest(self, table: str) -> Version | None:
        """The newest version, or None where there is no such table yet, or something else wrote it."""
        return self._version(table, self._delta(table).history(1)) if self._exists(table) else None

    def version(self, table: str, number: int) -> Version | None:
        """The version of this number; None where there is no such table, or the log does not hold it any more."""
        if not self._exists(table):
            return None
        return self._version(table, self._delta(table).history().where(F.col("version") == number))

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
        writer = writer.option("userMetadata", json.dumps(made))
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
        # One row a version that the log still holds (30 days of them unless the table says otherwise).
        commits = self._delta(table).history().where(F.col("version") > number).select("userMetadata").collect()
        latest = self.latest(table)
        if latest is None or len(commits) != latest.number - number:
            return date.min  # an older log entry is gone
        key = "labels_changed_from" if labels else "changed_from"
        days = [json.loads(row["userMetadata"] or "{}").get(key) for row in commits]
        return min((date.fromisoformat(day) if day else date.min for day in days), default=date.max)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lets one process write below the root. On an object store Delta's own conflict check has to do."""
        scheme, colon, path = self.root.rpartition(":")
        if self._is_catalog or (colon and scheme != "file"):
            yield
            return
        with locked(Path(path if not path.startswith("//") else path[2:]), "tables.root"):
            yield

    def _version(self, table: str, history: DataFrame) -> Version | None:
        found = history.select("version", "userMetadata").head()
        made = json.loads(found["userMetadata"] or "{}") if found else {}
        if found is None or "fingerprint" not in made:
            return None  # written by something else: what it holds is not known
        return Version(table, int(found["version"]), made["fingerprint"], made["inputs"], made["manifest"])

    @property
    def _is_catalog(self) -> bool:
        return "/" not in self.root and self.root.count(".") == 1 and not self.root.startswith(".")

    def _address(self, table: str) -> str:
        return f"{self.root}.{table}" if self._is_catalog else f"{self.root.rstrip('/')}/{table}"

    def _exists(self, table: str) -> bool:
        if self._is_catalog:
            return bool(self.spark.catalog.tableExists(self._address(table)))
        return bool(DeltaTable.isDeltaTable(self.spark, self._address(table)))

    def _delta(self, table: str) -> DeltaTable:
        address = self._address(table)
        return DeltaTable.forName(self.spark, address) if self._is_catalog else DeltaTable.forPath(self.spark, address)


@contextmanager
def locked(folder: Path, key: str) -> Iterator[None]:
    """Holds the folder's lock, which ends with the process however it ends. InputError names who holds it."""
    holder = folder / ".writer"
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:  # an OSError too, so it comes first
        who = holder.read_text(encoding="utf-8").strip() if holder.exists() else "another process"
        raise InputError(f"{key}: {folder} is in use by {who}; wait until it ends, or choose another folder.") from None
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


def _hadoop(spark: SparkSession, place: str) -> tuple[Any, Any]:
    """A path of any store that Spark writes to, and its file system."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(place)
    return path, path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
