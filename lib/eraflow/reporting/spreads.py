"""Charts of distributions and of values with intervals, a row for each. Small frame in, figure out."""

import altair as alt
import pandas as pd

from eraflow.reporting import marks

_ROW = 26


def histogram(bins: pd.DataFrame, count: str, unit: str, extent: tuple[float, float], top: float) -> alt.LayerChart:
    """Counts in bins with the mean as a line; takes columns low, high, `count` and, on the first row, mean.

    `extent` (of values) and `top` (of counts) let several histograms share their axes.
    """
    x = alt.Scale(domain=list(extent), nice=False, zero=False)
    y = alt.Scale(domain=[0, top])
    base = marks.base(bins, ["low", "high", count, "mean"])
    tips = [*marks.tips({"low": f"{unit} from", "high": "to"}), *marks.tips({count: count}, ",d")]
    bars = base.mark_rect(style=["spread", "cell"], aria=False).encode(
        x=alt.X("low:Q", scale=x, axis=alt.Axis(title=None, labelOverlap="greedy", tickCount=6)),
        x2="high:Q",
        y=alt.Y(f"{count}:Q", title=None, scale=y, axis=alt.Axis(tickCount=4, format=",d" if top < 1e5 else "~s")),
        y2=alt.Y2Datum(0),
        tooltip=tips,
    )
    mean = base.transform_filter("isValid(datum.mean)").mark_rule(style="mean", aria=False)
    return marks.layered([bars, mean.encode(x=alt.X("mean:Q", scale=x), tooltip=marks.tips({"mean": "mean"}))], 150)


def spread_rows(spreads: pd.DataFrame, label: str) -> alt.LayerChart:
    """A box (quartiles, median) with whiskers (5 and 95 %) and a dot (mean) for each row of `spread_frame`."""
    base = marks.base(spreads, list(spreads.columns))
    y = _rows(label)
    tips = [marks.named(label, label)]
    tips += marks.tips({"p95": "95 % below", "p75": "75 % below", "p50": "median", "p25": "25 % below"})
    tips += marks.tips({"p5": "5 % below", "mean": "mean"})
    layers = [
        _zero(base),
        base.mark_rule(style="whisker", aria=False).encode(x=_x("p5"), x2="p95:Q", y=y, tooltip=tips),
        base.mark_bar(style="spread", height={"band": 0.55}, aria=False).encode(
            x=_x("p25"), x2="p75:Q", y=y, tooltip=tips
        ),
        base.mark_tick(style="mean", thickness=2, height={"band": 0.55}, aria=False).encode(x="p50:Q", y=y),
        base.mark_point(style="mean", size=34, filled=True, aria=False).encode(x="mean:Q", y=y, tooltip=tips),
    ]
    return marks.layered(layers, _ROW * len(spreads))


def interval_rows(values: pd.DataFrame, label: str, metric: str) -> alt.LayerChart:
    """A dot with its interval for each row; takes columns `label`, mean, low and high, the latter null without one."""
    base = marks.base(values, [label, "mean", "low", "high"])
    y = _rows(label)
    tips = [marks.named(label, label), *marks.tips({"mean": metric, "low": "interval from", "high": "to"})]
    interval = base.transform_filter("isValid(datum.low)").mark_rule(style="interval", aria=False)
    layers = [
        _zero(base),
        interval.encode(x=_x("low"), x2="high:Q", y=y, tooltip=tips),
        base.mark_point(style="mean", size=60, filled=True, aria=False).encode(x=_x("mean"), y=y, tooltip=tips),
    ]
    return marks.layered(layers, _ROW * len(values))


def _rows(label: str) -> alt.Y:
    return alt.Y(f"{label}:N", title=None, sort=None, axis=alt.Axis(grid=False, labelPadding=8, minExtent=60))


def _x(field: str) -> alt.X:
    return alt.X(f"{field}:Q", title=None, scale=alt.Scale(zero=True, nice=True), axis=alt.Axis(tickCount=6))


def _zero(base: alt.Chart) -> alt.Chart:
    line: alt.Chart = base.transform_aggregate(rows="count()").mark_rule(style="zero", aria=False)
    return line.encode(x=alt.XDatum(0))
