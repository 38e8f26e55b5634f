"""The report of a run: its frames, its text, its escaping."""

import dataclasses
import datetime
import io
import json
import re
from html import unescape
from itertools import combinations
from typing import Any, ClassVar

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from altair.utils.schemapi import debug_mode

from eraflow.reporting import (
    Page,
    ReportContent,
    Section,
    charts,
    figure,
    frames,
    marks,
    palette,
    spreads,
    tables,
    text,
)
from eraflow.reporting.content import Cell, Group, Table
from eraflow.reporting.sections import sections as all_sections
from eraflow.scoring import max_drawdown, summarise
from eraflow.spans import spans_from_numbers
from eraflow.validation import Fold, WalkForward

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


def refuse_invalid(*sections: Section) -> None:
    """Fails where Vega-Lite's schema does not know what a chart says: a page is made without looking."""
    for panel in (panel for section in sections for drawn in section.figures for panel in drawn.panels):
        panel.chart.to_dict(validate=True)


def text_of(page: str) -> str:
    body = re.sub(r"<(script|style|noscript)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


class TestFrames:
    def test_rolling_mean_needs_a_full_window_of_scored_eras(self) -> None:
        frame = frames.score_frame(scores_of(1.0, None, 3.0, 5.0), "numerai_corr", window=2)
        assert frame["era"].tolist() == [1, 3, 4]
        assert frame["rolling"].isna().tolist() == [True, False, False]
        assert frame["rolling"].tolist()[1:] == [2.0, 4.0]

    def test_drawdown_is_below_the_highest_level_from_zero_as_in_scoring(self) -> None:
        values = (-1.0, 3.0, -2.0, 1.0, 4.0)
        frame = frames.score_frame(scores_of(*values), "numerai_corr")
        assert frame["cumulative"].tolist() == [-1.0, 2.0, 0.0, 1.0, 5.0]
        assert frame["drawdown"].tolist() == [-1.0, 0.0, -2.0, -1.0, 0.0]
        assert -frame["drawdown"].min() == max_drawdown(np.array(values, dtype=np.float64))

    def test_models_do_not_mix_and_eras_are_sorted(self) -> None:
        both = pd.concat([scores_of(1.0, 2.0, model="b").iloc[::-1], scores_of(10.0, 20.0, model="a")])
        frame = frames.score_frame(both, "numerai_corr", window=2)
        assert frame[["model", "era", "cumulative"]].values.tolist() == [
            ["b", 1, 1.0], ["b", 2, 3.0], ["a", 1, 10.0], ["a", 2, 30.0],
        ]  # fmt: skip

    def test_contiguous_runs_follow_the_calendar_not_the_numbers(self) -> None:
        assert frames.contiguous_runs([9, 1, 5, 17], [1, 5, 9, 13, 17]) == [(1, 9), (17, 17)]
        assert frames.contiguous_runs([], [1, 2]) == []

    def test_fold_frame_has_a_row_for_each_run(self) -> None:
        fold = Fold(1, train=(1, 2, 7, 8), validation=(4,), purged=(3, 5), embargoed=(6,))
        dates = {era: datetime.date(2020, 1, era) for era in range(1, 9)}
        rows = frames.fold_frame([fold], dates).drop(columns=["fold", "dates"]).values.tolist()
        assert rows == [
            ["train", 1, 2, 2], ["train", 7, 8, 2], ["purge", 3, 3, 1], ["purge", 5, 5, 1],
            ["embargo", 6, 6, 1], ["validation", 4, 4, 1],
        ]  # fmt: skip
        assert frames.fold_frame([fold], dates)["dates"].iloc[0] == "2020-01-01 to 2020-01-02"

    @pytest.mark.parametrize(
        ("eras", "ticks"),
        [([3], [3]), (range(1, 13), [2, 4, 6, 8, 10, 12]), (range(1, 1001), [200, 400, 600, 800, 1000]), ([], [])],
    )
    def test_ticks_are_few_and_round(self, eras: range, ticks: list[int]) -> None:
        assert marks.tick_eras(list(eras)) == ticks

    def test_data_of_a_chart_is_plain_json(self) -> None:
        scores = frames.score_frame(scores_of(0.1234567, 0.2), "numerai_corr")
        spec = charts.era_bars(scores, "numerai_corr", (0.1, 0.2)).to_dict()
        assert spec["datasets"].popitem()[1] == [
            {"era": 1, "date": None, "value": 0.1235, "rolling": None},
            {"era": 2, "date": None, "value": 0.2, "rolling": None},
        ]

    def test_models_take_the_colours_of_the_legend(self) -> None:
        page = Page(a_report(models=("zeta", "alpha", "mid"))).html()
        looks = re.findall(
            r'data-focus="(m\d)".*?stroke:var\(--series-(\d)\).*?</svg>\s*(\w+)</button>', page, re.DOTALL
        )
        assert looks[:3] == [("m0", "1", "alpha"), ("m1", "2", "mid"), ("m2", "3", "zeta")]
        layers = embedded(page)["specs"]["cumulative"]["layer"]
        lines = [layer for layer in layers if "color" in layer["encoding"]]
        assert [line["encoding"]["y"]["field"] for line in lines] == ["m0", "m1", "m2"]
        assert [json.loads(line["transform"][-1]["calculate"]) for line in lines] == ["alpha", "mid", "zeta"]
        assert {tuple(line["encoding"]["color"]["scale"]["domain"]) for line in lines} == {("alpha", "mid", "zeta")}


class TestHeat:
    def test_a_row_is_a_year_and_a_place_its_week(self) -> None:
        rows = [("m", era, datetime.date(2020, 12, 25) + datetime.timedelta(weeks=era), 0.1) for era in (0, 1, 2)]
        cells = frames.heat_frame(pd.DataFrame(rows, columns=["model", "era", "date", "value"]))
        assert cells[["row", "place"]].values.tolist() == [["2020", 52], ["2020", 53], ["2021", 1]]

    @pytest.mark.parametrize("days", [None, 1], ids=["no dates", "several eras a week"])
    def test_else_a_row_is_a_block_of_eras(self, days: int | None) -> None:
        dates = [days and datetime.date(2020, 1, 6) + datetime.timedelta(days=place) for place in range(3)]
        frame = pd.DataFrame({"model": "m", "era": [49, 50, 51], "date": dates, "value": 0.1})
        assert frames.heat_frame(frame)[["row", "place"]].values.tolist() == [
            ["1 to 50", 49], ["1 to 50", 50], ["51 to 100", 1],
        ]  # fmt: skip

    def test_bounds_are_symmetric_and_short(self) -> None:
        bounds = frames.heat_bounds(pd.Series(np.linspace(-0.05, 0.05, 101)))
        assert bounds == [-0.05, -0.03, -0.01, 0.01, 0.03, 0.05]
        assert frames.heat_bounds(pd.Series([0.0, 0.0]))[0] < 0


class TestSpread:
    def test_bins_share_their_edges_and_zero_is_one(self) -> None:
        both = pd.concat([scores_of(-0.5, 0.5, model="b"), scores_of(0.1, 0.1, 0.3, model="a")])
        bins = frames.bin_frame(frames.score_frame(both, "numerai_corr"))
        assert bins.groupby("model")["eras"].sum().to_dict() == {"a": 3, "b": 2}
        assert not ((bins["low"] < -1e-12) & (bins["high"] > 1e-12)).any()
        assert bins.loc[bins["model"] == "a", "eras"].tolist() == [2, 1]

    def test_one_value_has_one_bin(self) -> None:
        for value in (0.0, 0.25, -3.0):
            bins = frames.bin_frame(frames.score_frame(scores_of(value, value), "numerai_corr"))
            assert bins["eras"].tolist() == [2]
            assert bins["low"].iloc[0] <= value < bins["high"].iloc[0]

    def test_spread_is_by_model(self) -> None:
        spread = frames.spread_frame(frames.score_frame(scores_of(*np.linspace(0, 1, 101)), "numerai_corr"))
        assert spread.round(9).values.tolist() == [["m", 0.5, 0.05, 0.25, 0.5, 0.75, 0.95]]


class TestText:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [(0.01234, "0.0123"), (-0.5, "−0.5000"), (-0.00001, "0.0000"), (None, "n/a"), (float("nan"), "n/a")],
    )
    def test_number(self, value: float | None, shown: str) -> None:
        assert text.number(value) == shown

    def test_certainty_is_the_interval_or_why_there_is_none(self) -> None:
        assert text.certainty({"interval": [-0.01, 0.02], "confidence": 0.95}) == "95 % interval −0.0100 to 0.0200"
        assert text.certainty({"interval": None, "effective_eras": 9.75}) == (
            "no interval: fewer than 10 effective eras"
        )
        assert text.certainty({"interval": None, "effective_eras": 40.0}) == "no interval: the eras do not vary"

    def test_rests_on(self) -> None:
        stats = {"eras": 21, "effective_eras": 5.25, "eras_without_value": 2}
        assert text.rests_on(stats) == "21 eras, 5.2 effective, 2 more without a value"
        assert text.rests_on({"eras": 1200, "effective_eras": 1200.0}) == "1\u202f200 eras, 1200 effective"

    def test_a_fold_has_its_mean_with_interval_and_eras(self) -> None:
        content = a_report(eras=60)
        scores = frames.score_frame(content.per_era, "numerai_corr")
        table = tables.fold_table(content.folds, scores, content.summary, content.era_dates, "numerai_corr")
        assert table
        mean = table.groups[0].rows[0][-1]
        assert mean.detail[1] == f"over {len(content.folds[0].validation)} eras"
        assert " to " in mean.detail[0]

    def test_folds_that_share_eras_have_no_mean(self) -> None:
        content = a_report()
        twice = [Fold(1, (1,), (20, 21)), Fold(2, (2,), (21, 22))]
        scores = frames.score_frame(content.per_era, "numerai_corr")
        table = tables.fold_table(twice, scores, content.summary, {}, "numerai_corr")
        assert table
        assert [column.text for column in table.columns] == ["Fold", "Train", "Purged", "Embargoed", "Validation"]
        assert "share validation eras" in table.note


class TestPage:
    def test_headline_says_eras_and_interval(self) -> None:
        content = a_report(eras=60, models=("gbm",))
        stats = content.summary["gbm"]["numerai_corr"]
        low, high = (text.number(bound) for bound in stats["interval"])
        words = text_of(Page(content).html())
        assert f"{text.number(stats['mean'])} 95 % interval {low} to {high}" in words
        assert f"mean numerai_corr over {stats['eras']} eras, {stats['eras']} effective" in words

    def test_few_eras_show_no_interval(self) -> None:
        words = text_of(Page(a_report(overlap=12)).html())
        assert words.count("no interval: fewer than 10 effective eras") == 2 + 4 + 2  # cards, rows, two notes
        assert "% interval 0" not in words

    def test_same_content_same_bytes(self) -> None:
        assert Page(a_report()).html() == Page(a_report()).html()

    def test_hostile_names_stay_text(self) -> None:
        page = Page(a_report(models=(HOSTILE, "gbm"), name=HOSTILE)).html()
        assert page.count("<script") == page.count("</script>") == 3
        assert "<!--" not in page
        assert "49" not in re.findall(r"<h1>.*?</p>", page, re.DOTALL)[0]
        specs = embedded(page)["specs"]
        colours = [layer["encoding"]["color"] for layer in specs["cumulative"]["layer"] if "color" in layer["encoding"]]
        assert HOSTILE in colours[0]["scale"]["domain"]

    def test_nothing_is_fetched(self) -> None:
        page = Page(a_report()).html()
        markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
        assert not re.search(r"<link|<img|<iframe|@import|url\(|src\s*=|href\s*=(?!\"#)", markup)
        assert "default-src 'none'" in page

    def test_what_many_models_hold_is_offered_one_at_a_time(self) -> None:
        page = Page(a_report(models=tuple("abcdefghijkl"))).html()
        assert len(re.findall(r'<option value="eras-\d+">', page)) == 12
        assert re.findall(r'data-chart="(eras[^"]*)"', page) == ["eras-1"]
        assert 'stroke-dasharray="6 3"' in page  # the ninth model has the first's colour, dashed
        assert '<article class="headline"' not in page  # a chart and a table in their place
        assert 'data-chart="means"' in page

    def test_a_section_of_others_stands_in_its_place(self) -> None:
        frame = pd.DataFrame({"model": ["a"], "mean": [0.1], "low": [None], "high": [None]})
        chart = spreads.interval_rows(frame, "model", "spread")
        table = Table("Costs", (Cell("Cost", figure=False),), (Group(((Cell("<b>5 bp</b>", figure=False),),)),))
        drawn = figure(
            "strategy", "Long less short", "What it would have paid.", chart, frame, basis="Rests on 3 eras."
        )
        section = Section("Strategy", ("Held for 20 days.",), (drawn,), (table,))
        content = dataclasses.replace(a_report(), sections=(section,))
        page = Page(content).html()
        assert re.findall(r"<h2>(.*?)</h2>", page.partition("<script")[0]) == [
            "Scores by era", "Metrics", "Strategy", "Folds", "Data quality", "Run",
        ]  # fmt: skip
        words = text_of(page)
        for said in ("Held for 20 days.", "What it would have paid. Rests on 3 eras.", "<b>5 bp</b>"):
            assert said in words
        assert "strategy" in embedded(page)["specs"]
        assert {"figures/strategy.svg", "figures/strategy.png", "frames/strategy.csv"} <= set(
            dict(Page(content).files())
        )

    def test_two_figures_of_one_key_are_refused(self) -> None:
        frame = pd.DataFrame({"model": ["a"], "mean": [0.1], "low": [None], "high": [None]})
        drawn = figure("eras", "Again", "", spreads.interval_rows(frame, "model", "x"), frame)
        content = dataclasses.replace(a_report(models=("gbm",)), sections=(Section("S", figures=(drawn,)),))
        with pytest.raises(ValueError, match="key 'eras'"):
            Page(content).html()
        with pytest.raises(ValueError, match="needs a key"):
            dataclasses.replace(drawn, key="../eras")

    def test_comparison_and_windows_are_shown_where_they_are_given(self) -> None:
        content = a_report(eras=60)
        assert "Comparison" not in text_of(Page(content).html())
        rows = [
            ("numerai_corr", "ridge", "gbm", 42, 0.01, -0.002, 0.022, 0.55),
            ("spearman", "gbm", "ridge", 8, -0.5, None, None, 0.25),
        ]
        comparison = pd.DataFrame(rows, columns=[*content.comparison, "better_share"])
        summary = {
            model: {
                metric: {**stats, "last_20": {"eras": 20, "mean": 0.0321}, "folds": {"2": {"eras": 9, "mean": 0.0456}}}
                for metric, stats in metrics.items()
            }
            for model, metrics in content.summary.items()
        }
        words = text_of(Page(dataclasses.replace(content, comparison=comparison, summary=summary)).html())
        assert "numerai_corr, less gbm ridge 0.0100 −0.0020 to 0.0220 55.0 % 42" in words
        assert "spearman, less ridge gbm −0.5000 n/a 25.0 % 8" in words
        assert "Model All eras Last 20 Fold 2" in words
        assert "0.0321 20 eras 0.0456 9 eras" in words

    def test_several_models_are_each_held_against_the_others(self) -> None:
        rows = [("m", "a", "b", 9, 0.1, 0.0, 0.3, 0.6), ("m", "a", "c", 9, 0.2, None, None, 0.7)]
        frame = pd.DataFrame(rows, columns=["metric", "model", "other", "eras", "mean", "low", "high", "better_share"])
        both = frames.both_ways(frame).drop(columns=["metric", "eras"]).round(9)
        assert both.fillna(9).values.tolist() == [
            ["b", "a", -0.1, -0.3, 0.0, 0.4], ["c", "a", -0.2, 9.0, 9.0, 0.3],
            ["a", "b", 0.1, 0.0, 0.3, 0.6], ["a", "c", 0.2, 9.0, 9.0, 0.7],
        ]  # fmt: skip
        assert frames.both_ways(frame.iloc[:1]).equals(frame.iloc[:1])

    def test_models_of_different_eras_say_so_and_a_constant_has_a_width(self) -> None:
        content = a_report(models=tuple("abcde"))
        dropped = pd.concat(
            [part.iloc[2 * place :] for place, (_, part) in enumerate(content.per_era.groupby("model"))]
        )
        constant = pd.DataFrame([("a", 0.5, 0.5, 30)], columns=["model", "low", "high", "rows"])
        content = dataclasses.replace(content, per_era=dropped, summary=summarise(dropped, 1), predictions=constant)
        page = Page(content).html()
        most = dropped.groupby("model").size().max() // 2
        assert f"Rests on {most - 4} to {most} eras by model" in text_of(page)
        bars = embedded(page)["specs"]["predictions"]["layer"][0]["encoding"]["x"]
        assert bars["scale"]["domain"] == [0.49, 0.51]

    def test_a_metric_is_said_in_plain_words(self) -> None:
        assert text.metric_words("mmc") == "contribution beyond the meta model"
        assert text.metric_words("fnc_small") == "correlation after neutralising to small"
        assert text.metric_words("mine") == ""

    def test_measures_that_no_summary_holds_have_no_column(self) -> None:
        content = a_report(models=("gbm",))
        few = {key: value for key, value in content.summary["gbm"]["numerai_corr"].items() if key != "sortino"}
        without = dataclasses.replace(content, summary={"gbm": {"numerai_corr": few}})
        assert "Sortino" not in text_of(Page(without).html())
        unknown = {"sortino": 1.234, "calmar": None, "smart_sharpe": None, "apy": None, "tail_ratio": 0.5}
        stats = {**few, "autocorrelation": None, **unknown}
        stats["drawdown_eras"] = [None, 12]
        words = text_of(Page(dataclasses.replace(content, summary={"gbm": {"numerai_corr": stats}})).html())
        assert "Sharpe Sortino Positive Tail ratio Max drawdown" in words
        assert "1.23" in words
        assert f"{text.number(stats['max_drawdown'])} start to 12" in words

    def test_another_metric_leads_where_numerai_corr_is_missing(self) -> None:
        content = a_report(models=("gbm",))
        only = content.per_era[content.per_era["metric"] == "spearman"]
        words = text_of(Page(dataclasses.replace(content, per_era=only, summary=summarise(only, 1))).html())
        assert "mean spearman over" in words
        assert "Cumulative spearman" in words

    def test_a_run_without_anything_is_still_a_page(self) -> None:
        empty = ReportContent(
            title="Nothing", run_name="none", notes=(), summary={}, folds=(), era_dates={}, facts={},
            per_era=pd.DataFrame(columns=["model", "era", "date", "metric", "value"]),
            quality=pd.DataFrame(columns=["check", "count", "detail"]),
        )  # fmt: skip
        words = text_of(Page(empty).html())
        for said in ("No model was scored.", "No era has a numerai_corr.", "This run has no folds.", "found nothing."):
            assert said in words

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
        words = text_of(Page(content).html())
        assert "m n/a no interval: fewer than 10 effective eras mean numerai_corr over 1 era" in words

    def test_size_of_300_eras_and_3_models(self) -> None:
        assert len(Page(a_report(300, ("a", "b", "c"))).html().encode()) < 2_000_000

    def test_charts_are_what_vega_lite_knows(self) -> None:
        pairs = pd.DataFrame(
            [("numerai_corr", "gbm", "ridge", 30, 0.01, -0.01, 0.03)],
            columns=["metric", "model", "other", "eras", "mean", "low", "high"],
        )
        bins = pd.DataFrame({"model": "gbm", "low": [0.0, 0.1], "high": [0.1, 0.2], "rows": [3, 4]})
        content = dataclasses.replace(a_report(60), comparison=pairs, predictions=bins)
        found = all_sections(content)
        assert {figure.key for section in found for figure in section.figures} >= {"eras", "heat", "rolling", "folds"}
        refuse_invalid(*found)

    def test_a_chart_that_vega_lite_does_not_know_is_refused(self) -> None:
        with debug_mode(False):
            strange = alt.Chart(pd.DataFrame({"a": [1]})).mark_bar().encode(x=alt.X("a:Q", axis=alt.Axis(ticks="no")))
        with pytest.raises(alt.utils.schemapi.SchemaValidationError):
            refuse_invalid(Section("S", figures=(figure("strange", "S", "C", strange, pd.DataFrame()),)))


class TestFiles:
    def test_figures_and_frames_stand_beside_the_page(self) -> None:
        content = a_report()
        report = Page(content)
        written, page = dict(report.files()), report.html()
        assert written.pop("report.html").decode() == page
        for key in embedded(page)["specs"]:
            svg = written[f"figures/{key}.svg"].decode()
            assert svg.startswith("<svg")
            assert "var(--" not in svg
            is_shown = f'data-chart="{key}"' in page
            assert written.get(f"figures/{key}.png", b"").startswith(b"\x89PNG") == is_shown
        scores = pd.read_csv(io.BytesIO(written["frames/cumulative.csv"]))
        assert list(scores) == ["model", "era", "date", "cumulative"]
        expected = frames.score_frame(content.per_era, "numerai_corr")["cumulative"]
        assert scores["cumulative"].sum() == pytest.approx(expected.sum(), abs=1e-12)
        assert len(pd.read_csv(io.BytesIO(written["frames/per_era.csv"]))) == len(content.per_era)

    def test_a_picture_says_what_it_shows_and_names_its_lines(self) -> None:
        svg = dict(Page(a_report(models=("alpha", "beta"))).files())["figures/cumulative.svg"].decode()
        for said in ("Cumulative numerai_corr", "Running sum", "alpha", "beta", "effective"):
            assert said in svg

    def test_same_content_same_files(self) -> None:
        assert dict(Page(a_report(models=("gbm",))).files()) == dict(Page(a_report(models=("gbm",))).files())


class TestPalette:
    # Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
    BLINDNESS: ClassVar[dict[str, list[list[float]]]] = {
        "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }  # fmt: skip

    @staticmethod
    def linear(colour: str) -> npt.NDArray[np.float64]:
        channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)

    @staticmethod
    def lab(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
        f = np.cbrt(np.clip(xyz / np.array([0.9505, 1.0, 1.089]), 1e-6, None))
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    @pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
    @pytest.mark.parametrize("blindness", BLINDNESS)
    def test_any_two_series_can_be_told_apart(self, colours: dict[str, str], blindness: str) -> None:
        seen = [
            self.lab(np.clip(np.array(self.BLINDNESS[blindness]) @ self.linear(colours[f"series-{number}"]), 0, 1))
            for number in range(1, 9)
        ]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 12

    @pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
    def test_text_and_series_stand_clear_of_the_paper(self, colours: dict[str, str]) -> None:
        def luminance(name: str) -> float:
            return float(self.linear(colours[name]) @ np.array([0.2126, 0.7152, 0.0722]))

        def contrast(name: str) -> float:
            high, low = sorted((luminance(name), luminance("paper")), reverse=True)
            return (high + 0.05) / (low + 0.05)

        assert min(map(contrast, ("ink", "muted", "strong"))) >= 4.5
        assert min(contrast(f"series-{number}") for number in range(1, 9)) >= 2.9
