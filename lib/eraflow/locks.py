"""One process at a time in a folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from eraflow.errors import InputError


class BusyError(InputError):
    """Another process holds the folder."""


@contextmanager
def locked(folder: Path, key: str, wait: float = 0.0, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the folder's lock, which ends with the process however it ends.

    While another process holds it, this one waits, and says so by `waiting`; after `wait` seconds BusyError names it.
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
        raise BusyError(
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
