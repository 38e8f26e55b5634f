"""The log of a command: what it did, when, and the whole cause of what failed. The screen has the short of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from eraflow.causes import whole

FOLDER = Path("var/log")  # of commands whose run has no folder yet


class LogFile:
    """Lines with the time of day, added to the file at `path`; `keep` says where they go from then on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept = False
        self._followers: list[Callable[[Path], None]] = []

    @classmethod
    def of_command(cls, name: str) -> LogFile:
        """One below FOLDER, named by the run, the moment and the process."""
        return cls((FOLDER / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt").absolute())

    def write(self, text: str) -> None:
        self._add(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

    def cause(self, what: str, error: BaseException) -> None:
        """All that is known of a failure."""
        self.write(f"{what}\n{whole(error)}")

    def keep(self, path: Path) -> None:
        """Moves the lines so far to the end of another file, and adds to that one."""
        before = self.path
        self.path, self._kept = path.absolute(), True
        if before.exists() and before != self.path:
            self._add(before.read_text(encoding="utf-8", errors="replace"))
            before.unlink()
        for follower in self._followers:
            follower(self.path)

    def follow(self, follower: Callable[[Path], None]) -> None:
        """Calls it with the path, and again with each later one."""
        self._followers.append(follower)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        follower(self.path)

    def close(self, done: bool) -> None:
        """Ends the log; of a command that is done or refused, and has no run to keep it, nothing is left."""
        self._followers.clear()
        if done and not self._kept:
            self.path.unlink(missing_ok=True)

    def _add(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
