"""Files that are written whole or not at all: a reader finds the one before or the new one."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd


def write_json(path: Path, content: Any) -> None:
    """Writes JSON whole or not at all; a NaN is an error."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    write_bytes(path, text.encode())


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes a frame without its index, whole or not at all."""
    write_text(path, frame.to_csv(index=False))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def sha256_of(file: Path) -> str | None:
    """Of the file's content, in hex digits; None where it is not there."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None
