"""The report as a reader gets it: drawn by a headless Chromium."""

import datetime
import json
import re
import shutil
import subprocess
from html import unescape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.unit.test_network_section import a_section

from eraflow.reporting import Page, ReportContent, Section, feature_graphs_section
from eraflow.scoring import summarise
from eraflow.spans import spans_from_numbers
from eraflow.validation import Fold, WalkForward

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--allow-file-access-from-files",
    "--window-size=1200,2400", "--virtual-time-budget=60000", "--dump-dom",
]  # fmt: skip
COMPARISON = ["metric", "model", "other", "eras", "mean", "low", "high"]
HOSTILE = "</script><script>window.broken = 1</script>"
ODD = """a[0].b' \\" + \n\u2028 é\\"""
# Set before anything of the page runs; CHECK is the body of an async function that returns what a test wants to know.
WATCH = """<script>
const wrong = [];
addEventListener("error", (event) => wrong.push(event.message), true);
addEventListener("unhandledrejection", (event) => wrong.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => wrong.push(event.blockedURI));
for (const name of ["error", "warn"]) console[name] = (...words) => wrong.push(words.join(" "));
const until = async (isSo) => { while (!isSo()) await new Promise((go) => setTimeout(go, 20)); };
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const shape = ":is(path, line, text)";
const seen = (mark) => mark.getBoundingClientRect().width + mark.getBoundingClientRect().height > 0;
const marks = (chart) => all(`.role-mark:not([class*=hover]) ${shape}`, chart).filter(seen).length;
const meets = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
const overlaps = (chart) => {
  const boxes = all("text", chart).filter((text) => text.textContent.trim() && getComputedStyle(text).opacity > 0)
    .map((text) => text.getBoundingClientRect());
  return boxes.filter((box, number) => boxes.slice(number + 1).some((other) => meets(box, other))).length;
};
const choose = async (select, value) => {
  const chart = select.closest("figure").querySelector("[data-chart]");
  delete chart.dataset.drawn;
  select.value = value;
  select.dispatchEvent(new Event("change"));
  await until(() => chart.dataset.drawn === "yes");
  return chart;
};
addEventListener("load", async () => {
  const root = document.documentElement;
  await until(() => root.dataset.ready === "yes");
  const found = await (async () => { CHECK })();
  const requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  const wide = root.scrollWidth - root.clientWidth;
  const told = { ...found, wrong, requests, broken: "broken" in window, wide };
  (window.parent === window ? root : parent.document.documentElement).setAttribute("data-told", JSON.stringify(told));
});
</script>"""
DRAWN = """
  const counts = {}, labels = {};
  for (const chart of all("[data-chart]")) {
    counts[chart.dataset.chart] = marks(chart);
    labels[chart.dataset.chart] = overlaps(chart);
  }
  for (const select of all("[data-panels]")) {
    for (const option of all("option", select)) {
      const chart = await choose(select, option.value);
      counts[option.value] = marks(chart);
      labels[option.value] = overlaps(chart);
    }
  }
  return { counts, labels };
"""
LOOKS = """
  const paper = getComputedStyle(document.body).backgroundColor;
  return { paper, bar: getComputedStyle(document.querySelector(".chart .mark-rect path")).fill };
"""
TOGGLE = 'document.getElementById("theme").click();'
DARK = "--blink-settings=preferredColorScheme=0"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


def splits_of(eras: int, folds: int) -> list[Fold]:
    return WalkForward(folds, min_train_eras=4).split(spans_from_numbers(range(1, eras + 1), 20, extra=0))


def a_page(
    eras: int,
    models: tuple[str, ...],
    folds: int,
    metrics: tuple[str, ...] = ("numerai_corr", "mmc"),
    sections: tuple[Section, ...] = (),
) -> str:
    """A page with everything that a report can hold."""
    dates = {era: datetime.date(2003, 1, 3) + datetime.timedelta(weeks=era) for era in range(1, eras + 1)}
    splits = splits_of(eras, folds)
    random = np.random.default_rng(7)
    rows = [
        (model, era, dates[era], metric, random.normal(0.001 * place, 0.02))
        for place, model in enumerate(models)
        for fold in splits
        for era in fold.validation
        for metric in metrics
    ]
    per_era = pd.DataFrame(rows, columns=["model", "era", "date", "metric", "value"])
    comparison = [("numerai_corr", *pair, eras, 0.001, -0.001, 0.003) for pair in combinations(models, 2)]
    counts = [(model, low / 10, low / 10 + 0.1, 7 * low + 1) for model in models for low in range(10)]
    content = ReportContent(
        title="Report",
        run_name=HOSTILE,
        notes=(HOSTILE,),
        per_era=per_era,
        summary=summarise(per_era, overlap=4),
        folds=splits,
        era_dates=dates,
        quality=pd.DataFrame(
            [("a", 1, HOSTILE), ("b", 20, HOSTILE), ("c", 3, HOSTILE)], columns=["check", "count", "detail"]
        ),
        facts={"eras": str(eras)},
        comparison=pd.DataFrame(comparison, columns=COMPARISON),
        predictions=pd.DataFrame(counts, columns=["model", "low", "high", "rows"]),
        sections=sections,
    )
    return Page(content).html()


def dom_of(address: str, profile: Path, *flags: str) -> str:
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={profile}", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout


def checked(page: str, folder: Path, check: str, *flags: str, width: int | None = None) -> dict[str, Any]:
    """What the check found once all charts were drawn; nothing may go wrong, be asked for, or stand out to the side."""
    folder.mkdir(exist_ok=True)
    file = folder / "report.html"
    file.write_text(page.replace("<title>", WATCH.replace("CHECK", check) + "<title>", 1), encoding="utf-8")
    if width:  # a headless window is at least 500 wide, so a phone is a frame
        frame = f'<iframe src="report.html" width="{width}" height="800" style="border:0"></iframe>'
        file = folder / "phone.html"
        file.write_text(frame, encoding="utf-8")
    opening = re.search(r'<html[^>]*data-told="([^"]*)"', dom_of(file.as_uri(), folder / "profile", *flags))
    assert opening, "the page did not finish"
    found: dict[str, Any] = json.loads(unescape(opening[1]))
    assert found.pop("wrong") == []
    assert found.pop("requests") == []
    assert not found.pop("broken")
    assert found.pop("wide") == 0
    return found


SIZES = [
    pytest.param(12, ("gbm",), 1, id="small"),
    pytest.param(300, ("gbm", HOSTILE, ODD), 5, id="middle"),
    pytest.param(1200, tuple(f"model_{place}" for place in range(12)), 8, id="big", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("eras", "models", "folds"), SIZES)
def test_every_chart_is_drawn_and_nothing_goes_wrong(
    tmp_path: Path, eras: int, models: tuple[str, ...], folds: int
) -> None:
    found = checked(a_page(eras, models, folds), tmp_path, DRAWN)
    assert set(found["labels"].values()) == {0}, found["labels"]
    counts = found["counts"]
    scored = sum(len(fold.validation) for fold in splits_of(eras, folds))
    several, rolling = len(models) > 1, int(scored >= 20)
    panels = [f"-{number}" for number in range(1, len(models) + 1)] if several else [""]
    bars = {f"eras{panel}": scored + rolling for panel in panels}
    lines = {key: len(models) + 1 for key in ("cumulative", "drawdown", *(["rolling"] * rolling))}
    assert counts.items() >= (bars | lines | {"folds": 3 * folds}).items()  # train, purge, validation
    others = {f"{key}{panel}" for key in ("heat", "distribution", "predictions") for panel in panels}
    others |= {"spread", "means", *(f"comparison{panel}" for panel in panels)} if several else set()
    assert set(counts) == {*bars, *lines, *others, "folds"}
    assert all(counts[key] >= 2 for key in others), counts


@pytest.mark.parametrize(
    ("width", "flags"), [(360, ()), (360, (DARK,)), (None, (DARK,))], ids=["phone", "dark phone", "dark"]
)
def test_narrow_and_dark_pages_do_not_scroll_sideways_and_no_labels_meet(
    tmp_path: Path, width: int | None, flags: tuple[str, ...]
) -> None:
    models = ("gbm", "a model with_a_very_long_name_without_any_space_in_it_at_all", "x", "y")
    found = checked(a_page(60, models, 3), tmp_path, DRAWN, *flags, width=width)
    assert set(found["labels"].values()) == {0}, found["labels"]
    assert min(found["counts"].values()) >= 1


@pytest.mark.parametrize(("width", "flags"), [(360, (DARK,)), (None, ())], ids=["dark phone", "wide"])
def test_networks_are_drawn_within_the_pages_size(tmp_path: Path, width: int | None, flags: tuple[str, ...]) -> None:
    network = a_section(sectors=11, size=28)
    features = pd.DataFrame([("f1", "f2", 0.5), ("f2", "f3", 0.25)], columns=["source", "target", "weight"])
    page = a_page(60, ("gbm",), 2, sections=(network, feature_graphs_section({"gbm": features})))
    found = checked(page, tmp_path, DRAWN, *flags, width=width)

    assert len(page.encode()) < 2_000_000
    assert set(found["labels"].values()) == {0}, found["labels"]
    counts = {key: count for key, count in found["counts"].items() if key.startswith(("network", "feature"))}
    assert counts.pop("network-graph") == len(network.figures[-1].frame) == 1376
    assert counts == {"network-sectors": 3, "network-overlap": 1, "network-degrees": 3, "feature-degrees": 3}


def test_light_dark_and_the_toggle(tmp_path: Path) -> None:
    page = a_page(30, ("gbm",), 2)
    looks = {
        name: tuple(checked(page, tmp_path / name, click + LOOKS, *flags).values())
        for name, click, flags in (
            ("light", "", ()),
            ("toggled", TOGGLE, ()),
            ("back", TOGGLE + TOGGLE, ()),
            ("dark", "", (DARK,)),
        )
    }
    assert looks["light"] == looks["back"] == ("rgb(255, 255, 255)", "rgb(168, 193, 221)")
    assert looks["toggled"] == looks["dark"] == ("rgb(19, 22, 26)", "rgb(68, 100, 136)")


def test_tables_sort_legends_bring_a_model_forward_and_tooltips_speak(tmp_path: Path) -> None:
    check = """
      const table = document.querySelector("#data-quality table");
      const rows = () => all("tbody tr", table).map((row) => row.cells[1].textContent);
      const sorts = [rows()];
      const [name, count] = all("thead button", table);
      for (const head of [count, count, name]) { head.click(); sorts.push(rows()); }
      const order = name.closest("th").getAttribute("aria-sort");

      const groups = document.querySelector("[data-groups]");
      const shown = () => all("tbody", groups.closest(".table")).filter(seen).length;
      const groupsShown = [shown()];
      for (const value of ["mmc", "*"]) {
        groups.value = value; groups.dispatchEvent(new Event("change")); groupsShown.push(shown());
      }

      const lines = () => all("[data-chart=cumulative] .mark-line path");
      const strengths = () => lines().map((line) => getComputedStyle(line).opacity);
      const plain = strengths();
      document.querySelector("[data-focus=m1]").click();
      await new Promise((go) => setTimeout(go, 200));
      const focused = strengths();

      const column = document.querySelector("[data-chart=cumulative] .hover_marks path");
      const at = { bubbles: true, clientX: column.getBoundingClientRect().x, clientY: 300 };
      column.dispatchEvent(new PointerEvent("pointermove", at));
      await new Promise((go) => setTimeout(go, 200));
      const tip = document.getElementById("vg-tooltip-element");
      const words = tip.classList.contains("visible") ? tip.innerText : "";
      return { sorts, order, groupsShown, plain, focused, words };
    """
    found = checked(a_page(60, tuple("abcdefghij"), 3), tmp_path, check)
    assert found["sorts"] == [["1", "20", "3"], ["20", "3", "1"], ["1", "3", "20"], ["1", "20", "3"]]
    assert found["order"] == "ascending"
    assert found["groupsShown"] == [1, 1, 2]
    assert found["plain"] == ["1"] * 10
    assert found["focused"] == ["0.13", "1", *["0.13"] * 8]
    names = re.findall(r"^(\w+)", found["words"], re.MULTILINE)
    assert names == ["era", "date", *"abcdefghij"]


def test_paper_shows_all_groups_in_light_colours(tmp_path: Path) -> None:
    page = a_page(60, tuple("abcdefghij"), 3).replace("@media print", "@media all")
    check = """
      const groups = all("[data-groups]").map((select) => select.closest(".table").querySelectorAll("tbody").length);
      const shown = all("[data-groups]").map((select) => all("tbody", select.closest(".table")).filter(seen).length);
      const paper = getComputedStyle(document.body).backgroundColor;
      return { groups, shown, paper, nav: seen(document.querySelector("nav")) };
    """
    found = checked(page, tmp_path, check, DARK)
    assert found == {"groups": [2, 2, 10], "shown": [2, 2, 10], "paper": "rgb(255, 255, 255)", "nav": False}


def test_size_of_300_eras_and_3_models_with_every_metric() -> None:
    metrics = ("numerai_corr", *(f"metric_{place}" for place in range(14)))
    assert len(a_page(300, ("a", "b", "c"), 5, metrics).encode()) < 2_000_000
