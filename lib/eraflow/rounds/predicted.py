"""What `jobs/predict.py` has left of a round: `<run>/rounds/<date>/`, found and read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow.errors import InputError

FORMAT = 1
MANIFEST, ROUNDS = "manifest.json", "rounds"


@dataclass(frozen=True)
class Predicted:
    """The predictions of a run for one round's live rows."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def run(self) -> str:
        return str(self.manifest["run"])

    @property
    def tournament(self) -> str:
        return str(self.manifest["tournament"])

    @property
    def is_invented(self) -> bool:
        return bool(self.manifest["invented"])

    @property
    def date(self) -> str:
        """The live data's, YYYY-MM-DD."""
        return str(self.manifest["date"])

    @property
    def ids(self) -> str:
        """The hash of the live rows' ids."""
        return str(self.manifest["live"]["ids_sha256"])

    @property
    def live_sha256(self) -> str | None:
        """The hash of the file of the live rows, where they are in one."""
        found: str | None = self.manifest["live"].get("file_sha256")
        return found

    def name(self, prediction: str | None) -> str:
        """The model or ensemble that is meant; None is the run's submission. InputError where there is none."""
        wanted = prediction or str(self.manifest["submission"])
        if wanted not in self.manifest["predictions"]:
            present = ", ".join(self.manifest["predictions"])
            raise InputError(f"run {self.run} has no prediction {wanted!r}; in {self.folder} are {present}.")
        return wanted

    def content(self, prediction: str | None) -> bytes:
        """The bytes of a prediction's file. InputError where they are not those that the manifest names."""
        facts = self.manifest["predictions"][self.name(prediction)]
        path = self.folder / facts["file"]
        content = _bytes(path)
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise InputError(f"{path} was changed after it was predicted; remove {self.folder} and predict again.")
        return content

    def frame(self, prediction: str | None) -> pd.DataFrame:
        """The prediction's file as a frame."""
        path = self.folder / self.manifest["predictions"][self.name(prediction)]["file"]
        return frame_of(self.content(prediction), str(path))

    def bands(self, prediction: str | None) -> Mapping[str, Sequence[float] | None]:
        """What validation eras showed of the rank correlation with others, by their name."""
        found: Mapping[str, Sequence[float] | None] = self.manifest.get("bands", {}).get(self.name(prediction), {})
        return found


def frame_of(content: bytes, name: str) -> pd.DataFrame:
    """The frame of a submission's bytes: names are words, an empty field is missing. InputError where it is no CSV."""
    try:
        names = pd.read_csv(BytesIO(content), nrows=0).columns
        return pd.read_csv(BytesIO(content), keep_default_na=False, na_values=[""], dtype={names[0]: str})
    except (ValueError, UnicodeDecodeError):
        raise InputError(f"{name} is no CSV file; predict again.") from None


def ids_hash(ids: Iterable[str]) -> str:
    """The hash by which a manifest names the live rows."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def all_predicted(run: Path) -> tuple[list[Predicted], list[InputError]]:
    """All rounds that a run has predicted, in the order of their dates, and what is wrong with manifests of others."""
    found: list[Predicted] = []
    odd: list[InputError] = []
    for file in sorted((run / ROUNDS).glob(f"[0-9]*/{MANIFEST}")):  # a folder that is being written begins with a dot
        try:
            found.append(read(file.parent))
        except InputError as error:
            odd.append(error)
    return found, odd


def read(folder: Path) -> Predicted:
    """The predictions in a folder. InputError where its manifest is none, or of another version."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(_bytes(path))
        if manifest["format"] != FORMAT:
            raise InputError(f"{path} is of another version of eraflow; remove {folder} and predict again.")
        complete = {"run", "tournament", "date", "invented", "predictions", "submission"} <= set(manifest)
        if not complete or not isinstance(manifest["live"]["ids_sha256"], str):
            raise KeyError
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no manifest of a round; remove {folder} and predict again.") from None
    return Predicted(folder, manifest)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); predict again.") from None
