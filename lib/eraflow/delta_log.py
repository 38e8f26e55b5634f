"""The log of a Delta table as it lies in its folder.

A Delta table's history is a Spark job; its log is one small JSON file a commit, and the last one says what is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from eraflow import hadoop

_ENTRY = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class Commit:
    """One commit of a Delta table: when it was written (UTC), by which operation, and what its writer noted."""

    number: int
    written: datetime
    operation: str
    noted: Mapping[str, Any]

    @classmethod
    def of(cls, number: int, written: datetime, operation: str, metadata: str | None) -> Commit:
        """With the writer's note as Delta keeps it, a text; of another writer's that is no JSON object, none."""
        try:
            noted = json.loads(metadata or "{}")
        except (ValueError, TypeError):
            noted = {}
        return cls(number, written, operation, noted if isinstance(noted, dict) else {})


def commits(spark: SparkSession, table: str) -> Iterator[Commit]:
    """The commits that the log of the table in this folder still holds, the newest first; none where it is no table."""
    entries = {str(status.getPath().getName()): status for status in hadoop.inside(spark, f"{table}/_delta_log")}
    for name in sorted(filter(_ENTRY.fullmatch, entries), reverse=True):
        status = entries[name]
        made = _made(hadoop.read_text(spark, status.getPath().toString()) or "")
        written = datetime.fromtimestamp(status.getModificationTime() / 1000, UTC)
        yield Commit.of(int(name[:20]), written, made.get("operation", ""), made.get("userMetadata"))


def _made(entry: str) -> Mapping[str, Any]:
    """What a log entry says of its own commit: one of its lines, most of which name files."""
    lines = (json.loads(line) for line in entry.split("\n") if '"commitInfo"' in line)
    found: Mapping[str, Any] = next((line["commitInfo"] for line in lines if "commitInfo" in line), {})
    return found
