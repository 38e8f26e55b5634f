"""The report as a reader gets it: drawn by a headless Chromium."""

import datetime
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eraflow.reporting import ReportContent, render
from eraflow.scoring import summarise
from eraflow.validation import Fold, WalkForward, spans_from_numbers

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1200,2400", "--virtual-time-budget=10000", "--dump-dom",
]  # fmt: skip
HOSTILE = "</script><script>window.broken = 1</script>"
ODD = """a[0].b' \\" + \n\u2028 é\\"""
WATCH = """<script>
const tell = (kind, what) => document.documentElement.setAttribute(`data-${kind}`, String(what));
addEventListener("error", (event) => tell("error", event.message), true);
addEventListener("unhandledrejection", (event) => tell("error", event.reason));
addEventListener("securitypolicyviolation", (event) => tell("blocked", event.blockedURI));
for (const name of ["error", "warn"]) console[name] = (...words) => tell("error", words.join(" "));
addEventListener("load", () => setTimeout(() => {
  CLICK
  tell("broken", "broken" in window);
  tell("requests", performance.getEntriesByType("resource").map((entry) => entry.name).join(" "));
  tell("paper", getComputedStyle(document.body).backgroundColor);
  const bar = document.querySelector(".chart .mark-rect path");
  tell("bar", getComputedStyle(bar).fill);
  const marks = "[class*=mark-].role-mark:not([class*=hover]) path";
  const solid = (path) => path.getTotalLength() > 0 && getComputedStyle(path).opacity > 0;
  const count = (chart) => [...chart.querySelectorAll(marks)].filter(solid).length;
  tell("charts", [...document.querySelectorAll("[data-chart]")].map((c) => `${c.dataset.chart}:${count(c)}`).join(" "));
  tell("drawn", document.querySelectorAll("[data-drawn=yes]").length);
}, 5000));
</script>"""
TOGGLE = 'document.getElementById("theme").click();'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


def splits_of(eras: int, folds: int) -> list[Fold]:
    return WalkForward(folds, min_train_eras=4).split(spans_from_numbers(range(1, eras + 1), 20, extra=0))


def a_page(eras: int, models: tuple[str, ...], folds: int) -> str:
    dates = {era: datetime.date(2003, 1, 3) + datetime.timedelta(weeks=era) for era in range(1, eras + 1)}
    splits = splits_of(eras, folds)
    random = np.random.default_rng(7)
    rows = [
        (model, era, dates[era], "numerai_corr", random.normal(0.01, 0.02))
        for model in models
        for fold in splits
        for era in fold.validation
    ]
    per_era = pd.DataFrame(rows, columns=["model", "era", "date", "metric", "value"])
    quality = pd.DataFrame([(HOSTILE, 1, HOSTILE)], columns=["check", "count", "detail"])
    facts = {"eras": str(eras)}
    summary = summarise(per_era, overlap=4)
    return render(ReportContent("Report", HOSTILE, (HOSTILE,), per_era, summary, splits, dates, quality, facts))


def drawn(page: str, folder: Path, click: str = "", *flags: str) -> str:
    """The DOM after the page's scripts ran, with what went wrong and what it looks like as attributes of <html>."""
    file = folder / "report.html"
    file.write_text(page.replace("<title>", WATCH.replace("CLICK", click) + "<title>", 1), encoding="utf-8")
    profile = folder / "profile"
    profile.mkdir()
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={profile}", file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def told(dom: str) -> dict[str, str]:
    """Attributes of <html>."""
    opening = re.search(r"<html[^>]*>", dom)
    assert opening
    return dict(re.findall(r'data-(\w+)="([^"]*)"', opening[0]))


@pytest.mark.parametrize(
    ("eras", "models", "folds"), [(12, ("gbm",), 1), (300, ("gbm", HOSTILE, ODD), 5)], ids=["small", "big"]
)
def test_every_chart_is_drawn_and_nothing_goes_wrong(
    tmp_path: Path, eras: int, models: tuple[str, ...], folds: int
) -> None:
    said = told(drawn(a_page(eras, models, folds), tmp_path))
    assert not {"error", "blocked"} & set(said), said
    assert said["broken"] == "false"
    assert said["requests"] == ""
    counts = {key: int(count) for key, count in (chart.split(":") for chart in said["charts"].split())}
    scored = sum(len(fold.validation) for fold in splits_of(eras, folds))
    rolling = int(scored >= 20)
    assert counts == {
        **{f"eras-{number}": scored + rolling for number in range(len(models))},
        "cumulative": len(models),
        "drawdown": len(models),
        "folds": 3 * folds,  # train, purge, validation
    }
    assert said["drawn"] == str(len(counts))


def test_light_dark_and_the_toggle(tmp_path: Path) -> None:
    page = a_page(30, ("gbm",), 2)
    looks = {}
    for name, click, flags in (
        ("light", "", ()),
        ("toggled", TOGGLE, ()),
        ("back", TOGGLE + TOGGLE, ()),
        ("dark", "", ("--blink-settings=preferredColorScheme=0",)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        said = told(drawn(page, folder, click, *flags))
        looks[name] = (said["paper"], said["bar"])
    assert looks["light"] == looks["back"] == ("rgb(255, 255, 255)", "rgb(169, 188, 214)")
    assert looks["toggled"] == looks["dark"] == ("rgb(20, 23, 27)", "rgb(71, 96, 127)")


def test_a_phone_does_not_scroll_sideways(tmp_path: Path) -> None:
    inner = a_page(60, ("gbm", "a model with_a_very_long_name_without_any_space_in_it_at_all"), 3)
    (tmp_path / "inner.html").write_text(inner, encoding="utf-8")
    # A headless window is at least 500 wide, so the phone is a frame.
    outer = """<title></title><iframe id="phone" src="inner.html" width="360" height="800" style="border:0"></iframe>
    <script>setTimeout(() => {
      const page = phone.contentDocument.documentElement;
      document.title = `${page.clientWidth} ${page.scrollWidth}`;
    }, 5000)</script>"""
    (tmp_path / "outer.html").write_text(outer, encoding="utf-8")
    command = [
        str(CHROMIUM), *FLAGS, "--allow-file-access-from-files", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "outer.html").as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>360 360</title>" in dom
