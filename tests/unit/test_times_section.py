"""What each model took: read from the parts of a run, and told on the page."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from tests.unit.test_reporting import a_report, text_of

from eraflow.pipeline.clock import timed, times
from eraflow.pipeline.folder import RunFolder
from eraflow.reporting import Page, times_section


def test_times_of_all_parts_are_added_up_and_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for part, fit, predict in (("gbm-fold-1", 2.0, 0.5), ("gbm-fold-2", 3.0, 0.5), ("gbm-live", 4.25, 0.25)):
        folder.mark_done(part, {"fit_seconds": fit, "predict_seconds": predict, "eras": 7})
    folder.mark_done("blend-ensemble", {"fit_seconds": 1.5, "predict_seconds": 0.75})
    for part in ("old-fold-1", "old-fold-2", "old-live"):
        folder.mark_done(part, {"eras": 7})  # a version of eraflow that kept no times
    folder.mark_done("half-fold-1", {"fit_seconds": 1.0, "predict_seconds": 1.0})

    found = times(folder, ["gbm", "old", "half"], ["blend"], [1, 2])

    expected = [("gbm", 3, 9.25, 1.25), ("blend", 0, 1.5, 0.75)]
    columns = ["model", "fits", "fit_seconds", "predict_seconds"]
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=columns))
    page = Page(dataclasses.replace(a_report(models=("gbm",)), sections=(times_section(found),))).html()
    assert "gbm 3 9.2 1.2 10.5 blend 1.5 0.8 2.2" in text_of(page)


def test_what_fails_leaves_no_time() -> None:
    took: dict[str, float] = {}
    with timed(took, "fit_seconds"):
        pass
    with pytest.raises(ValueError, match="no"), timed(took, "predict_seconds"):
        raise ValueError("no")
    assert set(took) == {"fit_seconds"}
