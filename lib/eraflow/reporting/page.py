"""The report of a run: one HTML file that needs nothing else."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import altair as alt
import jinja2
import pandas as pd
import vl_convert
from markupsafe import Markup

from eraflow.reporting import charts, tables
from eraflow.reporting.charts import Fold
from eraflow.reporting.tables import HEADLINE_METRIC, Metrics, Summary

_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
_STATIC_WIDTH = 860


@dataclass(frozen=True)
class ReportContent:
    """What a report shows.

    per_era: columns model, era (int), date (datetime.date or None), metric, value.
    summary: model → metric → eras, effective_eras, mean, std, sharpe, max_drawdown, positive_share, best_era,
        worst_era, interval ([low, high] or None), confidence; a value may be None.
    quality: columns check, count, detail.
    """

    title: str
    run_name: str
    notes: tuple[str, ...]
    per_era: pd.DataFrame
    summary: Summary
    folds: Sequence[Fold]
    era_dates: Mapping[int, datetime.date]
    quality: pd.DataFrame
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Figure:
    """A chart, the sentence that says what it shows, and its legend as (colour, label)."""

    key: str
    heading: str
    caption: str
    spec: Mapping[str, Any]
    legend: tuple[tuple[str, str], ...] = ()

    @property
    def static(self) -> Markup:
        """The chart as an SVG element, for readers without JavaScript."""
        return Markup(_static_svg(self.spec))


def render(content: ReportContent) -> str:
    """Self-contained HTML of a run; the same content gives the same bytes."""
    scores = charts.score_frame(_in_summary_order(content), HEADLINE_METRIC)
    score_figures = _score_figures(scores, content.summary)
    fold_figures = _fold_figures(content)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(resources.files(__package__).joinpath("report.html.jinja").read_text("utf-8"))
    return template.render(
        title=content.title,
        run_name=content.run_name,
        notes=content.notes,
        metric=HEADLINE_METRIC,
        headlines=tables.headlines(content.summary),
        score_figures=score_figures,
        summary=tables.summary_table(content.summary, content.era_dates),
        fold_figures=fold_figures,
        folds=tables.fold_table(content.folds, scores, content.summary, content.era_dates),
        quality=tables.quality_table(content.quality),
        facts=tables.facts_table(content.facts),
        embed={
            "specs": {figure.key: figure.spec for figure in (*score_figures, *fold_figures)},
            "config": charts.theme(),
        },
        vega=Markup(_vega()),
    )


def _in_summary_order(content: ReportContent) -> pd.DataFrame:
    place = {model: number for number, model in enumerate(content.summary)}
    return content.per_era.sort_values("model", key=lambda models: models.map(place), kind="stable")


@cache
def _vega() -> str:
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
    if "</script" in bundle.lower() or "<!--" in bundle:
        raise ValueError("the Vega bundle cannot stand inside a script element: pin vl-convert-python to 1.9")
    return bundle


def _static_svg(spec: Mapping[str, Any]) -> str:
    drawn = {**spec, "width": _STATIC_WIDTH}
    if "layer" in spec:
        drawn["layer"] = [layer for layer in spec["layer"] if layer.get("name") != charts.HOVER]
    return vl_convert.vegalite_to_svg(drawn, vl_version=_VEGA_LITE, config=charts.theme(), allowed_base_urls=[])


# Figures


def _score_figures(scores: pd.DataFrame, summary: Summary) -> tuple[Figure, ...]:
    models = list(scores["model"].unique())
    if not models:
        return ()
    extent = (float(scores["value"].min()), float(scores["value"].max()))
    bars = tuple(
        _bars_figure(f"eras-{number}", scores[scores["model"] == model], summary.get(model, {}), extent)
        for number, model in enumerate(models)
    )
    eras = tables.eras_text(scores["era"].nunique())
    colours = [charts.SERIES_COLOURS[number % len(charts.SERIES_COLOURS)] for number in range(len(models))]
    legend = tuple(zip(colours, map(str, models), strict=True)) if len(models) > 1 else ()
    ends = [
        f"{model} {tables.number(part.iloc[-1])}" for model, part in scores.groupby("model", sort=False)["cumulative"]
    ]
    depths = [f"{model} {tables.number(part.min())}" for model, part in scores.groupby("model", sort=False)["drawdown"]]
    lines = {
        "cumulative": (
            charts.cumulative_lines(scores),
            f"Cumulative {HEADLINE_METRIC}",
            f"Running sum of {HEADLINE_METRIC} over {eras}; at the end: {', '.join(ends)}.",
        ),
        "drawdown": (
            charts.drawdown_lines(scores),
            "Drawdown",
            f"Cumulative {HEADLINE_METRIC} less its highest value so far, over {eras}; lowest: {', '.join(depths)}.",
        ),
    }
    return (
        *bars,
        *(
            Figure(key, heading, caption, _spec(chart, caption), legend)
            for key, (chart, heading, caption) in lines.items()
        ),
    )


def _bars_figure(key: str, scores: pd.DataFrame, metrics: Mapping[str, Metrics], extent: tuple[float, float]) -> Figure:
    model, mean, eras = scores["model"].iloc[0], tables.number(scores["value"].mean()), tables.eras_text(len(scores))
    certainty = tables.certainty(metrics.get(HEADLINE_METRIC, {}))
    rolling = f"The line is the mean of the last {charts.ROLLING_ERAS} scored eras."
    if len(scores) < charts.ROLLING_ERAS:
        rolling = f"No rolling mean: it needs {charts.ROLLING_ERAS} eras."
    caption = f"{model}: {HEADLINE_METRIC} of each era, mean {mean} over {eras}; {certainty}. {rolling}"
    chart = charts.era_bars(scores, HEADLINE_METRIC, extent)
    return Figure(key, f"{HEADLINE_METRIC} by era, {model}", caption, _spec(chart, caption))


def _fold_figures(content: ReportContent) -> tuple[Figure, ...]:
    runs = charts.fold_frame(content.folds, content.era_dates)
    if runs.empty:
        return ()
    first, last = (
        tables.era_text(era, content.era_dates) for era in (int(runs["first"].min()), int(runs["last"].max()))
    )
    caption = (
        f"{len(content.folds)} folds, one a row, from {first} to {last}: what each era is used for. "
        "Purged and embargoed eras are in neither training nor validation."
    )
    shown = set(runs["part"])
    legend = tuple(
        (colour, part) for part, colour in zip(charts.FOLD_PARTS, charts.FOLD_COLOURS, strict=True) if part in shown
    )
    chart = charts.fold_diagram(runs, content.era_dates)
    return (Figure("folds", "Folds over eras", caption, _spec(chart, caption), legend),)


def _spec(chart: alt.Chart | alt.LayerChart, description: str) -> dict[str, Any]:
    spec: dict[str, Any] = chart.properties(description=description).to_dict()
    return {key: value for key, value in spec.items() if key not in ("$schema", "config")}
