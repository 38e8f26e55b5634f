"""Why live rows are predicted as they are, as sections of a page: waterfalls, what raises and lowers them, LIME."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from eraflow.reporting import explained_charts as charts
from eraflow.reporting.content import Cell, Figure, Group, Panel, Section, Table
from eraflow.reporting.explained_frames import Explained, level_legend, value_cell, with_error
from eraflow.reporting.text import MISSING, number

NEGLIGIBLE = 1e-9  # of what the other features add
WATERFALL = 10  # features of a row, and the others together


def live_section(models: Sequence[Explained]) -> Section | None:
    """The rows that are submitted: those that were asked for, the highest and the lowest."""
    held = [one for one in models if len(one.live_sums)]
    if not held:
        return None
    figures = [figure for place, one in enumerate(held) for figure in _waterfalls(one, place)]
    groups = tuple(Group(tuple(_live_rows(one)), one.model) for one in held)
    heads = tuple(Cell(head, figure=head == "Value") for head in ("Row", "Value", "Raised by", "Lowered by"))
    note = "Rows that were asked for, the highest and the lowest; why.csv holds all."
    if any((one.live["error"] > 0).any() for one in held):
        note += " \N{PLUS-MINUS SIGN}: the standard error of a sampled value."
    prose = ("Of the rows that are submitted what raises and what lowers them most, by the final model.",)
    return Section("Live rows", prose, tuple(figures), (Table("Live rows", heads, groups, note),))


def _live_rows(one: Explained) -> list[tuple[Cell, ...]]:
    ends = pd.concat([_chosen(one), one.live_sums.head(10), one.live_sums.tail(10)]).drop_duplicates("id")
    rows = []
    for row in ends.to_dict(orient="records"):
        parts = one.live[one.live["id"] == row["id"]]
        sides = [
            parts[parts["place"] > 0].sort_values("place"),
            parts[parts["place"] < 0].sort_values("place", ascending=False),
        ]
        cells = [_features(side) for side in sides]
        rows.append((Cell(str(row["id"]), figure=False), Cell(number(row["sum"]), sort=row["sum"]), *cells))
    return rows


def _chosen(one: Explained) -> pd.DataFrame:
    """The sums of rows that were asked for."""
    return one.live_sums[one.live_sums["id"].isin(one.chosen)]


def _features(side: pd.DataFrame) -> Cell:
    lines = []
    for row in side.head(3).to_dict(orient="records"):
        level = "unknown" if pd.isna(row["level"]) else row["level"]
        lines.append(f"{row['feature']} = {level}: {with_error(row['contribution'], row.get('error'))}")
    return Cell(lines[0] if lines else MISSING, tuple(lines[1:]), figure=False)


def _waterfalls(one: Explained, place: int) -> tuple[Figure, ...]:
    ends = pd.concat([_chosen(one), one.live_sums.head(3), one.live_sums.tail(3)]).drop_duplicates("id")
    panels, frames = [], []
    for row in ends.to_dict(orient="records"):
        steps = waterfall_steps(one.live[one.live["id"] == row["id"]], float(row["base"]), float(row["sum"]))
        panels.append(Panel(str(row["id"]), charts.waterfall(steps)))
        frames.append(steps.assign(id=row["id"]))
    key = "explain-row" if place == 0 else f"explain-row-{place}"
    caption = f"From the value of an average row to that of this one, feature by feature; {one.unit}."
    frame = pd.concat(frames, ignore_index=True)
    return (Figure(key, f"A row: {one.model}", caption, tuple(panels), frame, legend=level_legend(), stacked=1),)


def waterfall_steps(parts: pd.DataFrame, base: float, total: float) -> pd.DataFrame:
    """`feature, level, contribution, start, end, shade`: the largest contributions, then what all others add."""
    order = parts["contribution"].abs().sort_values(ascending=False, kind="stable").index
    largest = parts.reindex(order).head(WATERFALL)
    rest = total - base - float(largest["contribution"].sum())
    steps = largest[["feature", "level", "contribution"]]
    if len(parts) >= 2 * WATERFALL or abs(rest) >= NEGLIGIBLE:
        others = pd.DataFrame({"feature": ["all others"], "level": pd.array([pd.NA], "Int8"), "contribution": [rest]})
        steps = pd.concat([steps, others], ignore_index=True)
    end = base + steps["contribution"].cumsum()
    level = steps["level"].map(lambda value: MISSING if pd.isna(value) else str(value))
    shade = steps["level"].astype("Float64").map(charts.SHADES, na_action="ignore").fillna(0).astype(int)
    return steps.assign(start=end - steps["contribution"], end=end, shade=shade, level=level)


def lime_section(models: Sequence[Explained]) -> Section | None:
    """LIME of the rows that were asked for, beside SHAP."""
    held = [one for one in models if len(one.lime)]
    if not held:
        return None
    heads = ("Row", "Feature", "Level", "LIME", "SHAP")
    groups = tuple(
        Group(tuple(_lime_row(row) for row in rows.to_dict(orient="records")), f"{one.model}: {id_}")
        for one in held
        for id_, rows in one.lime.groupby("id", sort=False)
    )
    note = (
        "LIME: the slope of a linear model of the predictions around the row, times the level over its mean; SHAP of "
        "the same row is exact. Only the features shown are varied for LIME."
    )
    text = {"Row", "Feature"}
    table = Table("LIME beside SHAP", tuple(Cell(head, figure=head not in text) for head in heads), groups, note)
    return Section("LIME", (), (), (table,))


def _lime_row(row: dict[Any, Any]) -> tuple[Cell, ...]:
    names = (Cell(str(row["id"]), figure=False), Cell(str(row["feature"]), figure=False))
    return (*names, Cell(number(row["level"], 0)), value_cell(row["lime"]), value_cell(row["shap"]))
