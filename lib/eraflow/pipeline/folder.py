"""The folder of one run: what it is of, which folds are finished, what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from eraflow.errors import InputError
from eraflow.whole_files import write_json


@dataclass(frozen=True)
class RunFolder:
    """`<run.dir>/<run.name>`. A fold counts as done once its marker stands, and the run once run.json does."""

    path: Path

    def claim(self, fingerprint: str, identity: Mapping[str, Any]) -> bool:
        """Starts or resumes the run; returns whether it is finished already.

        Raises InputError where the folder holds a run of another configuration or other inputs: nothing is lost.
        """
        state = self._state / "identity.json"
        if state.exists():
            there = json.loads(state.read_text(encoding="utf-8"))
            if there["fingerprint"] != fingerprint:
                raise InputError(
                    f"{self.path} holds another run ({_difference(there['identity'], identity)}); "
                    f"choose another name with --set run.name=NAME, or remove the folder."
                )
            return (self.path / "run.json").exists()
        ours = {".lock", ".writer"}
        if not any(self._state.glob("*.json")):
            ours.add("state")  # left by a start that was cut short
        if self.path.exists() and any(entry.name not in ours for entry in self.path.iterdir()):
            raise InputError(
                f"{self.path} is not empty and holds no run; choose another name with --set run.name=NAME."
            )
        write_json(state, {"fingerprint": fingerprint, "identity": identity})
        return False

    def predictions(self, model: str | None = None, fold: int | None = None) -> str:
        """Where out-of-fold predictions stand; `model` and `fold` are partition columns of one parquet data set."""
        base = (self.path.absolute() / "oof.parquet").as_uri()  # Spark may have another default file system
        return base if model is None else f"{base}/model={model}/fold={fold}"

    def holdout(self, model: str | None = None) -> str:
        """Where predictions of the held-out eras stand, once they have been looked at; as `predictions`, of fold 0."""
        base = (self.path.absolute() / "holdout.parquet").as_uri()
        return base if model is None else f"{base}/model={model}/fold=0"

    def holds(self, identity: Mapping[str, Any]) -> bool:
        """Whether the folder has the finished run of this identity, whatever files of live rows and others say now."""
        state = self._state / "identity.json"
        if not state.exists() or not (self.path / "run.json").exists():
            return False
        there, here = json.loads(state.read_text(encoding="utf-8"))["identity"], json.loads(json.dumps(identity))
        return bool({**there, "references": None} == {**here, "references": None})

    def model(self, name: str, part: str) -> Path:
        return self.path / "models" / name / part

    @property
    def search(self) -> Path:
        """Where the trials of a search for settings stand."""
        return self.path / "search.sqlite3"

    @property
    def log(self) -> Path:
        """What the commands of this run did, and the whole cause of what failed."""
        return self.path / "log.txt"

    def live(self, model: str) -> Path:
        """Where a model's predictions of the live era stand, as it made them."""
        return self.model(model, "final") / "live.parquet"

    def work(self, part: str) -> Path:
        """Where the fit of a part keeps how far it is."""
        return self._state / part

    def is_done(self, part: str) -> bool:
        return (self._state / f"{part}.json").exists()

    def mark_done(self, part: str, facts: Mapping[str, Any]) -> None:
        write_json(self._state / f"{part}.json", facts)

    def facts(self, part: str) -> Mapping[str, Any]:
        """What was told of a part when it was done; empty of one that is not."""
        marker = self._state / f"{part}.json"
        return cast(Mapping[str, Any], json.loads(marker.read_text(encoding="utf-8"))) if marker.exists() else {}

    @property
    def _state(self) -> Path:
        return self.path / "state"


def _difference(there: Any, here: Any, key: str = "") -> str:
    """Names the first key in which two configurations differ."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in sorted({*there, *here}):
            if there.get(name) != here.get(name):
                return _difference(there.get(name), here.get(name), f"{key}.{name}".lstrip("."))
    return f"{key} was {there!r}, is {here!r}"
