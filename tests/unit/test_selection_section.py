"""Chosen features on the page."""

import dataclasses
import json
from pathlib import Path

import pandas as pd
from tests.unit.test_reporting import a_report, text_of

from eraflow.pipeline.outputs import selected_features
from eraflow.reporting import Page, selection_section


def test_what_each_fold_has_kept_is_read_and_told(tmp_path: Path) -> None:
    kept = {
        "gbm/fold-1": {"target-seed-1": {"rsi": 3.5, "beta": 2.0}},
        "gbm/fold-2": {"target-seed-1": {"rsi": 2.5}},
        "two/fold-1": {"target-seed-1": {"size": 1.0}, "target-seed-2": {"size": 1.0}},
        "gbm/final": {"target-seed-1": {"never": 9.0}},  # the report is of the folds
    }
    for place, members in kept.items():
        (tmp_path / "models" / place).mkdir(parents=True)
        saved = [
            {"name": name, "steps": [{"step": "features", "kept": []}, {"step": "selection", "kept": chosen}]}
            for name, chosen in members.items()
        ]
        (tmp_path / "models" / place / "model.json").write_text(json.dumps({"members": saved}))

    found = selected_features(tmp_path)

    expected = [
        ("gbm", "fold-1", "rsi", 3.5),
        ("gbm", "fold-1", "beta", 2.0),
        ("gbm", "fold-2", "rsi", 2.5),
        ("two", "fold-1/target-seed-1", "size", 1.0),
        ("two", "fold-1/target-seed-2", "size", 1.0),
    ]
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=["model", "fit", "feature", "score"]))
    words = text_of(Page(dataclasses.replace(a_report(models=("gbm",)), sections=(selection_section(found),))).html())
    assert "gbm: 2 kept in any of 2 fits" in words
    assert "rsi 100.0 % 3.000 beta 50.0 % 2.000" in words
