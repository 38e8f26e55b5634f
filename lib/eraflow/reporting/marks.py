"""What all charts of a report share: data as plain JSON, tooltips, axes over eras, and the theme of the page.

A chart carries no colours of its own: the page hands them over with `theme()` when it draws, as CSS variables, so that
one drawing serves light, dark and paper. In a notebook the same chart shows in altair's colours.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from eraflow.reporting import palette
from eraflow.reporting.frames import era_step

HOVER = "hover"
FOCUS = "focus"  # the parameter through which a legend dims every series but one
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_TICKS = 8
STYLES: Mapping[str, Any] = {
    "eras": {"color": "var(--bar)"},
    "rolling": {"color": "var(--strong)", "strokeWidth": 2},
    "zero": {"color": "var(--muted)", "strokeWidth": 1},
    "mean": {"color": "var(--strong)", "strokeWidth": 2, "fill": "var(--strong)", "opacity": 1},
    "spread": {"color": "var(--bar)"},
    "whisker": {"color": "var(--muted)", "strokeWidth": 1.2},
    "interval": {"color": "var(--strong)", "strokeWidth": 3, "strokeCap": "round", "opacity": 0.55},
    "edge": {"color": "var(--muted)", "opacity": 0.35},
    "node": {"stroke": "var(--paper)", "strokeWidth": 0.8},
    "shaded": {"stroke": "var(--muted)", "strokeWidth": 0.4},
    "cell": {"stroke": "var(--paper)", "strokeWidth": 1},
    "reading": {"color": "var(--muted)", "fontSize": 11},
}


def theme(legend: bool = False) -> dict[str, Any]:
    """Vega-Lite config of the page: its colours are the page's CSS variables; the page draws legends itself."""
    quiet = {"labelColor": "var(--muted)", "labelFontSize": 11, "domain": False, "tickColor": "var(--line)"}
    written = {"labelColor": "var(--muted)", "orient": "bottom", "columns": 4, "title": None, "labelLimit": 180}
    written["gradientLength"] = 420
    return {
        "font": FONT,
        "background": "var(--paper)" if legend else "transparent",
        "padding": {"left": 0, "right": 8, "top": 6, "bottom": 0} if not legend else 16,
        "view": {"stroke": None},
        "axis": {
            **quiet,
            "gridColor": "var(--line)",
            "labelPadding": 6,
            "titleColor": "var(--muted)",
            "titleFontSize": 11,
            "titleFontWeight": "normal",
        },
        "axisX": {"grid": False, "labelFlush": True, "labelLineHeight": 13, "labelSeparation": 12, "ticks": True},
        "axisY": {"minExtent": 42, "ticks": False, "tickCount": 5, "labelLimit": 150},
        "legend": written if legend else {"disable": True},
        "title": {
            "anchor": "start",
            "frame": "group",
            "color": "var(--ink)",
            "fontSize": 14,
            "fontWeight": 600,
            "subtitleColor": "var(--muted)",
            "subtitleFontSize": 11,
            "subtitlePadding": 5,
            "subtitleLineHeight": 15,
            "offset": 12,
        },
        "range": {
            "category": list(palette.SERIES),
            "ordinal": list(palette.FOLDS),
            "diverging": list(palette.DIVERGING),
        },
        "style": STYLES,
    }


def layered(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    """Layers in one frame as wide as its container."""
    data = layers[0].data
    if any(layer.data is not data for layer in layers):
        return alt.LayerChart(layer=list(layers), width="container", height=height)
    bare = [layer.copy(deep=False) for layer in layers]
    for layer in bare:
        layer.data = alt.Undefined  # else Altair prints each layer's data as text, to tell it from others
    return alt.LayerChart(data=data, layer=bare, width="container", height=height)


def base(frame: pd.DataFrame, columns: Sequence[str]) -> alt.Chart:
    """A chart over these columns of a small frame."""
    return alt.Chart(frame[list(columns)].reset_index(drop=True).apply(_plain))


def zero_line(chart: alt.Chart) -> alt.Chart:
    """A horizontal line at 0."""
    line: alt.Chart = chart.transform_aggregate(rows="count()").mark_rule(style="zero", aria=False)
    return line.encode(y=alt.YDatum(0))


def tips(values: Mapping[str, str], form: str = ".4~f") -> list[alt.Tooltip]:
    """Tooltip lines of numbers: field → title."""
    return [alt.Tooltip(f"{field}:Q", title=tip_title(title), format=form) for field, title in values.items()]


def named(field: str, title: str) -> alt.Tooltip:
    """A tooltip line of text."""
    return alt.Tooltip(f"{field}:N", title=title)


def era_tips() -> list[alt.Tooltip]:
    """The era of a row, and its date."""
    return [alt.Tooltip("era:Q", title="era", format="d"), named("date", "date")]


def hover(chart: alt.Chart, frame: pd.DataFrame, values: Mapping[str, str]) -> alt.Chart:
    """Invisible columns, one per era over the whole height, so that a tooltip needs no aim."""
    columns = chart.mark_rect(opacity=0, aria=False)
    drawn: alt.Chart = columns.encode(x=era_x("left", frame), x2="right:Q", tooltip=[*era_tips(), *tips(values)])
    return drawn.properties(name=HOVER)


def tip_title(title: str) -> str:
    """A title as Vega-Lite can put it into its tooltip expression, where it escapes quotes but not backslashes."""
    return '"'.join(json.dumps(part)[1:-1] for part in title.split('"'))


def era_base(frame: pd.DataFrame, columns: Sequence[str]) -> alt.Chart:
    """Chart over eras, with the left and right edge of each era's column."""
    eras = sorted(frame["era"].unique().tolist())
    half = era_step(eras) * (0.4 if len(eras) <= 150 else 0.5)
    return base(frame, columns).transform_calculate(left=f"datum.era - {half}", right=f"datum.era + {half}")


def era_x(field: str, frame: pd.DataFrame) -> alt.X:
    """Position among the eras of a frame, with a few eras and their dates as ticks."""
    calendar = frame[["era", "date"]].drop_duplicates("era").sort_values("era")
    return alt.X(f"{field}:Q", scale=era_scale(calendar["era"].tolist()), axis=era_axis(calendar))


def era_scale(eras: Sequence[int]) -> alt.Scale:
    """From half an era before the first to half an era after the last."""
    half = era_step(eras) / 2
    return alt.Scale(domain=[eras[0] - half, eras[-1] + half], nice=False, zero=False)


def era_axis(calendar: pd.DataFrame) -> alt.Axis:
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


def _plain(column: pd.Series) -> pd.Series:
    """Values as JSON has them: four significant digits, dates as text."""
    if pd.api.types.is_float_dtype(column):
        return column.map(lambda value: float(f"{value:.4g}") + 0.0, na_action="ignore")
    if pd.api.types.is_integer_dtype(column):
        return column
    return column.map(_text, na_action="ignore").astype(object).where(column.notna(), None)


def _text(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime.date) else str(value)
