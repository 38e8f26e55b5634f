"""What is kept of rounds, and by which of its scores a slot is judged."""

import numpy as np
import pandas as pd
import pytest
from tests.rounds import base

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.monitoring.records import horizon_of, judged_score, kind_of, metric_of, scored_rows, stream
from eraflow.monitoring.streams import Kind
from eraflow.outcome import Code, gravest
from eraflow.pipeline.watching import spread

SCORES = pd.DataFrame(
    [
        ("classic", "a", 10, "canon_corr20", "v1", 19, 0.01, "True"),
        ("classic", "a", 10, "canon_corr20", "v1", 20, 0.02, "True"),
        ("classic", "a", 12, "canon_corr20", "v1", 20, 0.03, "True"),
        ("classic", "a", 13, "canon_corr20", "v1", 3, 0.09, "False"),
        ("classic", "a", 10, "canon_mmc20", None, 20, 0.04, "True"),
    ],
    columns=["tournament", "slot", "round", "name", "version", "day", "value", "resolved"],
).assign(percentile=0.5, date="2026-01-01", submission="x")
COMPARED = pd.DataFrame({"slot": ["a"], "round": [12], "name": ["canon_corr20"], "ours": [0.031]})


def test_only_resolved_scores_count_and_of_those_the_last_day() -> None:
    rows = scored_rows(SCORES, COMPARED)
    found = rows.set_index(["score", "round"])[["version", "value"]].sort_index()
    expected = pd.DataFrame(
        {
            "score": ["canon_corr20", "canon_corr20", "canon_corr20, ours", "canon_mmc20"], "round": [10, 12, 12, 10],
            "version": ["v1", "v1", "", ""], "value": [0.02, 0.03, 0.031, 0.04],
        }
    ).set_index(["score", "round"])  # fmt: skip
    pd.testing.assert_frame_equal(found, expected)
    made = stream(rows[rows["score"] == "canon_corr20"])
    assert made["round"].tolist() == [10, 11, 12]
    np.testing.assert_array_equal(made["value"], [0.02, np.nan, 0.03])


def test_a_slot_is_judged_by_the_first_score_that_validation_tells() -> None:
    names = ["canon_mmc20", "canon_corr20", "canon_alpha60"]
    assert judged_score(names, {"numerai_corr", "mmc"}, 20) == "canon_corr20"
    assert judged_score(names, {"mmc"}, 20) == "canon_mmc20"
    assert judged_score(names, {"alpha", "mmc"}, 60) == "canon_alpha60"
    assert judged_score(["canon_alpha60"], {"numerai_corr"}, 60) is None
    assert judged_score(["canon_corr20, ours"], {"numerai_corr"}, 20) is None
    assert metric_of("canon_mpc60") == "neutral_contribution"
    assert metric_of("anything") is None
    assert kind_of("canon_corr20", 60) == Kind(20, 5)
    assert kind_of("alpha", 60) == Kind(60, 5)
    assert (Kind(20, 5).weeks, Kind(20, 5).window) == (4, 260)


def test_a_slot_is_judged_by_a_score_of_its_own_target_whatever_else_has_a_like_name() -> None:
    corr = {"numerai_corr"}
    assert judged_score(["corr20", "corr60"], corr, 20) == "corr20"
    assert judged_score(["corr20", "corr60"], corr, 60) == "corr60"
    assert judged_score(["canon_corr", "corr60", "corrWMetamodel"], corr, 20) == "canon_corr"
    assert judged_score(["corr20", "CORR20V2", "canon_corr"], corr, 20) == "corr20"
    assert judged_score(["corr60"], corr, 20) is None
    assert metric_of("corrWMetamodel") is None
    assert kind_of("corr20V2", 60) == Kind(20, 5)
    assert kind_of("canon_corr", 20) == Kind(20, 5)
    assert [horizon_of("target_cyrus_v4_60", 5), horizon_of("target", 5), horizon_of("target", 13)] == [60, 20, 60]


def test_reference_eras_are_spread_over_all() -> None:
    assert spread([3, 4, 9], 5) == [3, 4, 9]
    assert spread(list(range(101)), 5) == [0, 25, 50, 75, 100]


def test_a_status_of_several_slots_ends_with_the_gravest_code() -> None:
    assert gravest([Code.DONE, Code.WARNED, Code.RETRAIN]) == Code.RETRAIN
    assert gravest([Code.RETRAIN, Code.BLOCKED]) == Code.BLOCKED
    assert gravest([Code.DONE, Code.WARNED]) == Code.WARNED


def test_settings_that_contradict_each_other_are_refused() -> None:
    assert base().monitor.drift_rate == pytest.approx(0.1 / 250)
    twice = "[" + ", ".join(2 * ["{overlap: 20, weekly: 5, labels: 50, rolling: 2, cusum: 4, drawdown: 2}"]) + "]"
    with pytest.raises(InputError, match="overlap 20, weekly 5, labels 50 is there twice; keep one"):
        load([], [f"monitor.charts={twice}"])
    with pytest.raises(InputError, match=r'score_alarms is 0.05, and charts were found for 0.1 .* ARGS="--rate 0.05"'):
        load([], ["monitor.score_alarms=0.05"])
    assert load([], ["monitor.score_alarms=0.05", "monitor.charts_rate=0.05"]).monitor.charts
    with pytest.raises(InputError, match=r"unknown config key monitor\.allowance"):
        load([], ["monitor.allowance=0.3"])  # which would move the CUSUM, and not its limit
    with pytest.raises(InputError, match=r"monitor\.eras"):
        load([], ["monitor.eras=5"])
