"""Charts of rounds: a score and its control charts over the rounds, what live rows looked like over time."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from eraflow.reporting import marks

HEIGHT = 150
MEAN_OF = 20  # rounds of the line above scores


def score_bars(stream: pd.DataFrame, score: str) -> alt.LayerChart:
    """Bars of a score by round under the mean of the last twenty; takes `round, date, value` of every round."""
    mean = stream["value"].rolling(MEAN_OF, min_periods=MEAN_OF // 2).mean()
    frame = stream.assign(mean=mean)
    base = marks.base(frame, ["round", "date", "value", "mean"])
    base = base.transform_calculate(left="datum.round - 0.45", right="datum.round + 0.45")
    bars = base.mark_rect(style="eras", aria=False).encode(
        x=_rounds("left", frame), x2="right:Q", y=alt.Y("value:Q", title=None), y2=alt.Y2Datum(0),
        tooltip=[*_tips(), *marks.tips({"value": score, "mean": f"mean of {MEAN_OF} rounds"})],
    )  # fmt: skip
    line = base.transform_filter("isValid(datum.mean)").mark_line(style="rolling", aria=False)
    return marks.layered([bars, line.encode(x=_rounds("round", frame), y=alt.Y("mean:Q", title=None))], HEIGHT)


def control(stream: pd.DataFrame, chart: str, title: str, limit: float) -> alt.LayerChart:
    """A chart of a score by round and the limit beyond which it alarms; takes `round, date` and the chart's column."""
    frame = stream.assign(limit=limit)
    base = marks.base(frame, ["round", "date", chart, "limit"])
    top = max(float(frame[chart].max()), limit) * 1.08
    low = min(float(frame[chart].min()), 0.0)
    scale = alt.Scale(domain=[low, top], nice=False)
    line = base.transform_filter(f"isValid(datum.{chart})").mark_line(style="rolling", aria=False)
    drawn = line.encode(
        x=_rounds("round", frame), y=alt.Y(f"{chart}:Q", title=None, scale=scale),
        tooltip=[*_tips(), *marks.tips({chart: title, "limit": "limit"})],
    )  # fmt: skip
    held = base.transform_aggregate(limit="max(limit)").mark_rule(strokeDash=[6, 3], color="var(--purge)", aria=False)
    return marks.layered([drawn, held.encode(y=alt.Y("limit:Q", title=None, scale=scale))], HEIGHT)


def live_lines(rows: pd.DataFrame, names: Mapping[str, str]) -> alt.LayerChart:
    """A line for each statistic over the dates of rounds; takes `date, statistic, value`, `names` by statistic."""
    shown = rows.assign(name=rows["statistic"].map(dict(names)))
    base = marks.base(shown, ["date", "name", "value"])
    domain = list(dict.fromkeys(names.values()))
    encoded = {
        "x": alt.X("date:T", title=None, axis=alt.Axis(format="%Y-%m-%d", tickCount=6)),
        "y": alt.Y("value:Q", title=None),
        "color": alt.Color("name:N", scale=alt.Scale(domain=domain), title=None),
    }
    tips = [marks.named("date", "date"), marks.named("name", "what"), *marks.tips({"value": "value"})]
    line = base.mark_line(strokeWidth=1.6, aria=False).encode(**encoded)
    points = base.mark_point(size=14, filled=True, aria=False).encode(**encoded, tooltip=tips)
    return marks.layered([line, points], HEIGHT)


def _rounds(field: str, frame: pd.DataFrame) -> alt.X:
    first, last = int(frame["round"].min()), int(frame["round"].max())
    axis = alt.Axis(title="round", format="d", tickCount=6, tickMinStep=1)
    return alt.X(f"{field}:Q", scale=alt.Scale(domain=[first - 1, last + 1], nice=False, zero=False), axis=axis)


def _tips() -> Sequence[alt.Tooltip]:
    return [alt.Tooltip("round:Q", title="round", format="d"), marks.named("date", "date")]
