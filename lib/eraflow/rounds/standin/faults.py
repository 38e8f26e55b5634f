"""What goes wrong at a server: each fault stands in a queue and meets the next requests of its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Kind = Literal[
    "slow",  # answers after `seconds`
    "break",  # ends the connection before anything is done
    "act-then-break",  # does what is asked and ends the connection without a word
    "act-then-hang",  # does what is asked and is silent for `seconds`
    "act-then-status",  # does what is asked and answers `status`
    "status",  # answers `status` and does nothing
    "errors",  # answers 200 with errors
    "null",  # answers 200 with a null in place of the field
    "noise",  # answers 200 with something that is no JSON
    "lose",  # takes a PUT, answers 200 and keeps nothing
    "half",  # keeps, or gives, half of a file
]


@dataclass(frozen=True)
class Fault:
    """A fault of the next `times` requests: `on` is a field of GraphQL in camelCase, PUT, GET or * for any."""

    on: str
    kind: Kind
    times: int = 1
    seconds: float = 0.0
    status: int = 503
    message: str = "something went wrong"

    @property
    def acts(self) -> bool:
        return self.kind.startswith("act-then") or self.kind == "slow"


@dataclass
class Faults:
    """The faults that are still to come."""

    _left: list[list[object]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._left += [[fault, fault.times] for fault in faults]

    def next(self, what: str) -> Fault | None:
        """The fault that a request meets, if any."""
        with self._lock:
            for entry in self._left:
                fault, times = entry
                if isinstance(fault, Fault) and isinstance(times, int) and fault.on in (what, "*"):
                    entry[1] = times - 1
                    if times <= 1:
                        self._left.remove(entry)
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._left.clear()
