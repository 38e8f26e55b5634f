"""The monitor's page as a reader gets it: drawn by a headless Chromium."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.integration.test_report_page import CHROMIUM, DARK, DRAWN, HOSTILE, checked

from eraflow.monitoring.calibration import overlapping
from eraflow.monitoring.drift import Reference, drifted
from eraflow.monitoring.records import Sent, live_rows
from eraflow.monitoring.simulated import Universe
from eraflow.monitoring.streams import Kind, paths
from eraflow.reporting import Document, Page
from eraflow.reporting.monitored import Monitored, monitored_sections

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")

UNIVERSE = Universe(features=30, rows=200)
ROUNDS = 400


@pytest.fixture(scope="module")
def slot() -> Monitored:
    """One that has been live for a year and more, and whose newest rows have drifted."""
    draw, kind = np.random.default_rng(1), Kind(20, 5)
    days = pd.bdate_range("2025-01-01", periods=ROUNDS).strftime("%Y-%m-%d")
    reference = Reference.of(UNIVERSE.names, UNIVERSE.groups, [UNIVERSE.era(draw) for _ in range(30)])
    newest = UNIVERSE.era(draw, "shifted")
    looks = {"spread": 0.1, "exposure": 0.2, "most_exposed": "feature_1", "exposure_rms": 0.05}
    rows = [
        live_rows(Sent("classic", "slot", place, days[place], "run", "model"), reference,
                  newest if place == 39 else UNIVERSE.era(draw), 0.0004, looks,
                  {"rank_correlation:examples": 0.5 + 0.01 * place, "rank_correlation:benchmark:a": 0.6, "churn": 0.1})
        for place in range(40)
    ]  # fmt: skip
    values, eras = overlapping(draw, 1, ROUNDS, 20)[0] * 0.02, overlapping(draw, 1, 240, 4)[0] * 0.02 + 0.02
    stream = pd.DataFrame({"score": "canon_corr20", "round": range(ROUNDS), "date": days, "value": values})
    judged = stream.assign(**paths(values, eras, kind).named)
    other = stream.assign(score="canon_mmc20", rolling=np.nan, cusum=np.nan, drawdown=np.nan)
    return Monitored(
        "slot", "run", days[-1], "warn", ("features have drifted",), (), pd.concat(rows, ignore_index=True),
        pd.concat([judged, other], ignore_index=True), {"rolling": 2.2, "cusum": 4.0, "drawdown": 2.0},
        drifted(reference, newest, 0.0004), 30, ("a note",),
    )  # fmt: skip


def a_page(*slots: Monitored) -> str:
    return Page(Document("monitor", "Does it still work", HOSTILE, (), monitored_sections(slots))).html()


@pytest.mark.parametrize(("width", "flags"), [(None, ()), (360, (DARK,))], ids=["wide", "dark phone"])
def test_every_chart_is_drawn_and_no_labels_meet(
    tmp_path: Path, slot: Monitored, width: int | None, flags: tuple[str, ...]
) -> None:
    other = replace(slot, slot=HOSTILE, reasons=(HOSTILE,))
    found = checked(a_page(slot, other), tmp_path, DRAWN, *flags, width=width)
    assert set(found["labels"].values()) == {0}, found["labels"]
    assert min(found["counts"].values()) >= 1, found["counts"]
    shown = {"monitor-scores-4", "monitor-cusum-2", "monitor-rolling-1", "monitor-drawdown-2", "monitor-drifted-1",
             "monitor-distance-2", "monitor-others-1", "monitor-change-2", "monitor-predictions-1"}  # fmt: skip
    assert shown <= set(found["counts"])


def test_the_page_of_ten_slots_over_five_years_is_small(slot: Monitored) -> None:
    days = pd.bdate_range("2021-01-01", periods=1250).strftime("%Y-%m-%d")
    one = slot.live[slot.live["date"] == slot.live["date"].max()]
    years = pd.concat([one.assign(date=day, value=one["value"] * (1 + place / 997)) for place, day in enumerate(days)])
    scores = pd.concat([slot.scores.assign(round=slot.scores["round"] + ROUNDS * part) for part in range(3)])
    many = [replace(slot, slot=f"slot_{place}", live=years, scores=scores) for place in range(10)]
    page = a_page(*many)
    assert len(page.encode()) < 2_000_000
    for words in ("slot_9 (warn): features have drifted; a note.", "Drifted features", "feature_0", "Resolved scores"):
        assert words in page


def test_a_slot_without_scores_and_rounds_leaves_no_empty_chart(slot: Monitored) -> None:
    bare = replace(slot, live=slot.live.head(0), scores=slot.scores.head(0), moved=slot.moved.head(0))
    assert [section.title for section in monitored_sections([bare])] == ["Status"]
