"""The folder of one round below a run: what was predicted, and its manifest. It is there whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from eraflow.rounds.predicted import MANIFEST, ROUNDS
from eraflow.whole_files import sha256_of

SUBMISSION = "predictions.csv"
LEFT = 86_400  # seconds after which nobody writes any more into a folder that has not got its name


@dataclass(frozen=True)
class RoundFolder:
    """`<run>/rounds/<date>`."""

    path: Path

    @classmethod
    def of(cls, run: Path, day: date) -> RoundFolder:
        return cls(run / ROUNDS / day.isoformat())

    @property
    def manifest(self) -> Mapping[str, Any] | None:
        """What is told of the predictions; None where there are none."""
        file = self.path / MANIFEST
        return cast(Mapping[str, Any], json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None

    def holds(self, live: Mapping[str, Any], models: Mapping[str, str]) -> bool:
        """Whether it has, unharmed, what models of these hashes say of these rows.

        `live` is what the manifest says of the rows, as far as it is known.
        """
        manifest = self.manifest
        if manifest is None or any(manifest["live"].get(key) != value for key, value in live.items()):
            return False
        made = manifest["predictions"]
        return {name: one["model_sha256"] for name, one in made.items()} == models and all(
            sha256_of(self.path / one["file"]) == one["sha256"] for one in made.values()
        )

    def write(self, fill: Callable[[Path], None], replace: bool) -> bool:
        """Lets `fill` write into another folder, which then gets this one's name.

        False, and nothing has changed, where another process has written it meanwhile; with `replace` what is there
        goes.
        """
        rounds = self.path.parent
        rounds.mkdir(parents=True, exist_ok=True)
        self._clear(rounds)
        mark = f"{self.path.name}-{secrets.token_hex(8)}"
        made, old = rounds / f".{mark}.part", rounds / f".{mark}.old"
        try:
            made.mkdir()
            fill(made)
            if replace:
                with suppress(FileNotFoundError):
                    os.rename(self.path, old)
            try:
                os.rename(made, self.path)
            except OSError:  # a folder with something in it is not replaced
                if not self.path.exists():
                    raise
                return False
            return True
        finally:
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)

    @staticmethod
    def _clear(rounds: Path) -> None:
        """Removes what killed processes have left."""
        for left in (*rounds.glob(".*.part"), *rounds.glob(".*.old")):
            with suppress(OSError):
                if left.stat().st_mtime < time.time() - LEFT:
                    shutil.rmtree(left, ignore_errors=True)
