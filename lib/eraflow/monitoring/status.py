"""What a monitor says of a slot: one of four levels, and its reasons in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "retrain", "block"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "retrain", "block")  # the gravest last


@dataclass(frozen=True)
class Status:
    """`ok`: nothing to do; `warn`: look; `retrain`: make a challenger; `block`: send nothing of these rows."""

    level: Level
    reasons: tuple[str, ...] = ()  # one sentence for each chart that has left its limits, the gravest first

    def __str__(self) -> str:
        return ": ".join((self.level, *(["; ".join(self.reasons)] if self.reasons else [])))


def together(statuses: Iterable[Status]) -> Status:
    """The gravest level of several, with all their reasons, those of the gravest first; of none `ok`."""
    ordered = sorted(statuses, key=lambda one: LEVELS.index(one.level), reverse=True)
    reasons = dict.fromkeys(reason for one in ordered for reason in one.reasons)
    return Status(ordered[0].level if ordered else "ok", tuple(reasons))
