"""What has been fitted, searched and predicted below `run.dir`, by key: what has the same key is made once.

A key is a hash of all that the content depends on. A cell is written aside and renamed, so that it is there whole or
not at all, and while one process makes it, others that want the same wait for it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from eraflow.errors import InputError
from eraflow.progress import Progress
from eraflow.whole_files import write_json

KINDS = FITS, PREDICTIONS, SEARCHES = "fits", "predictions", "searches"
ABOUT = "cell.json"
IN_USE = 3600.0  # seconds after it was taken for which a cell is never removed


@dataclass(frozen=True)
class Cell:
    """Files that were made once, by their key; `facts` are what their maker tells of them.

    `is_new`: they were made just now, and by no one before.
    """

    key: str
    folder: Path
    facts: Mapping[str, Any]
    is_new: bool


@dataclass(frozen=True)
class Cells:
    """The cells below a folder."""

    root: Path
    progress: Progress

    def taken(self, kind: str, key: str, make: Callable[[Path], Mapping[str, Any]]) -> Cell:
        """The cell of this key; where there is none, `make` writes it into an empty folder and returns its facts."""
        place = self.root / kind / key
        with self.leased(kind, key):
            is_new = not (place / ABOUT).is_file()
            if is_new:
                self._made(kind, place, make)
            os.utime(place / ABOUT)
            return Cell(key, place, json.loads((place / ABOUT).read_text(encoding="utf-8")), is_new)

    def work(self, kind: str, key: str) -> Path:
        """Where whoever makes this cell keeps how far it is, for the next one if it is stopped."""
        return self.root / kind / f".{key}.work"

    @contextmanager
    def leased(self, kind: str, key: str) -> Iterator[None]:
        """Keeps others from making this cell, and it from being removed; the lease ends with the process."""
        lock = self._lock(kind, key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self.progress.note("waiting for another run, which makes the same")
            lock.acquire()
        try:
            yield
        finally:
            _let_go(lock)

    def prune(self, used: set[str], keep_days: int, dry_run: bool) -> tuple[int, int]:
        """Removes cells that are not `used` and were not taken for `keep_days`, and what stopped makers have left.

        Returns the number of cells and all bytes. What another process makes is spared. Bytes that a run's folder
        shares with a cell are not freed before that is gone too, and do not count.
        """
        before = time.time() - max(keep_days * 86400.0, IN_USE)
        count = size = 0
        for place in (place for kind in KINDS for place in sorted((self.root / kind).glob("*"))):
            kind, key = place.parent.name, place.name.strip(".").partition(".")[0]
            lock = self._lock(kind, key)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                if self._is_idle(place, key in used, before):
                    count, size = count + (place.name == key), size + _unshared_bytes(place)
                    if not dry_run:
                        _removed(place)
            finally:
                _let_go(lock)
        return count, size

    def _is_idle(self, place: Path, is_used: bool, before: float) -> bool:
        """Whether something below a kind's folder, whose lease is free, is needed by nobody."""
        if place.suffix == ".work":  # somebody may go on from it
            return max((path.stat().st_mtime for path in place.rglob("*")), default=0.0) < before
        if place.name.startswith("."):
            return True
        about = place / ABOUT
        return not about.is_file() or (not is_used and about.stat().st_mtime < before)

    def _made(self, kind: str, place: Path, make: Callable[[Path], Mapping[str, Any]]) -> None:
        aside = place.with_name(f".{place.name}.part")
        for left in (aside, place):  # of a process that was stopped
            shutil.rmtree(left, ignore_errors=True)
        aside.mkdir(parents=True)
        write_json(aside / ABOUT, dict(make(aside)))
        os.replace(aside, place)
        shutil.rmtree(self.work(kind, place.name), ignore_errors=True)

    def _lock(self, kind: str, key: str) -> FileLock:
        place = self.root / "leases" / f"{kind}-{key}.lock"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"run.dir: {self.root} cannot be written ({error.strerror}); choose another folder."
            ) from None
        return FileLock(place)


def linked(cell: Path, place: Path) -> None:
    """Gives the files of a cell a second name below `place`, or copies them where the file system cannot.

    A run so holds all that it names, and the cell can go.
    """
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(cell, place, copy_function=_link, ignore=shutil.ignore_patterns(ABOUT, "*.crc", "_SUCCESS"))


def _let_go(lock: FileLock) -> None:
    """Its file goes while it is still held: whoever waits for it sees that, and takes a new one."""
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _removed(place: Path) -> None:
    """Aside first: a removal that is cut short leaves no half of a cell under its name."""
    gone = place if place.name.startswith(".") else place.with_name(f".{place.name}.gone")
    if gone != place:
        os.replace(place, gone)
    shutil.rmtree(gone)


def _unshared_bytes(place: Path) -> int:
    """Of files that no run's folder names, too."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file() and file.stat().st_nlink == 1)
