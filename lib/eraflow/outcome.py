"""How a job has ended, where done or not is not all that a scheduler wants to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Code(IntEnum):
    """Exit codes of jobs. 2, bad config or input, is told by an InputError."""

    DONE = 0
    FAILED = 1  # try again
    BAD_INPUT = 2
    NOTHING_TO_DO = 3
    TOO_LATE = 4
    BLOCKED = 5  # a check, the monitor or the server has refused something: somebody must look
    WARNED = 6  # the monitor has seen something: somebody should look
    RETRAIN = 7  # the monitor asks for a challenger


# What a call says that met several of them: the first that is among them.
GRAVEST = (
    Code.BLOCKED, Code.TOO_LATE, Code.FAILED, Code.RETRAIN, Code.WARNED, Code.DONE, Code.NOTHING_TO_DO,
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The code, and the lines that a job prints."""

    code: Code
    lines: tuple[str, ...]


def gravest(codes: Iterable[Code]) -> Code:
    """The code that stands for all of them; of none NOTHING_TO_DO."""
    met = set(codes)
    return next((code for code in GRAVEST if code in met), Code.NOTHING_TO_DO)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of several parts, their lines in order."""
    return Outcome(gravest(each.code for each in outcomes), tuple(line for each in outcomes for line in each.lines))
