"""The books: what was sent to Numerai, when, and what it said; lines of JSON that are only ever added.

Nothing depends on them alone: before each sending the server is asked what it holds. So a line that a kill has torn is
passed over, and lost books cost no more than what they told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

FILE, SENT = "ledger.jsonl", "sent"


class Event(StrEnum):
    """What a line tells."""

    SENDING = "sending"  # a file is about to be uploaded
    CREATED = "created"  # the server has made it a submission and given its id
    EFFECTIVE = "effective"  # the server's newest valid submission of the round is this file
    QUEUED = "queued"  # the server has it for a later round
    REFUSED = "refused"  # by a check of ours or by the server
    MISSED = "missed"  # the round has closed without it
    NOTIFIED = "told"  # the webhook has heard what is blocked


@dataclass(frozen=True)
class Ledger:
    """The books in a folder, beside a copy of each file that was sent."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def add(self, event: Event, now: datetime, **facts: Any) -> None:
        """One line, on the disk when this returns."""
        line = json.dumps({"at": now.isoformat(), "event": event, **facts}, sort_keys=True, default=str)
        self.folder.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, f"{chr(10) if torn else ''}{line}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        if is_new:
            _on_disk(self.folder)

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """All lines in their order, but those that were torn."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().split(b"\n"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and "event" in found:
                yield found

    def of(self, tournament: str, slot: str, number: int | None = None) -> list[Mapping[str, Any]]:
        """The lines of a slot, or those of one round of it."""
        mine = (line for line in self.lines() if line.get("tournament") == tournament and line.get("slot") == slot)
        return [line for line in mine if number is None or line.get("round") == number]

    def keeps(self, sha256: str) -> Path | None:
        """The copy of a file that was sent, where there is one."""
        path = self.folder / SENT / f"{sha256}.csv"
        return path if path.exists() else None

    def keep(self, content: bytes, sha256: str) -> Path:
        """A copy of what is sent; its path."""
        path = self.folder / SENT / f"{sha256}.csv"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            with part.open("wb") as file:
                file.write(content)
                os.fsync(file.fileno())
            os.replace(part, path)
            _on_disk(path.parent)
        return path


def _on_disk(folder: Path) -> None:
    """Makes the folder's list of names durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
