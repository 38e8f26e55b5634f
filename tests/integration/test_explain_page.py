"""The page of explanations as a reader gets it: drawn by a headless Chromium."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.test_report_page import CHROMIUM, DARK, DRAWN, HOSTILE, checked
from tests.planted import Planted, explained

from eraflow.reporting import Document, Page
from eraflow.reporting.explained import explained_sections
from eraflow.reporting.explained_frames import Explained

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def one() -> Explained:
    return explained(Planted.of(1), "gbm")


def a_page(*models: Explained) -> str:
    return Page(Document("explain", "What models live on", HOSTILE, (), explained_sections(models))).html()


@pytest.mark.parametrize(("width", "flags"), [(None, ()), (360, (DARK,))], ids=["wide", "dark phone"])
def test_every_chart_is_drawn_and_no_labels_meet(
    tmp_path: Path, one: Explained, width: int | None, flags: tuple[str, ...]
) -> None:
    other = replace(one, model=HOSTILE, live=one.live.assign(feature=HOSTILE))
    found = checked(a_page(one, other), tmp_path, DRAWN, *flags, width=width)

    assert set(found["labels"].values()) == {0}, found["labels"]
    counts = found["counts"]
    assert min(counts.values()) >= 1, counts
    assert counts["explain-swarm-1"] == len(one.points) + 1  # and the line at 0
    shown = {
        "explain-importance-1",
        "explain-groups-2",
        "explain-lost-groups-numerai-corr-1",
        "explain-eras-1",
        "explain-dependence-6",
        "explain-pair-3",
        "explain-pairs-1",
        "explain-row-6",
        "explain-row-1-6",
    }
    assert shown <= set(counts)


def test_the_page_is_small_and_speaks_of_what_was_found(one: Explained) -> None:
    page = a_page(one)
    assert len(page.encode()) < 2_000_000
    for words in ("agrees", "planted so", "Expected signs", "row_0"):
        assert words in page
    assert "No model was scored" not in page


def test_errors_of_what_is_sampled_stand_beside_it_and_nowhere_else(one: Explained) -> None:
    sampled = replace(one, live=one.live.assign(error=0.0123), importance=one.importance.assign(error=0.0345))
    page, exact = a_page(sampled), a_page(one)
    for words in ("\N{PLUS-MINUS SIGN} 0.0123", "a value \N{PLUS-MINUS SIGN} 0.0345", "error of a sampled value"):
        assert words in page
        assert words not in exact


def test_frames_that_are_empty_leave_no_trace(one: Explained) -> None:
    few = replace(one, permutation=one.permutation.head(0), pairs=one.pairs.head(0), pair_of=None,
                  verdicts=one.verdicts.head(0), live=one.live.head(0), live_sums=one.live_sums.head(0))  # fmt: skip
    titles = [section.title for section in explained_sections([few])]
    assert titles == ["What it lives on", "Over time", "Dependence"]
