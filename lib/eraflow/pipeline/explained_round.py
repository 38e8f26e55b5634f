"""The page of a round: why each of its rows is predicted as it is."""

from __future__ import annotations

from datetime import date

import numpy as np

from eraflow.config import Config
from eraflow.explain.additive import Additive
from eraflow.explain.attribution import Sampling
from eraflow.explain.histories import weeks_of
from eraflow.pipeline.dataset import LiveRows
from eraflow.pipeline.explained_data import of_weeks, reasons_of
from eraflow.pipeline.explaining import unit_of
from eraflow.pipeline.feature_tables import ranking
from eraflow.pipeline.final_models import FinalModels
from eraflow.progress import Progress
from eraflow.reporting import Document, Page
from eraflow.reporting.explained_frames import Explained
from eraflow.reporting.explained_rows import live_section


def round_page(config: Config, finals: FinalModels, rows: LiveRows, day: date, progress: Progress) -> dict[str, bytes]:
    """The files of explain.html and why.csv, by name, of the submission.

    What an average row is, the live rows themselves tell.
    """
    name, fitted = config.submission, finals.fitted[config.submission]
    progress.stage(f"{name}: why each row is predicted so")
    eras = np.full(len(rows.ids), rows.era, dtype=np.int64)
    live = of_weeks(rows, weeks_of(fitted))
    families = {} if config.is_classic else ranking(config).families
    sampling = Sampling(config.explain.walks, config.explain.walked, families)
    model = Additive.of(fitted, live.levels, eras, None, sampling)
    reasons, sums = reasons_of(model, live, (), config.explain.sampled_rows)
    one = Explained(name, (), unit_of(model), "", live=reasons, live_sums=sums)
    section = live_section([one])
    assert section is not None  # a round has rows
    document = Document("explain", f"eraflow: why the rows of {day}", config.run.name, (), (section,))
    files = dict(Page(document).files())
    return {**files, "why.csv": reasons.to_csv(index=False).encode()}
