"""The report of a run: its frames, its text, its escaping."""

import datetime
import json
import re
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eraflow.reporting import ReportContent, charts, render, tables
from eraflow.scoring import max_drawdown, summarise
from eraflow.validation import Fold, WalkForward, spans_from_numbers

HOSTILE = "</script><script>window.broken = 1</script><!--\u2028'\"&{{ 7 * 7 }}"


def a_report(
    eras: int = 30, models: tuple[str, ...] = ("ridge", "gbm"), name: str = "demo", overlap: int = 1
) -> ReportContent:
    """A report whose scores rise and fall by rule, no model twice the same."""
    dates = {era: datetime.date(2020, 1, 3) + datetime.timedelta(weeks=era) for era in range(1, eras + 1)}
    folds = WalkForward(2, min_train_eras=4).split(spans_from_numbers(list(dates), 20, extra=0))
    rows = [
        (model, era, dates[era], metric, 0.01 * ((era * (place + 3)) % 7 - 2))
        for place, model in enumerate(models)
        for fold in folds
        for era in fold.validation
        for metric in ("numerai_corr", "spearman")
    ]
    per_era = pd.DataFrame(rows, columns=["model", "era", "date", "metric", "value"])
    return ReportContent(
        title="A run",
        run_name=name,
        notes=("Synthetic data.", name),
        per_era=per_era,
        summary=summarise(per_era, overlap),
        folds=folds,
        era_dates=dates,
        quality=pd.DataFrame([(name, 2, name), ("gaps", 0, None)], columns=["check", "count", "detail"]),
        facts={"rows": "1", name: name},
    )


def scores_of(*values: float | None, model: str = "m") -> pd.DataFrame:
    rows = [(model, era, None, "numerai_corr", value) for era, value in enumerate(values, start=1)]
    return pd.DataFrame(rows, columns=["model", "era", "date", "metric", "value"])


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="embed">(.*?)</script>', page, re.DOTALL)
    assert found
    specs: dict[str, Any] = json.loads(found[1])
    return specs


def text_of(page: str) -> str:
    body = re.sub(r"<(script|style|noscript).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


class TestFrames:
    def test_rolling_mean_needs_a_full_window_of_scored_eras(self) -> None:
        frame = charts.score_frame(scores_of(1.0, None, 3.0, 5.0), "numerai_corr", window=2)
        assert frame["era"].tolist() == [1, 3, 4]
        assert frame["rolling"].isna().tolist() == [True, False, False]
        assert frame["rolling"].tolist()[1:] == [2.0, 4.0]

    def test_drawdown_is_below_the_highest_level_from_zero_as_in_scoring(self) -> None:
        values = (-1.0, 3.0, -2.0, 1.0, 4.0)
        frame = charts.score_frame(scores_of(*values), "numerai_corr")
        assert frame["cumulative"].tolist() == [-1.0, 2.0, 0.0, 1.0, 5.0]
        assert frame["drawdown"].tolist() == [-1.0, 0.0, -2.0, -1.0, 0.0]
        assert -frame["drawdown"].min() == max_drawdown(np.array(values, dtype=np.float64))

    def test_models_do_not_mix_and_eras_are_sorted(self) -> None:
        both = pd.concat([scores_of(1.0, 2.0, model="b").iloc[::-1], scores_of(10.0, 20.0, model="a")])
        frame = charts.score_frame(both, "numerai_corr", window=2)
        assert frame[["model", "era", "cumulative"]].values.tolist() == [
            ["b", 1, 1.0], ["b", 2, 3.0], ["a", 1, 10.0], ["a", 2, 30.0],
        ]  # fmt: skip

    def test_contiguous_runs_follow_the_calendar_not_the_numbers(self) -> None:
        assert charts.contiguous_runs([9, 1, 5, 17], [1, 5, 9, 13, 17]) == [(1, 9), (17, 17)]
        assert charts.contiguous_runs([], [1, 2]) == []

    def test_fold_frame_has_a_row_for_each_run(self) -> None:
        fold = Fold(1, train=(1, 2, 7, 8), validation=(4,), purged=(3, 5), embargoed=(6,))
        dates = {era: datetime.date(2020, 1, era) for era in range(1, 9)}
        rows = charts.fold_frame([fold], dates).drop(columns=["fold", "dates"]).values.tolist()
        assert rows == [
            ["train", 1, 2, 2], ["train", 7, 8, 2], ["purge", 3, 3, 1], ["purge", 5, 5, 1],
            ["embargo", 6, 6, 1], ["validation", 4, 4, 1],
        ]  # fmt: skip
        assert charts.fold_frame([fold], dates)["dates"].iloc[0] == "2020-01-01 to 2020-01-02"

    @pytest.mark.parametrize(
        ("eras", "ticks"),
        [([3], [3]), (range(1, 13), [2, 4, 6, 8, 10, 12]), (range(1, 1001), [200, 400, 600, 800, 1000]), ([], [])],
    )
    def test_ticks_are_few_and_round(self, eras: range, ticks: list[int]) -> None:
        assert charts.tick_eras(list(eras)) == ticks

    def test_data_of_a_chart_is_plain_json(self) -> None:
        scores = charts.score_frame(scores_of(0.1234567, 0.2), "numerai_corr")
        spec = charts.era_bars(scores, "numerai_corr", (0.1, 0.2)).to_dict()
        assert spec["datasets"].popitem()[1] == [{"era": 1, "value": 0.123457}, {"era": 2, "value": 0.2}]

    def test_models_take_the_colours_of_the_legend(self) -> None:
        page = render(a_report(models=("zeta", "alpha", "mid")))
        assert re.findall(r'<li><i style="background:var\(--series-(\d)\)"></i>(\w+)</li>', page)[:3] == [
            ("1", "alpha"), ("2", "mid"), ("3", "zeta"),
        ]  # fmt: skip
        layers = embedded(page)["specs"]["cumulative"]["layer"]
        drawn = [layer["encoding"]["color"]["datum"] for layer in layers if "color" in layer["encoding"]]
        assert drawn == ["alpha", "mid", "zeta"]


class TestText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.01234, "0.0123"), (-0.5, "−0.5000"), (-0.00001, "0.0000"), (None, "n/a"), (float("nan"), "n/a")],
    )
    def test_number(self, value: float | None, text: str) -> None:
        assert tables.number(value) == text

    def test_certainty_is_the_interval_or_why_there_is_none(self) -> None:
        assert tables.certainty({"interval": [-0.01, 0.02], "confidence": 0.95}) == "95 % interval −0.0100 to 0.0200"
        assert tables.certainty({"interval": None, "effective_eras": 9.75}) == (
            "no interval: fewer than 10 effective eras"
        )
        assert tables.certainty({"interval": None, "effective_eras": 40.0}) == "no interval: the eras do not vary"

    def test_rests_on(self) -> None:
        stats = {"eras": 21, "effective_eras": 5.25, "eras_without_value": 2}
        assert tables.rests_on(stats) == "21 eras, 5.2 effective, 2 more without a value"
        assert tables.rests_on({"eras": 1200, "effective_eras": 1200.0}) == "1\u202f200 eras, 1200 effective"

    def test_a_fold_has_its_mean_with_interval_and_eras(self) -> None:
        content = a_report(eras=60)
        scores = charts.score_frame(content.per_era, "numerai_corr")
        table = tables.fold_table(content.folds, scores, content.summary, content.era_dates)
        assert table
        mean = table.groups[0].rows[0][-1]
        assert mean.detail[1] == f"over {len(content.folds[0].validation)} eras"
        assert " to " in mean.detail[0]

    def test_folds_that_share_eras_have_no_mean(self) -> None:
        content = a_report()
        twice = [Fold(1, (1,), (20, 21)), Fold(2, (2,), (21, 22))]
        scores = charts.score_frame(content.per_era, "numerai_corr")
        table = tables.fold_table(twice, scores, content.summary, {})
        assert table
        assert [column.text for column in table.columns] == ["Fold", "Train", "Purged", "Embargoed", "Validation"]
        assert "share validation eras" in table.note


class TestPage:
    def test_headline_says_eras_and_interval(self) -> None:
        content = a_report(eras=60, models=("gbm",))
        stats = content.summary["gbm"]["numerai_corr"]
        low, high = (tables.number(bound) for bound in stats["interval"])
        text = text_of(render(content))
        assert f"{tables.number(stats['mean'])} 95 % interval {low} to {high}" in text
        assert f"mean numerai_corr over {stats['eras']} eras, {stats['eras']} effective" in text

    def test_few_eras_show_no_interval(self) -> None:
        text = text_of(render(a_report(overlap=12)))
        assert (
            text.count("no interval: fewer than 10 effective eras") == 2 + 2 + 4 + 1
        )  # heads, charts, rows, folds' note
        assert "% interval 0" not in text

    def test_same_content_same_bytes(self) -> None:
        assert render(a_report()) == render(a_report())

    def test_hostile_names_stay_text(self) -> None:
        page = render(a_report(models=(HOSTILE, "gbm"), name=HOSTILE))
        assert page.count("<script") == page.count("</script>") == 3
        assert "<!--" not in page
        assert "49" not in re.findall(r"<h1>.*?</p>", page, re.DOTALL)[0]
        specs = embedded(page)["specs"]
        assert HOSTILE in {layer["encoding"].get("color", {}).get("datum") for layer in specs["cumulative"]["layer"]}

    def test_nothing_is_fetched(self) -> None:
        page = render(a_report())
        markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
        assert not re.search(r"<link|<img|<iframe|@import|url\(|(?:src|href)\s*=", markup)
        assert "default-src 'none'" in page

    def test_charts_are_there_without_javascript(self) -> None:
        page = render(a_report(models=("gbm",)))
        assert len(re.findall(r"<noscript><svg", page)) == len(re.findall(r"data-chart=", page)) == 4

    def test_a_run_without_anything_is_still_a_page(self) -> None:
        empty = ReportContent(
            title="Nothing", run_name="none", notes=(), summary={}, folds=(), era_dates={}, facts={},
            per_era=pd.DataFrame(columns=["model", "era", "date", "metric", "value"]),
            quality=pd.DataFrame(columns=["check", "count", "detail"]),
        )  # fmt: skip
        text = text_of(render(empty))
        for said in ("No model was scored.", "No era has a numerai_corr.", "This run has no folds.", "found nothing."):
            assert said in text

    def test_unknown_values_and_dates_are_said(self) -> None:
        per_era = scores_of(None, 0.1)
        summary = {
            "m": {"numerai_corr": {**dict.fromkeys(("mean", "std", "sharpe", "interval", "best_era")), "eras": 1}}
        }
        content = ReportContent(
            "T",
            "r",
            (),
            per_era,
            summary,
            [Fold(1, (1,), (2,))],
            {},
            pd.DataFrame(columns=["check", "count", "detail"]),
            {},
        )
        text = text_of(render(content))
        assert "m n/a no interval: fewer than 10 effective eras mean numerai_corr over 1 era" in text

    def test_size_of_300_eras_and_3_models(self) -> None:
        assert len(render(a_report(300, ("a", "b", "c"))).encode()) < 2_000_000
