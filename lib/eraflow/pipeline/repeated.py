"""A finished run again: by the settings of its manifest, on the versions of the tables that it had read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.finished import settings_of
from eraflow.pipeline.steps import Versions
from eraflow.session import local_path
from eraflow.tables import Store, Version


@dataclass(frozen=True)
class PastRun:
    """What the manifest of a run tells."""

    path: Path
    config: Config  # the run's, under the name of its repetition
    manifest: Mapping[str, Any]

    def tables(self, store: Store) -> Versions:
        """The versions that the run had read. InputError where one is gone."""
        return tables_read(self.path, self.manifest, store)

    def refuse_others(self, data: Dataset) -> None:
        """InputError where files that a run reads beside its tables are others now."""
        now = json.loads(json.dumps([data.live_hash, *data.reference_files], default=str))
        if now != self.manifest["identity"]["references"]:
            raise InputError(
                f"--repeat {self.path}: the files that it read beside its tables (live rows, models of others, "
                "neutralisers) are others now; put those of that round back."
            )


def version_read(store: Store, manifest: Mapping[str, Any], name: str) -> Version | None:
    """The version of a table that a finished run had read, known by its content; None where that is gone.

    A table that was removed and made anew counts from 0 again: what the run had read may have another number now, and
    its number be of something else.
    """
    made, fingerprint = manifest["tables"][name], manifest["identity"]["tables"][name]
    found = [one for one in store.versions(f"{name}/{made['recipe']}") if one.fingerprint == fingerprint]
    return next((one for one in found if one.number == int(made["version"])), found[0] if found else None)


def tables_read(run: Path, manifest: Mapping[str, Any], store: Store) -> Versions:
    """The versions of the tables that a finished run had read, by its manifest. InputError where one is gone."""
    found: Versions = {}
    for name, made in manifest["tables"].items():
        version = version_read(store, manifest, name)
        if version is None:
            raise InputError(
                f"{run}: version {made['version']} of table {name} is not in {store.root} any more; train it anew."
            )
        found[name] = version
    return found


def tables_of(run: Path, store: Store) -> Versions | None:
    """The same of the run in this folder; None where it is not finished."""
    manifest = run / "run.json"
    return tables_read(run, json.loads(manifest.read_text(encoding="utf-8")), store) if manifest.is_file() else None


def past_run(config: Config, name: str) -> PastRun:
    """The run of this name below run.dir; its repetition is called NAME-again.

    InputError: there is no such finished run, or it is of another version of eraflow.
    """
    base = local_path(config.run.dir, "run.dir")
    manifest, past = settings_of(base, name, "--repeat")
    run = past.run.model_copy(update={"name": f"{name}-again", "dir": config.run.dir})
    return PastRun(base / name, past.model_copy(update={"run": run, "tables": config.tables}), manifest)
