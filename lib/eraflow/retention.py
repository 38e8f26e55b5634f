"""What of the tables below a root is kept: what runs have pinned, what is in use, and what these were made from.

Delta's VACUUM goes by time alone, so that it would take a version from an old run and keep what no one needs. Here
files are counted instead: those of the versions that are kept stay, all others go. A catalog hides its files, so that
only whole tables go there.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from eraflow.config import fingerprint
from eraflow.tables import REMOVED, UPKEEP, USED, Store, Version, note_of

PINS = "pins"  # notes, one a run
SHARED = ("/Volumes/", "/dbfs/", "/Workspace/")  # folders that all machines of a platform see
WRITING = timedelta(days=1)  # in which a writer that no lock keeps away may not have committed its files


@dataclass(frozen=True)
class Removal:
    """What was removed, or would be: whole tables, single versions of others, and their files."""

    tables: tuple[str, ...]
    versions: int
    files: int
    size: int  # bytes

    def __str__(self) -> str:
        return (
            f"{len(self.tables)} tables, {self.versions} versions of others, {self.files} files, "
            f"{self.size / 1e6:,.1f} MB"
        )


def pin(store: Store, folder: Path, versions: Iterable[Version]) -> None:
    """Keeps these versions for as long as the run's folder is there."""
    place = str(folder.absolute())
    held = {"folder": place, "host": None if place.startswith(SHARED) else socket.gethostname(),
            "versions": {version.table: version.number for version in versions}}  # fmt: skip
    store.notes.put(f"{PINS}/{fingerprint(place, held['host'])}", held)


def used(store: Store, versions: Iterable[Version]) -> None:
    """Notes that a job has taken these versions today."""
    for version in versions:
        noted = {"version": version.number, "day": datetime.now(UTC).date().isoformat()}
        name = note_of(USED, version.table)
        if store.notes.get(name) != noted:
            store.notes.put(name, noted)


def prune(store: Store, keep_days: int, dry_run: bool = False) -> Removal:
    """Removes what is not kept.

    A version is kept while it is pinned, while a kept one was made from it, and for `keep_days` after a newer one took
    its place. The newest version of a table is kept while any other is, and for `keep_days` after a job took it. Where
    no lock keeps writers away, nothing of the last day is removed: it may be of one that has not committed yet. In a
    catalog versions and files of kept tables are left alone.
    """
    now = datetime.now(UTC)
    unlocked = timedelta(0) if store.has_lock else WRITING
    since = now - max(timedelta(days=keep_days), unlocked)
    before = (now - unlocked).timestamp()
    histories = {table: _history(store, table) for name in store.names() for table in store.recipes(name)}
    kept = _kept(store, histories, since, _pinned(store, dry_run))
    gone = tuple(sorted(table for table in histories if not kept.get(table)))
    versions = files = size = 0
    if not store.has_folder:
        for table in () if dry_run else gone:
            store.remove(table)
        return Removal(gone, 0, 0, 0)
    for table, history in histories.items():
        numbers = kept.get(table, set())
        lost = [entry.number for entry in history if entry.number not in numbers]
        versions += len(lost) if numbers else 0
        needed = {place for number in numbers for place in _files(store, table, number)}
        unneeded = [file for file in store.data_files(table) if file.path not in needed and file.modified < before]
        files, size = files + len(unneeded), size + sum(file.size for file in unneeded)
        if dry_run:
            continue
        if not numbers:
            store.remove(table)
        elif lost:
            name = note_of(REMOVED, table)
            store.notes.put(name, sorted({*(store.notes.get(name) or []), *lost}))
            for file in unneeded:
                store.remove_file(file.path)
    return Removal(gone, versions, files, size)


@dataclass(frozen=True)
class _Entry:
    """A version of a table, and until when it was the newest."""

    number: int
    inputs: Mapping[str, int]
    written: datetime
    replaced: datetime | None


def _history(store: Store, table: str) -> list[_Entry]:
    commits = [commit for commit in store.commits(table) if commit.operation not in UPKEEP]
    later = [commit.written for commit in commits[1:]]
    return [
        _Entry(commit.number, commit.noted.get("inputs", {}), commit.written, replaced)
        for commit, replaced in zip(commits, [*later, None], strict=True)
    ]


def _kept(
    store: Store, histories: Mapping[str, list[_Entry]], since: datetime, pinned: Mapping[str, set[int]]
) -> dict[str, set[int]]:
    kept: dict[str, set[int]] = {}
    for table, history in histories.items():
        removed = set(store.notes.get(note_of(REMOVED, table)) or [])
        lasting = [entry for entry in history if entry.number not in removed]
        found = {entry.number for entry in lasting if entry.number in pinned.get(table, set())}
        found |= {entry.number for entry in lasting if entry.replaced and entry.replaced > since}
        taken = store.notes.get(note_of(USED, table))
        is_recent = bool(lasting) and lasting[-1].written > since
        if found or is_recent or (taken and date.fromisoformat(taken["day"]) >= since.date()):
            found |= {lasting[-1].number} if lasting else set()
        kept[table] = found
    entries = {(table, entry.number): entry for table, history in histories.items() for entry in history}
    open_ends = [(table, number) for table, numbers in kept.items() for number in numbers]
    while open_ends:
        for table, number in entries[open_ends.pop()].inputs.items():
            if (table, number) in entries and number not in kept[table]:
                kept[table] |= {number, histories[table][-1].number}
                open_ends += [(table, number), (table, histories[table][-1].number)]
    return kept


def _pinned(store: Store, dry_run: bool) -> dict[str, set[int]]:
    """The versions that runs have pinned whose folders are there; of another machine's runs nothing is known."""
    found: dict[str, set[int]] = {}
    for name in store.notes.names(PINS):
        held: dict[str, Any] = store.notes.get(name) or {}
        if not held:  # another process has dropped it meanwhile
            continue
        if _is_gone(held):
            if not dry_run:
                store.notes.drop(name)
            continue
        for table, number in held.get("versions", {}).items():
            found.setdefault(table, set()).add(int(number))
    return found


def _is_gone(pin: Mapping[str, Any]) -> bool:
    """Whether this machine would see the run's folder, and does not."""
    folder, host = Path(pin["folder"]), pin["host"]
    sees = folder.parent.exists() if host is None else host == socket.gethostname()
    return sees and not folder.exists()


def _files(store: Store, table: str, number: int) -> list[str]:
    version = Version(table, number, "")
    return [unquote(urlparse(file).path) for file in store.read(version).inputFiles()]
