"""Numerai's files on this machine: resumed where a transfer broke, and whole before they get their name.

numerapi tells which files there are and where. It is not asked to download: it does not check what it has resumed, nor
then the server's certificate.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eraflow.errors import InputError
from eraflow.progress import Progress

ATTEMPTS = 6
WAIT = 2.0  # seconds before the second attempt; doubled for each further one
TIMEOUT = (20, 60)  # seconds to connect, and between two pieces
PIECE = 2**20
STEPS = 100  # of a file, in the progress
_AGAIN = (408, 425, 429)  # what a client did wrong that may be right later


class TransferError(InputError):
    """A file that a server has not given, and may give later."""


class _BrokenError(Exception):
    """A transfer that did not give the whole file."""


@dataclass(frozen=True)
class Remote:
    """Where files are: the names there are, and the address of one, which may be valid for some minutes only."""

    names: Callable[[], Sequence[str]]
    address: Callable[[str], str]


def numerai() -> Remote:
    """Numerai Classic's data sets; no account is needed. InputError where numerapi is not installed."""
    try:
        from numerapi import NumerAPI
    except ImportError:
        raise InputError(
            "classic.dataset: downloading needs numerapi; pip install 'eraflow[numerai]', or set classic.dataset=null."
        ) from None
    logging.getLogger("numerapi").setLevel(logging.CRITICAL)  # what fails is told below in a sentence
    # Data need no key, and without one numerapi would read it from `.env` files: this one is sent nowhere.
    api: Any = NumerAPI("none", "none", show_progress_bars=False)  # type: ignore[no-untyped-call]
    query = "query ($filename: String!, $tournament: Int!) { dataset(filename: $filename, tournament: $tournament) }"

    def address(name: str) -> str:
        answer = api.raw_query(query, {"filename": name, "tournament": api.tournament_id})
        return str(answer["data"]["dataset"])

    return Remote(api.list_datasets, address)


def brought(
    remote: Remote,
    dataset: str,
    names: Sequence[str],
    folder: Path,
    progress: Progress,
    optional: Sequence[str] = (),
) -> None:
    """Brings the data set's files of these names into `folder`; those that are there and unchanged are left alone.

    `optional` ones are brought where the data set has them.

    InputError: no such data set, a file that is not in it, a full disk. TransferError: a server that gives no whole
    file. Files that were whole stay as they were, and what came of a broken one is gone on from by the next call.
    """
    progress.stage(f"looking for {dataset} at Numerai")
    try:
        served = set(remote.names())
    except (OSError, ValueError, KeyError, TypeError):  # numerapi gives {} for a failed request
        if absent := [name for name in names if not (folder / name).exists()]:
            raise InputError(
                f"Numerai does not answer, and {folder} has no {absent[0]}; check the connection, or put the files "
                "there and set classic.dataset=null."
            ) from None
        progress.note(f"Numerai does not answer; the files in {folder} are used as they are")
        return
    if missing := [name for name in names if f"{dataset}/{name}" not in served]:
        available = sorted({name.partition("/")[0] for name in served})
        raise InputError(f"classic.dataset: {dataset}/{missing[0]} is not at Numerai; there is {', '.join(available)}.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*names, *(name for name in optional if f"{dataset}/{name}" in served)):
        _Download(remote, f"{dataset}/{name}", folder / name, progress).run()


@dataclass(frozen=True)
class _Download:
    remote: Remote
    name: str
    path: Path
    progress: Progress

    def run(self) -> None:
        cause: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(WAIT * 2 ** (attempt - 1))
            try:
                self._attempt()
                return
            except OSError as error:  # requests' own errors too
                if error.errno == errno.ENOSPC:
                    raise InputError(f"{self.path}: the disk is full; make room, and the download goes on.") from None
                cause = error
            except (_BrokenError, ValueError, KeyError, TypeError) as error:
                cause = error
        raise TransferError(
            f"{self.name} could not be downloaded in {ATTEMPTS} attempts ({_described(cause)}); try again later, what "
            "came of it is kept."
        )

    def _attempt(self) -> None:
        import requests

        received = self._part.stat().st_size if self._part.exists() else 0
        # One tag for the part, so that halves of two versions are never joined, and one for the whole file.
        headers = {"Accept-Encoding": "identity"}
        if received and self._tag(self._part):
            headers |= {"Range": f"bytes={received}-", "If-Range": self._tag(self._part)}
        elif not received and self._tag(self.path) and _is_readable(self.path):
            headers["If-None-Match"] = self._tag(self.path)
        with requests.get(self.remote.address(self.name), headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 304:
                self.progress.note(f"{self.path.name} is unchanged")
                return
            if 400 <= answer.status_code < 500 and answer.status_code not in (*_AGAIN, 416):
                raise TransferError(f"{self.name}: the server answers {answer.status_code} {answer.reason}; try later.")
            if answer.status_code == 416:  # nothing is left to send: the part is of another file
                self._part.unlink(missing_ok=True)
            if answer.status_code not in (200, 206):
                raise _BrokenError(f"the server answers {answer.status_code} {answer.reason}")
            begin = received if answer.status_code == 206 else 0
            length = answer.headers.get("Content-Length")
            total = begin + int(length) if length is not None else None
            self._set_tag(self._part, answer.headers.get("ETag"))
            with self._part.open("ab" if begin else "wb") as file:
                got = begin
                for piece in answer.iter_content(PIECE):
                    file.write(piece)
                    got += len(piece)
                    if total:
                        self.progress.step(self.path.name, got * STEPS // total, STEPS)
        got = self._part.stat().st_size  # another download into the same folder would show here
        if total is not None and got != total:
            if got > total:
                self._part.unlink()
            raise _BrokenError(f"it ended after {got} of {total} bytes")
        self._finish()

    def _finish(self) -> None:
        """Gives the part its name if it can be read."""
        if not _is_readable(self._part, self.path.suffix):
            self._part.unlink()
            raise _BrokenError("what came is not readable")
        self._set_tag(self.path, self._tag(self._part))
        os.replace(self._part, self.path)
        self.progress.note(f"{self.path.name} downloaded, {self.path.stat().st_size:,} bytes")

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    def _tag(self, path: Path) -> str:
        place = path.with_name(f".{path.name}.etag")
        return place.read_text(encoding="utf-8") if place.exists() else ""

    def _set_tag(self, path: Path, tag: str | None) -> None:
        path.with_name(f".{path.name}.etag").write_text(tag or "", encoding="utf-8")


def _is_readable(path: Path, suffix: str | None = None) -> bool:
    """Whether the file is JSON, or has a parquet footer; False where there is none."""
    try:
        if (suffix or path.suffix) == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        else:
            pq.read_metadata(path)
    except (FileNotFoundError, ValueError, pa.ArrowInvalid):
        return False
    return True


def _described(cause: Exception | None) -> str:
    return str(cause) if isinstance(cause, _BrokenError) else type(cause).__name__
