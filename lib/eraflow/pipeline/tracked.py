"""Finished runs, and what champions are, as MLflow is told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eraflow import tracking
from eraflow.config import fingerprint
from eraflow.config.scoring import Tracking
from eraflow.monitoring.champions import Champion
from eraflow.pipeline.finished import manifest_of
from eraflow.pipeline.versions import git_revision
from eraflow.progress import Progress
from eraflow.whole_files import write_json

ALIASES = "champion", "challenger"


def tell_run(settings: Tracking, base: Path, name: str, identity: Mapping[str, Any], revision: str | None) -> str:
    """Tells MLflow of the finished run of this name, unless it knows it; returns its id there."""
    tags = {"git_revision": revision or "", "tables": json.dumps(identity["tables"])}
    tags[tracking.FINGERPRINT] = fingerprint(identity, name)
    return tracking.track(settings, base, base / name, name, identity["config"], tags)


def tell_champion(settings: Tracking, base: Path, champion: Champion, progress: Progress) -> tuple[str, ...]:
    """Sets the aliases `champion` and `challenger` of the registered model of this name, if tracking is enabled.

    Returns a line of it; none where MLflow has been told of the newest decision before. InputError where it refuses:
    the decision stands, and the next call tells it again.
    """
    found = champion.decisions
    if not settings.enabled or not found:
        return ()
    mark = {"decision": found[-1].number, "tracking": fingerprint(settings)}
    file = champion.folder / "mlflow.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")) == mark:
        return ()
    tracking.required()
    progress.stage("telling MLflow")
    runs = dict(zip(ALIASES, (found[-1].champion, found[-1].challenger), strict=True))
    ids = {alias: None if run is None else _run_id(settings, base, run) for alias, run in runs.items()}
    versions = tracking.set_aliases(settings, base, champion.name, ids)
    write_json(file, mark)
    listed = ", ".join(f"{alias} is version {version}" for alias, version in versions.items())
    return (f"MLflow: of the model {champion.name} {listed}",)


def _run_id(settings: Tracking, base: Path, run: str) -> str:
    """The id of a run at MLflow, which is told of it if it was trained untracked."""
    manifest = manifest_of(base, run)
    return tell_run(settings, base, run, manifest["identity"], manifest["git_revision"] or git_revision())
