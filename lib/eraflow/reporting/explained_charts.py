"""Charts of explanations: bars, swarms, dependence, heat maps, waterfalls. Small frame in, figure out."""

import altair as alt
import numpy as np
import pandas as pd

from eraflow.reporting import marks, palette

_ROW = 24  # pixels
_CELL = 19
SHADES = {0: -3, 1: -2, 2: 0, 3: 2, 4: 3}  # of levels, among the seven diverging colours
_SHADE_BOUNDS = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
RATIOS = [0.5, 0.7, 0.9, 1.1, 1.4, 2.0]  # of a feature's size in some eras to that in all
BINS = 70  # of a swarm's width: points of one bin stand beside each other


def bar_rows(values: pd.DataFrame, label: str, unit: str) -> alt.LayerChart:
    """A bar with its interval for each row; takes columns `label`, mean, low and high, the latter null without one."""
    base = marks.base(values, [label, "mean", "low", "high"])
    tips = [marks.named(label, label), *marks.tips({"mean": unit}, ".4~g")]
    bars = base.mark_bar(style="spread", height={"band": 0.6}, aria=False)
    layers = [bars.encode(x=_x("mean"), x2=alt.X2Datum(0), y=_rows(label), tooltip=tips)]
    if values["low"].notna().any():
        tips += marks.tips({"low": "interval from", "high": "to"}, ".4~g")
        interval = base.transform_filter("isValid(datum.low)").mark_rule(style="interval", aria=False)
        layers.append(interval.encode(x=_x("low"), x2="high:Q", y=_rows(label), tooltip=tips))
    return marks.layered(layers, _ROW * len(values))


def swarm(points: pd.DataFrame) -> alt.LayerChart:
    """A point for each row and feature, by contribution, coloured by level; takes `swarmed`."""
    base = marks.base(points, ["feature", "contribution", "level", "shade", "offset"])
    colours = alt.Scale(type="threshold", domain=_SHADE_BOUNDS, range="diverging")
    tips = [
        marks.named("feature", "feature"),
        *marks.tips({"contribution": "adds"}, ".3~g"),
        marks.named("level", "level"),
    ]
    dots = base.mark_circle(style="shaded", size=16, opacity=0.9, aria=False).encode(
        x=_x("contribution"),
        y=_rows("feature"),
        yOffset=alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1, 1])),
        color=alt.Color("shade:Q", scale=colours, title=None),
        tooltip=tips,
    )
    zero = base.transform_aggregate(rows="count()").mark_rule(style="zero", aria=False).encode(x=alt.XDatum(0))
    return marks.layered([zero, dots], 30 * points["feature"].nunique())


def swarmed(points: pd.DataFrame) -> pd.DataFrame:
    """`feature, level, contribution` with where a point stands in its row, -1 to 1, and its shade."""
    width = max(np.ptp(points["contribution"].to_numpy()), 1e-12) / BINS
    bins = (points["contribution"] / width).round()
    place = points.groupby([points["feature"], bins]).cumcount()
    most = max(1, int(place.max()))
    side = np.where(place % 2 == 0, 1, -1) * ((place + 1) // 2) / max(1, (most + 1) // 2)
    level = points["level"].map(lambda value: "unknown" if pd.isna(value) else str(int(value)))
    return points.assign(offset=0.85 * side, shade=points["level"].map(SHADES).fillna(0).astype(int), level=level)


def dependence_lines(curve: pd.DataFrame, extent: tuple[float, float]) -> alt.LayerChart:
    """A line for each third of the eras over the levels of one feature; takes `third, level, effect`."""
    thirds = list(dict.fromkeys(curve["third"]))
    base = marks.base(curve, ["third", "level", "effect"])
    colours = alt.Scale(domain=thirds, range=list(palette.SERIES[: len(thirds)]))
    x = alt.X("level:Q", title=None, axis=alt.Axis(values=[0, 1, 2, 3, 4], format="d"), scale=alt.Scale(nice=False))
    y = alt.Y("effect:Q", title=None, scale=alt.Scale(domain=list(extent)), axis=alt.Axis(tickCount=4, format=".2~g"))
    tips = [
        marks.named("third", "eras"),
        *marks.tips({"level": "level"}, "d"),
        *marks.tips({"effect": "effect"}, ".3~g"),
    ]
    line = base.mark_line(strokeWidth=1.8, aria=False).encode(
        x=x, y=y, color=alt.Color("third:N", scale=colours, title=None)
    )
    dots = base.mark_circle(size=34, opacity=1, aria=False).encode(
        x=x, y=y, color=alt.Color("third:N", scale=colours, title=None), tooltip=tips
    )
    return marks.layered([marks.zero_line(base), line, dots], 120)


def pair_grid(cells: pd.DataFrame, names: tuple[str, str], bound: float) -> alt.LayerChart:
    """The effect of each combination of two features' levels; takes `first, second, effect`."""
    base = marks.base(cells, ["first", "second", "effect"])
    colours = alt.Scale(
        type="threshold", domain=[bound * x for x in (-0.7, -0.4, -0.1, 0.1, 0.4, 0.7)], range="diverging"
    )
    tips = [*marks.tips({"first": names[0], "second": names[1]}, "d"), *marks.tips({"effect": "effect"}, ".3~g")]
    grid = base.mark_rect(style="cell", aria=False).encode(
        x=alt.X(
            "first:O",
            axis=alt.Axis(title=names[0], titleLimit=150, domain=False, ticks=False, labelAngle=0),
            scale=alt.Scale(padding=0),
        ),
        y=alt.Y(
            "second:O",
            sort="descending",
            axis=alt.Axis(title=names[1], titleLimit=150, domain=False, ticks=False),
            scale=alt.Scale(padding=0),
        ),
        color=alt.Color("effect:Q", scale=colours, title=None),
        tooltip=tips,
    )
    return marks.layered([grid], 150)


def era_heat(cells: pd.DataFrame) -> alt.LayerChart:
    """A row for each feature, a cell for some eras, coloured by how large it was there; takes `era_cells`."""
    base = marks.base(cells, ["feature", "first", "last", "left", "right", "ratio", "size"])
    colours = alt.Scale(type="threshold", domain=RATIOS, range="diverging")
    tips = [marks.named("feature", "feature"), *marks.tips({"first": "first era", "last": "last era"}, "d")]
    tips += marks.tips({"size": "mean |SHAP|", "ratio": "over that of all eras"}, ".3~g")
    domain = [float(cells["left"].min()), float(cells["right"].max())]
    grid = base.mark_rect(style="cell", aria=False).encode(
        x=alt.X(
            "left:Q",
            axis=alt.Axis(title=None, format="d", tickCount=6),
            scale=alt.Scale(domain=domain, nice=False, zero=False),
        ),
        x2="right:Q",
        y=_rows("feature"),
        color=alt.Color("ratio:Q", scale=colours, title=None),
        tooltip=tips,
    )
    return marks.layered([grid], _CELL * cells["feature"].nunique())


def waterfall(steps: pd.DataFrame) -> alt.LayerChart:
    """What takes one row from the base to its sum, a bar for each feature; takes `waterfall_steps`."""
    base = marks.base(steps, ["feature", "start", "end", "contribution", "level", "shade"])
    colours = alt.Scale(type="threshold", domain=_SHADE_BOUNDS, range="diverging")
    tips = [marks.named("feature", "feature"), marks.named("level", "level")]
    tips += marks.tips({"contribution": "adds", "start": "from", "end": "to"}, ".3~g")
    bars = base.mark_bar(style="shaded", height={"band": 0.65}, aria=False).encode(
        x=alt.X(
            "start:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5, format=".3~g")
        ),
        x2="end:Q",
        y=_rows("feature"),
        color=alt.Color("shade:Q", scale=colours, title=None),
        tooltip=tips,
    )
    return marks.layered([bars], _ROW * len(steps))


def _rows(label: str) -> alt.Y:
    axis = alt.Axis(grid=False, labelPadding=8, minExtent=60, labelLimit=150)
    return alt.Y(f"{label}:N", title=None, sort=None, axis=axis)


def _x(field: str) -> alt.X:
    axis = alt.Axis(tickCount=5, format=".2~g")
    return alt.X(f"{field}:Q", title=None, scale=alt.Scale(zero=True, nice=True), axis=axis)
