"""Charts of a report: first small frames, then altair charts over them.

A chart carries no colours of its own: the page hands them over with `theme()` when it draws, as CSS variables, so that
one drawing serves light, dark and paper. In a notebook the same chart shows in altair's colours.
"""

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import altair as alt
import pandas as pd

ROLLING_ERAS = 20
FOLD_PARTS = ("train", "purge", "embargo", "validation")
SERIES_COLOURS = tuple(f"var(--series-{number})" for number in range(1, 9))
FOLD_COLOURS = tuple(f"var(--{part})" for part in FOLD_PARTS)
HOVER = "hover"
_TICKS = 8
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


class Fold(Protocol):
    """One split of the eras; every tuple holds era numbers."""

    @property
    def number(self) -> int: ...
    @property
    def train(self) -> tuple[int, ...]: ...
    @property
    def validation(self) -> tuple[int, ...]: ...
    @property
    def purged(self) -> tuple[int, ...]: ...
    @property
    def embargoed(self) -> tuple[int, ...]: ...


# Frames


def score_frame(per_era: pd.DataFrame, metric: str, window: int = ROLLING_ERAS) -> pd.DataFrame:
    """Known scores of one metric: model, era, date, value, rolling, cumulative, drawdown, by model and era.

    `rolling` is the mean of the last `window` scored eras of the model, null before there are that many.
    `drawdown` is cumulative less its highest level so far, starting from 0: its minimum is minus the max drawdown.
    """
    known = per_era.loc[(per_era["metric"] == metric) & per_era["value"].notna(), ["model", "era", "date", "value"]]
    parts = []
    for model in known["model"].unique():
        part = known[known["model"] == model].sort_values("era").reset_index(drop=True)
        cumulative = part["value"].cumsum()
        parts.append(
            part.assign(
                rolling=part["value"].rolling(window, min_periods=window).mean(),
                cumulative=cumulative,
                drawdown=cumulative - cumulative.cummax().clip(lower=0),
            )
        )
    empty = known.iloc[:0].assign(rolling=[], cumulative=[], drawdown=[])
    return pd.concat(parts, ignore_index=True) if parts else empty


def contiguous_runs(eras: Iterable[int], calendar: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) of each unbroken stretch of eras, neighbours being neighbours in the sorted calendar."""
    position = {era: index for index, era in enumerate(calendar)}
    runs: list[tuple[int, int]] = []
    for era in sorted(set(eras)):
        if runs and position[era] == position[runs[-1][1]] + 1:
            runs[-1] = (runs[-1][0], era)
        else:
            runs.append((era, era))
    return runs


def fold_frame(folds: Sequence[Fold], era_dates: Mapping[int, datetime.date]) -> pd.DataFrame:
    """One row per contiguous run of a fold: fold, part, first, last, eras, dates."""
    calendar = fold_calendar(folds, era_dates)
    position = {era: index for index, era in enumerate(calendar)}
    rows = [
        (fold.number, part, first, last, position[last] - position[first] + 1, _dates_text(first, last, era_dates))
        for fold in folds
        for part, eras in zip(FOLD_PARTS, (fold.train, fold.purged, fold.embargoed, fold.validation), strict=True)
        for first, last in contiguous_runs(eras, calendar)
    ]
    return pd.DataFrame(rows, columns=["fold", "part", "first", "last", "eras", "dates"])


def fold_calendar(folds: Sequence[Fold], era_dates: Mapping[int, datetime.date]) -> list[int]:
    """Sorted eras that the folds or the dates know."""
    named = (era for fold in folds for era in (*fold.train, *fold.purged, *fold.embargoed, *fold.validation))
    return sorted({*named, *era_dates})


# Charts


def era_bars(scores: pd.DataFrame, metric: str, extent: tuple[float, float]) -> alt.LayerChart:
    """Bars of one model's score per era under its rolling mean; takes one model's rows of `score_frame`.

    `extent` is the lowest and the highest value that the axis shows, so that several models can share one.
    """
    y = alt.Scale(domain=[min(0.0, extent[0]), max(0.0, extent[1])])
    base = _era_base(scores, ["era", "date", "value", "rolling"])
    bars = base.mark_rect(style="eras", aria=False).encode(
        x=_era_x("left", scores), x2="right:Q", y=alt.Y("value:Q", title=None, scale=y), y2=alt.Y2Datum(0)
    )
    line = (
        base.transform_filter("isValid(datum.rolling)")
        .mark_line(style="rolling", aria=False)
        .encode(x=_era_x("era", scores), y=alt.Y("rolling:Q", title=None, scale=y))
    )
    values = {"value": metric, "rolling": f"mean of {ROLLING_ERAS} eras"}
    return _layered([bars, line, _hover(base, scores, values)], height=170)


def cumulative_lines(scores: pd.DataFrame) -> alt.LayerChart:
    """Cumulative score of every model of `score_frame`."""
    return _model_lines(scores, "cumulative", height=220)


def drawdown_lines(scores: pd.DataFrame) -> alt.LayerChart:
    """Distance of every model's cumulative score below its running maximum."""
    return _model_lines(scores, "drawdown", height=120)


def fold_diagram(runs: pd.DataFrame, era_dates: Mapping[int, datetime.date]) -> alt.Chart:
    """A row per fold, a bar per contiguous run, coloured by what the run is for; takes `fold_frame`."""
    edges = sorted({*runs["first"], *runs["last"], *era_dates})
    calendar = pd.DataFrame({"era": edges, "date": [era_dates.get(era) for era in edges]})
    half = era_step(edges) / 2
    folds = runs["fold"].nunique()
    tips = [alt.Tooltip(f"{name}:N", title=name) for name in ("fold", "part")]
    tips += [alt.Tooltip(f"{name}:Q", title=f"{name} era", format="d") for name in ("first", "last")]
    tips += [alt.Tooltip("eras:Q", title="eras", format="d"), alt.Tooltip("dates:N", title="dates")]
    chart: alt.Chart = (
        _base(runs, ["fold", "part", "first", "last", "eras", "dates"])
        .transform_calculate(left=f"datum.first - {half}", right=f"datum.last + {half}")
        .mark_bar(aria=False)
        .encode(
            x=alt.X("left:Q", scale=_era_scale(edges), axis=_era_axis(calendar)),
            x2="right:Q",
            y=alt.Y("fold:O", title=None, sort=None, scale=alt.Scale(paddingInner=0.3, paddingOuter=0.1)),
            color=alt.Color("part:N", title=None, scale=alt.Scale(domain=list(FOLD_PARTS), range="ordinal")),
            tooltip=tips,
        )
        .properties(width="container", height=folds * (26 if folds <= 12 else 12))
    )
    return chart


def era_step(eras: Sequence[int]) -> int:
    """Smallest distance between two eras of a sorted list; 1 if there is none."""
    return min((later - earlier for earlier, later in pairwise(eras)), default=1)


def theme() -> dict[str, Any]:
    """Vega-Lite config of the page: its colours are the page's CSS variables."""
    quiet = {"labelColor": "var(--muted)", "labelFontSize": 11, "domain": False, "tickColor": "var(--line)"}
    return {
        "font": _FONT,
        "background": "transparent",
        "padding": {"left": 0, "right": 8, "top": 6, "bottom": 0},
        "view": {"stroke": None},
        "axis": {**quiet, "gridColor": "var(--line)", "labelPadding": 6},
        "axisX": {"grid": False, "labelFlush": True, "labelLineHeight": 13, "labelSeparation": 12, "ticks": True},
        "axisY": {"minExtent": 42, "ticks": False, "tickCount": 5},
        "legend": {"disable": True},
        "range": {"category": list(SERIES_COLOURS), "ordinal": list(FOLD_COLOURS)},
        "style": {
            "eras": {"color": "var(--bar)"},
            "rolling": {"color": "var(--strong)", "strokeWidth": 2},
            "zero": {"color": "var(--muted)", "strokeWidth": 1},
        },
    }


def _model_lines(scores: pd.DataFrame, column: str, height: int) -> alt.LayerChart:
    models = list(scores["model"].unique())
    fields = {f"m{number}": str(model) for number, model in enumerate(models)}
    wide = scores.pivot(index="era", columns="model", values=column)[models].set_axis(list(fields), axis="columns")
    dates = scores.drop_duplicates("era").set_index("era")["date"]
    wide = wide.assign(date=dates.reindex(wide.index)).reset_index()
    base = _era_base(wide, list(wide.columns))
    zero = base.transform_aggregate(eras="count()").mark_rule(style="zero", aria=False).encode(y=alt.YDatum(0))
    lines = [
        base.transform_filter(f"isValid(datum.{field})")
        .mark_line(strokeWidth=1.8, strokeJoin="round", aria=False)
        .encode(
            x=_era_x("era", wide),
            y=alt.Y(f"{field}:Q", title=None),
            color=alt.ColorDatum(model, type="nominal", title=None),
        )
        for field, model in fields.items()
    ]
    return _layered([zero, *lines, _hover(base, wide, fields)], height)


def _layered(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    return alt.LayerChart(layer=list(layers), width="container", height=height)


def _hover(base: alt.Chart, frame: pd.DataFrame, values: Mapping[str, str]) -> alt.Chart:
    """Invisible columns, one per era over the whole height, so that a tooltip needs no aim."""
    tips = [alt.Tooltip("era:Q", title="era", format="d"), alt.Tooltip("date:N", title="date")]
    tips += [alt.Tooltip(f"{field}:Q", title=_tip(title), format=".4f") for field, title in values.items()]
    columns = base.mark_rect(opacity=0, aria=False)
    hover: alt.Chart = columns.encode(x=_era_x("left", frame), x2="right:Q", tooltip=tips).properties(name=HOVER)
    return hover


def _tip(title: str) -> str:
    """A title as Vega-Lite can put it into its tooltip expression, where it escapes quotes but not backslashes."""
    return '"'.join(json.dumps(part)[1:-1] for part in title.split('"'))


def _base(frame: pd.DataFrame, columns: Sequence[str]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=_records(frame, columns)))


def _records(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows as JSON values, six decimals, nulls left out."""
    named = zip(*(frame[column].tolist() for column in columns), strict=True)
    return [
        {name: _plain(value) for name, value in zip(columns, row, strict=True) if not pd.isna(value)} for row in named
    ]


def _plain(value: Any) -> int | float | str:
    if isinstance(value, datetime.date):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float):
        return round(value, 6) + 0.0
    return value if isinstance(value, int) else str(value)


def _era_base(frame: pd.DataFrame, columns: Sequence[str]) -> alt.Chart:
    """Chart over eras, with the left and right edge of each era's column."""
    eras = sorted(frame["era"].unique().tolist())
    half = era_step(eras) * (0.4 if len(eras) <= 150 else 0.5)
    return _base(frame, columns).transform_calculate(left=f"datum.era - {half}", right=f"datum.era + {half}")


def _era_x(field: str, frame: pd.DataFrame) -> alt.X:
    calendar = frame[["era", "date"]].sort_values("era")
    return alt.X(f"{field}:Q", scale=_era_scale(calendar["era"].tolist()), axis=_era_axis(calendar))


def _era_scale(eras: Sequence[int]) -> alt.Scale:
    half = era_step(eras) / 2
    return alt.Scale(domain=[eras[0] - half, eras[-1] + half], nice=False, zero=False)


def _era_axis(calendar: pd.DataFrame) -> alt.Axis:
    """A few eras as ticks, each with its date below where it is known."""
    eras = [int(era) for era in calendar["era"]]
    ticks = tick_eras(eras)
    dates = {era: date for era, date in zip(eras, calendar["date"], strict=True) if era in ticks and not pd.isna(date)}
    axis: dict[str, Any] = {"values": ticks, "title": None, "labelOverlap": "greedy", "format": "d"}
    if dates:
        shown = ", ".join(f"'{era}': '{date:%Y-%m-%d}'" for era, date in dates.items())
        axis["labelExpr"] = f"[datum.label, {{{shown}}}[datum.label] || '']"
    return alt.Axis(**axis)


def tick_eras(eras: Sequence[int]) -> list[int]:
    """At most eight eras of a sorted list, round numbers if these are there."""
    for power in (1, 10, 100, 1000):
        for step in (power, 2 * power, 5 * power):
            ticks = [era for era in eras if era % step == 0]
            if 3 <= len(ticks) <= _TICKS:
                return ticks
    return list(eras[:: -(-len(eras) // _TICKS) or 1])


def _dates_text(first: int, last: int, era_dates: Mapping[int, datetime.date]) -> str | None:
    if first not in era_dates or last not in era_dates:
        return None
    return f"{era_dates[first]:%Y-%m-%d} to {era_dates[last]:%Y-%m-%d}"
