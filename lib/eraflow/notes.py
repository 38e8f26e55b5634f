"""Small notes about the tables below a root: which versions runs have pinned, what was taken when, what is gone.

Beside a folder of tables a note is a file. A catalog has no place for files, so that notes are rows of a table there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow import hadoop

FOLDER = TABLE = "_eraflow"  # below the root
SCHEMA = "name string, content string, at string"


class Notes(Protocol):
    """Notes by name, `KIND/NAME`."""

    def put(self, name: str, content: object) -> None:
        """Keeps a note, whole or not at all, in the place of one of its name."""
        ...

    def get(self, name: str) -> Any:
        """What a note holds; None where there is none."""
        ...

    def drop(self, name: str) -> None: ...

    def names(self, kind: str) -> list[str]:
        """The names of the notes of a kind."""
        ...


@dataclass(frozen=True)
class FolderNotes:
    """Files below the root, `_eraflow/KIND/NAME.json`."""

    spark: SparkSession
    root: str

    def put(self, name: str, content: object) -> None:
        hadoop.write_text(self.spark, self._place(name), json.dumps(content, sort_keys=True))

    def get(self, name: str) -> Any:
        found = hadoop.read_text(self.spark, self._place(name))
        return None if found is None else json.loads(found)

    def drop(self, name: str) -> None:
        hadoop.remove(self.spark, self._place(name))

    def names(self, kind: str) -> list[str]:
        entries = hadoop.inside(self.spark, f"{self.root.rstrip('/')}/{FOLDER}/{kind}")
        files = [entry.getPath().getName() for entry in entries]
        return sorted(f"{kind}/{name.removesuffix('.json')}" for name in files if name.endswith(".json"))

    def _place(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{FOLDER}/{name}.json"


@dataclass(frozen=True)
class CatalogNotes:
    """Rows of `_eraflow` in the schema. A note is a row more, and the newest of its name holds.

    Delta lets any number of writers append at once, where replacing a row could fail for another writer's.
    """

    spark: SparkSession
    root: str

    def put(self, name: str, content: object) -> None:
        self._append(name, json.dumps(content, sort_keys=True))

    def get(self, name: str) -> Any:
        found = self._newest(F.col("name") == name)
        return json.loads(found[name]) if name in found else None

    def drop(self, name: str) -> None:
        if self.get(name) is not None:
            self._append(name, None)

    def names(self, kind: str) -> list[str]:
        return sorted(self._newest(F.col("name").startswith(f"{kind}/")))

    def _newest(self, which: Any) -> dict[str, str]:
        """By name what notes hold: one row a note."""
        if not self.spark.catalog.tableExists(self._address):
            return {}
        rows = self.spark.read.table(self._address).where(which)
        newest = rows.groupBy("name").agg(F.max_by("content", "at").alias("content")).where("content is not null")
        return {row["name"]: row["content"] for row in newest.collect()}

    def _append(self, name: str, content: str | None) -> None:
        row = self.spark.createDataFrame([(name, content, datetime.now(UTC).isoformat())], SCHEMA)
        row.write.format("delta").mode("append").saveAsTable(self._address)

    @property
    def _address(self) -> str:
        return f"{self.root}.{TABLE}"
