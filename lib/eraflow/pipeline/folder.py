"""The folder of one run: what it is of, which folds are finished, what it leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from eraflow.errors import InputError
from eraflow.whole_files import write_json

STATE, IDENTITY, OUT_OF_FOLD = "state", "identity.json", "oof.parquet"
CELLS = "_cells"  # below run.dir, or of a run that fits everything anew in its folder; no run can have this name
FITTED = "fitted"  # of a part that is done: whether its model was fitted for this run, or was there


@dataclass(frozen=True)
class RunFolder:
    """`<run.dir>/<run.name>`. A fold counts as done once its marker stands, and the run once run.json does."""

    path: Path

    def claim(self, fingerprint: str, identity: Mapping[str, Any]) -> bool:
        """Starts or resumes the run; returns whether it is finished already.

        One that was stopped may be of other settings or data: it is put together anew, and what it had fitted is found
        among the cells. InputError where the folder holds a finished run of others: nothing is lost.
        """
        state = self._state / IDENTITY
        if state.exists():
            kept = json.loads(state.read_text(encoding="utf-8"))
            if kept["fingerprint"] == fingerprint:
                return (self.path / "run.json").exists()
            if (self.path / "run.json").exists():
                raise InputError(
                    f"{self.path} holds another run ({difference(kept['identity'], identity)}); "
                    f"choose another name with --set run.name=NAME, or remove the folder."
                )
            self._clear()
            write_json(state, {"fingerprint": fingerprint, "identity": identity})
            return False
        ours = {".lock", ".writer"}
        if not any(self._state.glob("*.json")):
            ours.add(STATE)  # left by a start that was cut short
        if self.path.exists() and any(entry.name not in ours for entry in self.path.iterdir()):
            raise InputError(
                f"{self.path} is not empty and holds no run; choose another name with --set run.name=NAME."
            )
        write_json(state, {"fingerprint": fingerprint, "identity": identity})
        return False

    @property
    def out_of_fold(self) -> Path:
        """Where out-of-fold predictions stand: one parquet data set by the partition columns `model` and `fold`."""
        return self.path / OUT_OF_FOLD

    @property
    def held_out(self) -> Path:
        """Where predictions of the held-out eras stand, once they have been looked at; as the others, of fold 0."""
        return self.path / "holdout.parquet"

    def holds(self, identity: Mapping[str, Any]) -> bool:
        """Whether the folder has the finished run of this identity, whatever files of live rows and others say now."""
        state = self._state / IDENTITY
        if not state.exists() or not (self.path / "run.json").exists():
            return False
        kept, here = json.loads(state.read_text(encoding="utf-8"))["identity"], json.loads(json.dumps(identity))
        return bool({**kept, "references": None} == {**here, "references": None})

    def model(self, name: str, part: str) -> Path:
        return self.path / "models" / name / part

    def note_search(self, part: str, key: str) -> None:
        """Notes the cell of the search for a part's settings."""
        write_json(self._searches / f"{part}.json", {"cells": [key]})

    @property
    def searches(self) -> dict[str, str]:
        """By part the key of the cell of its search."""
        noted = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in self._searches.glob("*.json")}
        return {part: held["cells"][0] for part, held in sorted(noted.items())}

    @property
    def cells(self) -> set[str]:
        """The keys of all cells that the run has taken."""
        return {key for held in self._noted() for key in held.get("cells", [])}

    @property
    def fits(self) -> dict[str, int]:
        """How many models were fitted for this run, and how many had been before."""
        made = [held[FITTED] for held in self._noted() if FITTED in held]
        return {"fitted": sum(made), "fitted before": len(made) - sum(made)}

    @property
    def log(self) -> Path:
        """What the commands of this run did, and the whole cause of what failed."""
        return self.path / "log.txt"

    def live(self, model: str) -> Path:
        """Where a model's predictions of the live era stand, as it made them."""
        return self.model(model, "final") / "live.parquet"

    def is_done(self, part: str) -> bool:
        return (self._state / f"{part}.json").exists()

    def mark_done(self, part: str, facts: Mapping[str, Any]) -> None:
        write_json(self._state / f"{part}.json", facts)

    def facts(self, part: str) -> Mapping[str, Any]:
        """What was told of a part when it was done; empty of one that is not."""
        marker = self._state / f"{part}.json"
        return cast(Mapping[str, Any], json.loads(marker.read_text(encoding="utf-8"))) if marker.exists() else {}

    def _clear(self) -> None:
        """Removes what the run has put together so far, but its log; what it is of goes last, by being replaced."""
        kept = {self._state, self.log, *(self.path / name for name in (".lock", ".writer", CELLS))}
        for entry in (*self._state.iterdir(), *(entry for entry in self.path.iterdir() if entry not in kept)):
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != IDENTITY:
                entry.unlink()

    def _noted(self) -> list[dict[str, Any]]:
        found = []
        for file in self._state.rglob("*.json"):
            with suppress(FileNotFoundError):  # the run begins anew meanwhile
                found.append(json.loads(file.read_text(encoding="utf-8")))
        return found

    @property
    def _searches(self) -> Path:
        return self._state / "searches"

    @property
    def _state(self) -> Path:
        return self.path / STATE


def partition(base: Path, model: str, fold: int | None = None) -> Path:
    """A model's part of a data set of predictions, or one fold's of it."""
    return base / f"model={model}" if fold is None else base / f"model={model}" / f"fold={fold}"


def uri(path: Path) -> str:
    """As Spark, which may have another default file system, reads and writes it."""
    return f"file://{path.absolute()}"  # Hadoop takes a path as it stands: `as_uri` would write = as %3D


def difference(before: Any, here: Any, key: str = "") -> str:
    """Names the first key in which two configurations differ."""
    if isinstance(before, Mapping) and isinstance(here, Mapping):
        for name in sorted({*before, *here}):
            if before.get(name) != here.get(name):
                return difference(before.get(name), here.get(name), f"{key}.{name}".lstrip("."))
    return f"{key} was {before!r}, is {here!r}"
