"""Frames read back from the CSVs of a run: models keep their names."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from eraflow.frames import read_frame
from eraflow.pipeline.finished import finished
from eraflow.tracking import SUMMARISED, metric_values

NAMES = ["NA", "NULL", "TRUE", "nan", "None", "E5"]


@pytest.mark.parametrize("names", [NAMES, ["TRUE", "FALSE"], ["1E5"], ["0005"], ["NA"]])
def test_a_frame_comes_back_as_it_was(tmp_path: Path, names: list[str]) -> None:
    frame = pd.DataFrame({"model": names, "era": range(len(names)), "value": np.linspace(0.1, 0.3, len(names))})
    frame.loc[len(names) - 1, "value"] = np.nan
    frame.to_csv(tmp_path / "frame.csv", index=False)
    assert_frame_equal(read_frame(tmp_path / "frame.csv"), frame)
    assert_frame_equal(read_frame(tmp_path / "frame.csv", ["era", "value"]), frame[["era", "value"]])


def test_reports_and_tracking_know_a_model_by_its_name(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    figures = dict.fromkeys(SUMMARISED, 0.1) | {"eras": 4, "effective_eras": 2.0}
    (run / "run.json").write_text(json.dumps({"config": {"targets": {"main": "target"}}}))
    (run / "summary.json").write_text(json.dumps({name: {"numerai_corr": figures} for name in NAMES}))
    scores = pd.DataFrame({"model": NAMES, "era": 1, "metric": "numerai_corr", "value": 0.1})
    scores.to_csv(run / "per_era.csv", index=False)
    assert finished(tmp_path, "run").per_era["model"].tolist() == [f"run/{name}" for name in NAMES]
    assert {name.partition("/")[0] for name, _, era in metric_values(run) if era == 1} == set(NAMES)
