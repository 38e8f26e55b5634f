"""What the models of a run took: kept with each finished part, so that a run that was resumed tells all of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pandas as pd

from eraflow.pipeline.folder import RunFolder

FIT, PREDICT = "fit_seconds", "predict_seconds"
LIVE, ENSEMBLE = "live", "ensemble"


@contextmanager
def timed(seconds: dict[str, float], key: str) -> Iterator[None]:
    """Puts the seconds that the block took under the key, unless it fails."""
    started = time.monotonic()
    yield
    seconds[key] = round(time.monotonic() - started, 3)


def times(folder: RunFolder, models: Iterable[str], ensembles: Iterable[str], folds: Iterable[int]) -> pd.DataFrame:
    """`model, fits, fit_seconds, predict_seconds`: sums over the folds and the final model; of an ensemble no fits.

    Its fitting is that of its weights. A model with a part that is not finished, or was by a version of eraflow that
    kept no times, is left out.
    """
    parts = {name: [*(f"{name}-fold-{fold}" for fold in folds), f"{name}-{LIVE}"] for name in models}
    fits = {name: len(pieces) for name, pieces in parts.items()}
    parts |= {name: [f"{name}-{ENSEMBLE}"] for name in ensembles}
    rows = []
    for name, pieces in parts.items():
        measured = [folder.facts(part) for part in pieces]
        if all(FIT in facts and PREDICT in facts for facts in measured):
            rows.append((name, fits.get(name, 0), *(sum(facts[key] for facts in measured) for key in (FIT, PREDICT))))
    return pd.DataFrame(rows, columns=["model", "fits", FIT, PREDICT])
