"""The manifest of a run, by which it is repeated."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow.pipeline.content import Content
from eraflow.pipeline.dataset import versions
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.versions import git_revision
from eraflow.reporting import best_trial


def manifest(folder: Path, content: Content, took: pd.DataFrame) -> dict[str, Any]:
    """What run.json holds: what decides the run's content, what it read, and when; `took` is of each model."""
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    models = took.set_index("model").round(1).to_dict(orient="index")
    return {
        "config": content.config.resolved(),
        "identity": content.identity,
        "tables": versions(content.data.tables),
        "manifest": content.data.manifest,
        "folds": [asdict(fold) for fold in content.folds],
        "quality": content.shown.quality.to_dict(orient="records"),
        "search": {
            str(part): {"trials": len(tried), "settings": None if best is None else json.loads(best["settings"])}
            for part, tried in content.trials.groupby("part")
            for best in [best_trial(tried)]
        },
        "unscored_eras": {model: list(eras) for model, eras in content.scored.unscored.items()},
        "git_revision": git_revision(),
        # Beside these, names of folders and numbers of table versions may differ between runs with the same content.
        "clock": {
            "finished": finished,
            "seconds": round(content.seconds, 1),
            "models": models,
            "fits": RunFolder(folder).fits,
        },
    }
