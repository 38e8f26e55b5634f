"""The page of a round: why each of its rows is predicted as it is."""

from __future__ import annotations

from datetime import date

import numpy as np

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.explain.additive import Additive
from eraflow.explain.rows import why
from eraflow.pipeline.dataset import LiveRows
from eraflow.pipeline.explaining import RAISED, unit_of
from eraflow.pipeline.final_models import FinalModels
from eraflow.progress import Progress
from eraflow.reporting import Document, Page
from eraflow.reporting.explained_frames import Explained
from eraflow.reporting.explained_rows import live_section


def round_page(config: Config, finals: FinalModels, rows: LiveRows, day: date, progress: Progress) -> dict[str, bytes]:
    """The files of explain.html and why.csv, by name, of the submission; none where it follows tickers through time.

    What an average row is, the live rows themselves tell.
    """
    name = config.submission
    progress.stage(f"{name}: why each row is predicted so")
    eras = np.full(len(rows.ids), rows.era, dtype=np.int64)
    try:
        model = Additive.of(finals.fitted[name], rows.levels, eras)
    except InputError as error:
        progress.note(f"{name}: {error}")
        return {}
    reasons, sums = why(model, rows.ids, rows.levels, eras, RAISED)
    one = Explained(name, (), unit_of(model), "", live=reasons, live_sums=sums)
    section = live_section([one])
    assert section is not None  # a round has rows
    document = Document("explain", f"eraflow: why the rows of {day}", config.run.name, (), (section,))
    files = dict(Page(document).files())
    return {**files, "why.csv": reasons.to_csv(index=False).encode()}
