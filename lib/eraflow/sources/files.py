"""Foreign files: which a path names, how they are opened, and what is said where they cannot be read."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from eraflow.errors import InputError
from eraflow.hadoop import shown

_PARQUET, _CSV, _TEXT = (".parquet",), (".csv", ".csv.gz"), (".txt", ".txt.gz")
_MEND = "replace it or leave it out"


@dataclass(frozen=True)
class SourceFile:
    """A file of raw data, and what tells that it has changed."""

    path: str  # as Hadoop writes it, e.g. file:/data/a b.csv: nothing is escaped
    size: int
    modified: int  # milliseconds


def is_text(path: str) -> bool:
    """Whether a file holds comma-separated values, by its name; else it is parquet."""
    return path.lower().endswith((*_CSV, *_TEXT))


def listed(spark: SparkSession, pattern: str) -> list[SourceFile]:
    """The parquet and CSV files that a path, folder or glob names, sorted by path; none where there is nothing.

    Of folders what is below counts too, but for names that begin with _ or a point. A `.txt` counts as CSV where it is
    named, or where a folder holds no other kind: else it may be a note.
    """
    place = _on_this_machine(spark, pattern)
    found = list(_listed_here(place) if place is not None else _listed_in_store(spark, pattern))
    # A file that a pattern has found may be another one's note; one that is named itself is taken as it is.
    exact = not set("*?[{") & set(pattern) or (place is not None and os.path.exists(place))
    named = [file for file, below in found if not below and (exact or _is_prices(file.path))]
    below = [file for file, below in found if below and _is_seen(below)]
    kept = [file for file in below if file.path.lower().endswith((*_PARQUET, *_CSV))]
    if not kept:
        kept = [file for file in below if file.path.lower().endswith(_TEXT)]
    return sorted([*named, *kept], key=lambda file: file.path)


def _is_prices(path: str) -> bool:
    name = path.rpartition("/")[2]
    return _is_seen(name) and name.lower().endswith((*_PARQUET, *_CSV, *_TEXT))


def _is_seen(below: str) -> bool:
    # Unfinished writes and the logs of a table format are not.
    return not any(part.startswith(("_", ".")) for part in below.split("/"))


def _on_this_machine(spark: SparkSession, path: str) -> str | None:
    """The path without its scheme, if it is of the machine's own file system; else None."""
    if path.startswith("file:/"):
        return "/" + path.removeprefix("file:").lstrip("/")
    if "://" in path:
        return None
    jvm: Any = spark.sparkContext._jvm
    default = jvm.org.apache.hadoop.fs.FileSystem.getDefaultUri(_hadoop(spark)).getScheme()
    return path if default == "file" else None


def _listed_here(pattern: str) -> Iterator[tuple[SourceFile, str]]:
    """Each file with its path below the folder that was named, empty for a file that was named itself.

    Hadoop's own listing stops at a name with a colon in it, and takes the brackets of a name for a pattern.
    """
    places = [pattern] if os.path.exists(pattern) else sorted({p for one in _expanded(pattern) for p in glob.glob(one)})
    for place in map(os.path.abspath, places):
        if os.path.isdir(place):
            for folder, _, names in os.walk(place, onerror=_refuse, followlinks=True):
                for path in (os.path.join(folder, name) for name in names):
                    yield _file(path), os.path.relpath(path, place)
        else:
            yield _file(place), ""


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be opened ({str(error.strerror).lower()}); mend or remove it.") from None


def _file(path: str) -> SourceFile:
    try:
        status = os.stat(path)
    except OSError as error:
        _refuse(error)
        raise
    return SourceFile(f"file:{path}", status.st_size, status.st_mtime_ns // 1_000_000)


def _expanded(pattern: str) -> list[str]:
    """The patterns that the braces of a pattern stand for: {a,b}.csv is a.csv and b.csv."""
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if braces is None:
        return [pattern]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [one for choice in braces[1].split(",") for one in _expanded(before + choice + after)]


def _listed_in_store(spark: SparkSession, pattern: str) -> Iterator[tuple[SourceFile, str]]:
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(pattern)
    system = path.getFileSystem(_hadoop(spark))
    for status in system.globStatus(path) or []:
        top = status.getPath().toString()
        if not status.isDirectory():
            yield SourceFile(top, status.getLen(), status.getModificationTime()), ""
            continue
        listing = system.listFiles(status.getPath(), True)
        while listing.hasNext():
            entry = listing.next()
            name = entry.getPath().toString()
            yield SourceFile(name, entry.getLen(), entry.getModificationTime()), name.removeprefix(f"{top}/")


def is_local(path: str) -> bool:
    """Whether a file of `listed` is on a file system that Python can open."""
    return path.startswith("file:")


def opened_here(path: str) -> BinaryIO:
    """A file of `listed` that is local, to read bytes from."""
    return Path(path.removeprefix("file:")).open("rb")


def opened_in_store(spark: SparkSession, file: SourceFile) -> BinaryIO:
    """A file of any store that Spark reads, to read some bytes from on the driver."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(file.path)
    return cast(BinaryIO, io.BufferedReader(_StoreFile(path.getFileSystem(_hadoop(spark)).open(path), file.size)))


class _StoreFile(io.RawIOBase):
    """A Java input stream that can seek, as Python's raw file."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size = stream, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._stream.seek(start + offset)
        return start + offset

    def tell(self) -> int:
        return int(self._stream.getPos())

    def readinto(self, buffer: Any, /) -> int:
        found = bytes(self._stream.readNBytes(len(buffer)))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def _hadoop(spark: SparkSession) -> Any:
    context: Any = spark.sparkContext._jsc
    return context.hadoopConfiguration()


@contextmanager
def reading() -> Iterator[None]:
    """Turns the failure of a Spark job on a damaged file into an InputError that names the file."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        refused = re.search(r"^eraflow\.errors\.InputError: (.+)$", text, re.MULTILINE)  # raised in a task
        if refused:
            raise InputError(refused[1]) from None
        found = re.search(r"Encountered error while reading file (.+?)\. Details", text)
        if found is None:
            raise
        raise InputError(damaged(shown(unquote(found[1])))) from None  # Spark's own reader escapes names


def damaged(name: str) -> str:
    """What is said of a file that ends, or turns into nonsense, before its rows do."""
    return f"{name} cannot be read to its end: it is damaged, or was changed meanwhile; {_MEND}."


def unreadable(path: str, cause: str) -> InputError:
    """What is said of a file that cannot be read at all."""
    return InputError(
        f"{shown(path)} cannot be read as a {'CSV' if is_text(path) else 'parquet'} file ({cause}); {_MEND}."
    )


@contextmanager
def opened(what: str, mend: str) -> Iterator[None]:
    """Turns the failure to open a path into an InputError: what, why, and how to mend it."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise InputError(f"{what} ({_cause(error)}); {mend}.") from None


def _cause(error: PySparkException | Py4JJavaError) -> str:
    """The first sentence of the innermost reason, which says what a person can use."""
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while java is not None and java.getCause() is not None:
        java = java.getCause()
    text = str(error) if java is None else java.getMessage() or java.toString()
    return re.sub(r"file:/\S+", "the file", re.split(r"\.\s|\n", text.strip())[0][:200].rstrip("."))
