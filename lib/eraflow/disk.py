"""A disk that is full, told in a sentence: which place of the configuration is on it, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from eraflow.causes import chain, text_of

_NO_SPACE = "No space left on device"  # as a JVM and a Python worker tell it, inside the text of another error
_TEMPORARY = "SPARK_LOCAL_DIRS"  # Spark's own variable


def is_full(error: BaseException) -> bool:
    """Whether this error, or one that it came of, is that of a full disk."""
    return any(getattr(one, "errno", None) == errno.ENOSPC or _NO_SPACE in text_of(one) for one in chain(error))


def message(places: Mapping[str, str | None]) -> str:
    """What to say of a full disk; `places`: the paths that are written to, by the key of the config that names them.

    Named is the place with the least room, of these and of Spark's temporary files; what is no path is left out.
    """
    folders = {key: Path(path.removeprefix("file://")) for key, path in places.items() if path and _is_local(path)}
    folders[_TEMPORARY] = Path(os.environ.get(_TEMPORARY, tempfile.gettempdir()))
    room = {key: shutil.disk_usage(_nearest_existing(folder)).free for key, folder in folders.items()}
    key = min(room, key=lambda name: room[name])
    other = f"the variable {key}" if key == _TEMPORARY else f"--set {key}=DIR"
    return (
        f"{key}: {folders[key]} is on a full disk ({room[key] / 1e6:,.0f} MB are free); make room, or name another "
        f"place with {other}. What was finished is kept, and the same command goes on from there."
    )


def _is_local(path: str) -> bool:
    return "/" in path and ("://" not in path or path.startswith("file://"))  # `catalog.schema` has no slash


def _nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
