"""Champions: by a name of the user's the run whose predictions are sent, and every decision that made it so.

A champion is a folder of decisions, `<run.dir>/_champions/NAME/decisions/0001.json` and so on, each written whole: what
the newest says is the champion, so that nothing can stand between two states. Runs themselves are never changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from eraflow.errors import InputError
from eraflow.monitoring.promotion import Paired, Ruling, Verdicts, at_look, decided, from_evidence
from eraflow.whole_files import write_json

FOLDER = "_champions"  # below run.dir; no run can have this name
ALARM = "the monitor says retrain"  # so begins what was due in a decision that an alarm called for
PREFIX = "champion:"  # before a champion's name, where a run could be named
FORMAT = 1
TAKES_OVER = (Ruling.INSTALL, Ruling.REFIT, Ruling.PROMOTE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it becomes a folder


@dataclass(frozen=True)
class Decision:
    """One decision, as its manifest tells it."""

    number: int
    manifest: Mapping[str, Any]

    @property
    def ruling(self) -> Ruling:
        return Ruling(self.manifest["ruling"])

    @property
    def champion(self) -> str:
        """The run that is the champion from here on."""
        return str(self.manifest["champion"])

    @property
    def challenger(self) -> str | None:
        """The run that was compared and did not take over."""
        found = self.manifest["challenger"]
        return None if found is None else str(found)

    @property
    def is_alarm(self) -> bool:
        """Whether an alarm called for it."""
        return any(str(why).startswith(ALARM) for why in self.manifest.get("due", ()))

    def __str__(self) -> str:
        decided_at, why = self.manifest["clock"]["decided"], self.manifest["why"]
        return f"{self.number:04}  {decided_at}  {self.ruling}: {self.champion}; {why}"

    def again(self) -> str | None:
        """Makes the decision again from the scores in its manifest; returns what comes out otherwise, if anything."""
        if self.ruling in (Ruling.INSTALL, Ruling.ROLL_BACK):
            return None  # somebody's own
        found = {part: self._compared(part) for part in ("refit", "challenger")}
        ruling, why = decided(Verdicts(**found))
        if (ruling, why) != (self.ruling, self.manifest["why"]):
            return f"decision {self.number:04} comes out as {ruling} ({why}), and was {self.ruling}"
        for part, one in found.items():
            if one is not None and not isclose(
                one.mean, self.manifest["compared"][part]["found"]["mean"], abs_tol=1e-12
            ):
                return f"decision {self.number:04} finds a mean of {one.mean:+.6f} for the {part}, and had another"
        return None

    def _compared(self, part: str) -> Paired | None:
        """A comparison, from its scores; None where there was none."""
        kept, confidence = self.manifest["compared"].get(part), float(self.manifest["rules"]["confidence"])
        if kept is None:
            return None
        least = int(kept["found"].get("least", 0))
        return from_evidence(kept["scores"], kept["overlap"], at_look(confidence, kept.get("look", 1)), least)


@dataclass(frozen=True)
class Champion:
    """A champion's folder."""

    base: Path  # run.dir
    name: str

    @classmethod
    def of(cls, base: Path, name: str) -> Champion:
        """InputError for a name that cannot be a folder's."""
        if not NAME.fullmatch(name):
            raise InputError(f"a champion cannot be called {name!r}; take letters, digits, dots, dashes, underscores.")
        return cls(base, name)

    @property
    def folder(self) -> Path:
        return self.base / FOLDER / self.name

    @property
    def decisions(self) -> list[Decision]:
        """All of them, the newest last. InputError where one cannot be read."""
        return [self._read(file) for file in sorted((self.folder / "decisions").glob("*.json"))]

    @property
    def runs(self) -> list[str]:
        """The runs that were the champion one after another, without those that were rolled back; the last one is."""
        return [decision.champion for decision in self._standing]

    @property
    def since_alarm(self) -> list[str]:
        """The runs since an alarm was last answered by a new one, which is the first.

        Empty where it never was, and where a run of before is the champion again.
        """
        standing = self._standing
        place = max((place for place, one in enumerate(standing) if one.is_alarm), default=len(standing))
        before = {one.champion for one in standing[:place]}
        found = [one.champion for one in standing[place:]]
        return [] if not found or found[-1] in before else [run for run in found if run not in before]

    @property
    def _standing(self) -> list[Decision]:
        """The decisions that have changed the champion, without those that were rolled back."""
        stack: list[Decision] = []
        for decision in self.decisions:
            if decision.ruling is Ruling.ROLL_BACK:
                stack.pop()
            elif decision.ruling in TAKES_OVER:
                stack.append(decision)
        return stack

    @property
    def run(self) -> str:
        """The run that is the champion. InputError where none was ever installed."""
        found = self.decisions
        if found:
            return found[-1].champion
        available = sorted(place.parent.name for place in (self.base / FOLDER).glob("*/decisions"))
        others = f"there are {', '.join(available)}" if available else "there is none yet"
        raise InputError(
            f"there is no champion {self.name} below {self.base} ({others}); jobs/retrain.py --install RUN --set "
            f"retrain.champion={self.name} makes a finished run one."
        )

    @property
    def next(self) -> int:
        """The number of the next decision."""
        found = self.decisions
        return found[-1].number + 1 if found else 1

    def decide(self, number: int, facts: Mapping[str, Any]) -> Decision:
        """Writes a decision, which holds from then on."""
        manifest = {**facts, "format": FORMAT, "name": self.name, "number": number}
        write_json(self._place(number), manifest)
        return Decision(number, manifest)

    @property
    def attempt(self) -> Mapping[str, Any] | None:
        """What was begun and is not decided yet; None where nothing is."""
        file = self._attempt
        if not file.is_file():
            return None
        try:
            found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            is_open = found["number"] == self.next  # else it was decided, and killed before it was tidied up
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{file} is no whole attempt; remove it, and the next call begins anew.") from None
        return found if is_open else None

    def begin(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Notes what is begun: the next call goes on with it."""
        attempt = {**facts, "number": self.next}
        write_json(self._attempt, attempt)
        return attempt

    def end(self) -> None:
        """The attempt is decided."""
        self._attempt.unlink(missing_ok=True)

    @property
    def _attempt(self) -> Path:
        return self.folder / "attempt.json"

    def _place(self, number: int) -> Path:
        return self.folder / "decisions" / f"{number:04}.json"

    def _read(self, file: Path) -> Decision:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            decision = Decision(int(found["number"]), found)
            if not (decision.champion and decision.ruling) or found["format"] != FORMAT:
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{file} is no whole decision of this version of eraflow; put it back from a copy, or remove it, and "
                "the decision before it holds."
            ) from None
        return decision


def run_of(base: Path, name: str) -> str:
    """The run that `name` means: itself, or of `champion:NAME` the champion's. InputError: there is none."""
    return Champion.of(base, name.removeprefix(PREFIX)).run if name.startswith(PREFIX) else name
