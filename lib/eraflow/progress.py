"""Progress of a job: one live line on a terminal, plain log lines elsewhere. The library reports, the job shows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

log = logging.getLogger("eraflow")


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


class PlainProgress:
    """Log lines, each with the seconds since the start: for files, pipes and clusters."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def stage(self, name: str) -> None:
        self._line(name)

    def step(self, name: str, done: int, total: int) -> None:
        self._line(f"{name} ({done}/{total} done)")

    def note(self, text: str) -> None:
        self._line(text)

    def _line(self, text: str) -> None:
        log.info("[%6.1f s] %s", time.monotonic() - self._start, text)


class TerminalProgress:
    """One live line: what runs, how far, how long, and how much longer."""

    def __init__(self, live: LiveProgress) -> None:
        self._live = live
        self._task = live.add_task("starting", total=None)

    def stage(self, name: str) -> None:
        self._live.reset(self._task, description=name, total=None)

    def step(self, name: str, done: int, total: int) -> None:
        if done == 0:
            self._live.reset(self._task, description=name, total=total)
        self._live.update(self._task, description=name, completed=done, total=total)

    def note(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False)


@contextmanager
def shown() -> Iterator[Progress]:
    """The progress that fits where standard error goes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainProgress()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
    times = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(compact=True))
    with LiveProgress(*columns, *times, console=console, transient=True) as live:
        yield TerminalProgress(live)
