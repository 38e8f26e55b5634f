"""Progress of a job: one live line on a terminal, plain lines elsewhere, and all of it in the job's log file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as LiveProgress

from eraflow.causes import first_line
from eraflow.logfile import LogFile

log = logging.getLogger("eraflow")
NOTEBOOK_WIDTH = 100


class Progress(Protocol):
    """What the library reports while it works."""

    def stage(self, name: str) -> None:
        """What the job does now."""
        ...

    def step(self, name: str, done: int, total: int) -> None:
        """`done` of `total` equal steps of a stage are finished; `name` says what the next or last one is."""
        ...

    def note(self, text: str) -> None:
        """A finished fact that stays on the screen."""
        ...

    def failed(self, name: str, error: Exception) -> None:
        """A part of the work has failed and the rest goes on: a line on the screen, the whole cause in the log."""
        ...

    def log_in(self, path: Path) -> None:
        """The work has a folder now: its log is this file."""
        ...


class _Logged:
    """What every progress does beside showing: it keeps the log, where there is one."""

    def __init__(self, kept: LogFile | None = None) -> None:
        self._kept = kept

    def log_in(self, path: Path) -> None:
        if self._kept:
            self._kept.keep(path)

    def _write(self, text: str) -> None:
        if self._kept:
            self._kept.write(text)

    def _cause(self, name: str, error: Exception) -> str:
        """The line for the screen."""
        if self._kept:
            self._kept.cause(f"{name} failed", error)
        return f"{name} failed: {first_line(error)}"


class PlainProgress(_Logged):
    """Lines, each with the seconds since the start: for files, pipes and clusters."""

    def __init__(self, kept: LogFile | None = None) -> None:
        super().__init__(kept)
        self._start = time.monotonic()

    def stage(self, name: str) -> None:
        self._line(name)

    def step(self, name: str, done: int, total: int) -> None:
        self._line(f"{name} ({done}/{total} done)")

    def note(self, text: str) -> None:
        self._line(text)

    def failed(self, name: str, error: Exception) -> None:
        self._show(self._cause(name, error))

    def _line(self, text: str) -> None:
        self._write(text)
        self._show(text)

    def _show(self, text: str) -> None:
        log.info("[%6.1f s] %s", time.monotonic() - self._start, text)


class NotebookProgress(_Logged):
    """Lines of a cell's output: each stage over the one before it, and facts that stay."""

    def stage(self, name: str) -> None:
        self._show(name, "\r")

    def step(self, name: str, done: int, total: int) -> None:
        self._show(f"{name} ({done}/{total} done)", "\r")

    def note(self, text: str) -> None:
        self._show(text, "\n")

    def failed(self, name: str, error: Exception) -> None:
        self._show(self._cause(name, error), "\n")

    def _show(self, text: str, end: str) -> None:
        print(f"{text:<{NOTEBOOK_WIDTH}}", end=end, flush=True)  # wide, so that nothing is left of a longer line


class TerminalProgress(_Logged):
    """One live line: what runs, how far, how long, and how much longer."""

    def __init__(self, live: LiveProgress, kept: LogFile | None = None) -> None:
        super().__init__(kept)
        self._live = live
        self._task = live.add_task("starting", total=None)

    def stage(self, name: str) -> None:
        self._write(name)
        self._live.reset(self._task, description=name, total=None)

    def step(self, name: str, done: int, total: int) -> None:
        self._write(f"{name} ({done}/{total} done)")
        if done == 0:
            self._live.reset(self._task, description=name, total=total)
        self._live.update(self._task, description=name, completed=done, total=total)

    def note(self, text: str) -> None:
        self._write(text)
        self._show(text)

    def failed(self, name: str, error: Exception) -> None:
        self._show(self._cause(name, error))

    def _show(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False)


@contextmanager
def shown(kept: LogFile | None = None) -> Iterator[Progress]:
    """The progress that fits where standard error goes; what it reports is in the log too, where one is kept."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainProgress(kept)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
    times = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(compact=True))
    with LiveProgress(*columns, *times, console=console, transient=True) as live:
        yield TerminalProgress(live, kept)
