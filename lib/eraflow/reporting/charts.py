"""Charts over eras: bars by era, lines of every model, a heat map by year, the folds. Small frame in, figure out."""

import datetime
import json
from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from eraflow.reporting import frames, marks, palette
from eraflow.reporting.frames import ROLLING_ERAS

_MONTHS = {1: "Jan", 14: "Apr", 27: "Jul", 40: "Oct"}  # the ISO week in which a quarter begins
_HEAT_ROW = 17  # pixels
_READING_WIDTH = 52  # pixels beside a heat map for the mean of a row


def era_bars(scores: pd.DataFrame, metric: str, extent: tuple[float, float]) -> alt.LayerChart:
    """Bars of one model's score per era under its rolling mean; takes one model's rows of `score_frame`.

    `extent` is the lowest and the highest value that the axis shows, so that several models can share one.
    """
    y = alt.Scale(domain=[min(0.0, extent[0]), max(0.0, extent[1])])
    base = marks.era_base(scores, ["era", "date", "value", "rolling"])
    bars = base.mark_rect(style="eras", aria=False).encode(
        x=marks.era_x("left", scores), x2="right:Q", y=alt.Y("value:Q", title=None, scale=y), y2=alt.Y2Datum(0)
    )
    line = (
        base.transform_filter("isValid(datum.rolling)")
        .mark_line(style="rolling", aria=False)
        .encode(x=marks.era_x("era", scores), y=alt.Y("rolling:Q", title=None, scale=y))
    )
    values = {"value": metric, "rolling": f"mean of {ROLLING_ERAS} eras"}
    return marks.layered([bars, line, marks.hover(base, scores, values)], height=170)


def model_lines(scores: pd.DataFrame, column: str, models: Sequence[str], height: int) -> alt.LayerChart:
    """One line for each model of `score_frame` over the eras; a legend dims all but the one that `focus` names.

    `models` are all of the report: the place of a model among them gives its colour and dash.
    """
    wide, fields = frames.wide_frame(scores, column, models)
    dashes = alt.Scale(domain=list(models), range=[palette.series(number)[1] for number in range(len(models))])
    base = marks.era_base(wide, list(wide.columns))
    lines = [
        base.transform_filter(f"isValid(datum.{field})")
        .transform_calculate(model=json.dumps(model))
        .mark_line(
            strokeWidth=1.8,
            strokeJoin="round",
            opacity=alt.expr(f"{marks.FOCUS} === '' || {marks.FOCUS} === '{field}' ? 1 : 0.13"),
            aria=False,
        )
        .encode(
            x=marks.era_x("era", wide),
            y=alt.Y(f"{field}:Q", title=None),
            color=alt.Color("model:N", scale=alt.Scale(domain=list(models)), title=None),
            strokeDash=alt.StrokeDash("model:N", scale=dashes, title=None),
        )
        for field, model in fields.items()
    ]
    layers = [marks.zero_line(base), *lines, marks.hover(base, wide, fields)]
    drawn: alt.LayerChart = marks.layered(layers, height).add_params(alt.param(name=marks.FOCUS, value=""))
    return drawn


def heat_map(cells: pd.DataFrame, bounds: Sequence[float], metric: str) -> alt.LayerChart:
    """A row per year (or block of eras), a cell per era, coloured by value between `bounds`, the row's mean beside it.

    Takes one model's rows of `heat_frame`.
    """
    by_week = cells["date"].notna().all() and bool((cells["row"].str.len() == 4).all())
    places = 53 if by_week else frames.BLOCK
    axis = alt.Axis(title=None, domain=False, tickSize=3, values=list(_MONTHS) if by_week else [1, 10, 20, 30, 40, 50])
    if by_week:
        axis.labelExpr = f"{_MONTHS}[datum.value]"
    y = alt.Y("row:O", title=None, sort=None, scale=alt.Scale(paddingInner=0.08, paddingOuter=0))
    base = marks.base(cells, ["era", "date", "value", "row", "place"])
    colours = alt.Scale(type="threshold", domain=list(bounds), range="diverging")
    drawn = base.transform_calculate(left="datum.place - 0.5", right="datum.place + 0.5")
    grid = drawn.mark_rect(style="cell", aria=False).encode(
        x=alt.X("left:Q", axis=axis, scale=alt.Scale(domain=[0.5, places + 0.5], nice=False, zero=False)),
        x2="right:Q",
        y=y,
        color=alt.Color("value:Q", scale=colours, title=None),
        tooltip=[*marks.era_tips(), *marks.tips({"value": metric})],
    )
    means = (
        base.transform_aggregate(mean="mean(value)", eras="count()", groupby=["row"])
        .transform_calculate(text="(round(1000 * datum.mean) < 0 ? '−' : '') + format(abs(datum.mean), '.3f')")
        .mark_text(style="reading", align="right", dx=_READING_WIDTH - 8, aria=False)
    )
    reading = means.encode(
        x=alt.value("width"),
        y=y,
        text="text:N",
        tooltip=[marks.named("row", "eras of"), *marks.tips({"mean": "mean"}), *marks.tips({"eras": "eras"}, "d")],
    )
    chart = marks.layered([grid, reading], height=_HEAT_ROW * cells["row"].nunique())
    padded: alt.LayerChart = chart.properties(padding={"left": 0, "right": _READING_WIDTH, "top": 6, "bottom": 0})
    return padded


def fold_diagram(runs: pd.DataFrame, era_dates: Mapping[int, datetime.date]) -> alt.Chart:
    """A row per fold, a bar per contiguous run, coloured by what the run is for; takes `fold_frame`."""
    edges = sorted({*runs["first"], *runs["last"], *era_dates})
    calendar = pd.DataFrame({"era": edges, "date": [era_dates.get(era) for era in edges]})
    half = frames.era_step(edges) / 2
    folds = runs["fold"].nunique()
    tips = [marks.named("fold", "fold"), marks.named("part", "part")]
    tips += marks.tips({"first": "first era", "last": "last era", "eras": "eras"}, "d")
    tips += [marks.named("dates", "dates")]
    chart: alt.Chart = (
        marks.base(runs, ["fold", "part", "first", "last", "eras", "dates"])
        .transform_calculate(left=f"datum.first - {half}", right=f"datum.last + {half}")
        .mark_bar(aria=False)
        .encode(
            x=alt.X("left:Q", scale=marks.era_scale(edges), axis=marks.era_axis(calendar)),
            x2="right:Q",
            y=alt.Y("fold:O", title=None, sort=None, scale=alt.Scale(paddingInner=0.3, paddingOuter=0.1)),
            color=alt.Color("part:N", title=None, scale=alt.Scale(domain=list(palette.FOLD_PARTS), range="ordinal")),
            tooltip=tips,
        )
        .properties(width="container", height=folds * (26 if folds <= 12 else 12))
    )
    return chart
