"""What models live on, as sections of a page: importance, permutation, dependence, pairs, expected signs, live rows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from eraflow.reporting import explained_charts as charts
from eraflow.reporting import palette
from eraflow.reporting.content import Cell, Chart, Entry, Figure, Group, Panel, Section, Table
from eraflow.reporting.explained_frames import Explained, level_legend, order, value_cell, with_interval
from eraflow.reporting.explained_rows import lime_section, live_section
from eraflow.reporting.text import MISSING, count_text, number, share

SHOWN = 20  # features of a chart
CURVES = 9
COLUMNS = 48  # of a heat map over eras
_RATIOS = ("under half", "to 0.7", "to 0.9", "as always", "to 1.4", "to 2", "over twice")


def explained_sections(models: Sequence[Explained]) -> tuple[Section, ...]:
    """All sections that these frames give something to show in."""
    made = (_importance, _permutation, _time, _dependence, _interactions, _signs, live_section, lime_section)
    return tuple(section for make in made if (section := make(models)) is not None)


def _figure(
    key: str, heading: str, caption: str, models: Sequence[Explained], frame: Callable[[Explained], pd.DataFrame],
    draw: Callable[[Explained, pd.DataFrame], Chart], legend: tuple[Entry, ...] = (), basis: str | None = None,
) -> tuple[Figure, ...]:  # fmt: skip
    """A panel for each model that has something to draw; none without."""
    parts = [(one, rows) for one in models if len(rows := frame(one))]
    if not parts:
        return ()
    panels = tuple(Panel(one.model, draw(one, rows)) for one, rows in parts)
    every = pd.concat([rows.assign(model=one.model) for one, rows in parts], ignore_index=True)
    basis = basis if basis is not None else "; ".join(dict.fromkeys(one.basis for one, _ in parts))
    return (Figure(key, heading, caption, panels, every, basis, legend, stacked=1),)


def _importance(models: Sequence[Explained]) -> Section:
    prose = tuple(text for one in models for text in one.prose)
    figures = (
        *_figure(
            "explain-importance", "Mean |SHAP|",
            f"How much the {SHOWN} largest features move a row's value on average; the line is the mean's interval "
            "over eras, which allows for overlapping labels.",
            models, lambda one: _bars(one.importance.head(SHOWN), "feature", "size"),
            lambda one, rows: charts.bar_rows(rows, "feature", f"mean |SHAP|, {one.unit}"),
        ),
        *_figure(
            "explain-swarm", "Rows", "A point is a validated row: how far the feature moves it, and its level there.",
            models, lambda one: charts.swarmed(one.points) if len(one.points) else one.points,
            lambda one, rows: charts.swarm(rows), level_legend(),
        ),
        *_figure(
            "explain-groups", "Groups of features", "Mean |sum of a group's SHAP values|: families, and clusters of "
            "features that go together, by the name of one and how many more there are.",
            models, lambda one: _bars(one.groups.head(SHOWN), "group", "size"),
            lambda one, rows: charts.bar_rows(rows, "group", f"mean |SHAP|, {one.unit}"),
        ),
    )  # fmt: skip
    return Section("What it lives on", prose, figures, (_importance_table(models),))


def _bars(frame: pd.DataFrame, label: str, value: str) -> pd.DataFrame:
    low, high = (f"{value}_low", f"{value}_high") if f"{value}_low" in frame else ("low", "high")
    columns = {value: "mean", low: "low", high: "high"}
    return frame[[label, *columns]].rename(columns=columns).reset_index(drop=True)


def _importance_table(models: Sequence[Explained]) -> Table:
    heads = ("Feature", "Share", "Mean |SHAP|", "Direction", "Earned", "Earned in training", "Folds in top 20",
             "Share early", "Share late", "Gain", "Splits")  # fmt: skip
    groups = tuple(
        Group(tuple(_importance_row(row) for row in one.importance.head(50).to_dict(orient="records")), one.model)
        for one in models
    )
    note = (
        "Share: of the sum of all mean |SHAP|. Direction: covariance of SHAP and level, in deviations of the level. "
        "Earned: its part of the correlation with the target, which all features' parts add up to; in training: the "
        "same in eras that the fold's model has learned. Worth much there and nothing after is noise, or has faded."
    )
    if any((one.importance["error"] > 0).any() for one in models):
        note += (
            " A value \N{PLUS-MINUS SIGN}: the standard error of one sampled SHAP value. It makes mean |SHAP| rather "
            "too large than too small."
        )
    return Table("Features", tuple(Cell(head, figure=head != "Feature") for head in heads), groups, note)


def _importance_row(row: dict[Any, Any]) -> tuple[Cell, ...]:
    splits, size = row.get("splits"), with_interval(row, "size")
    error = [f"a value \N{PLUS-MINUS SIGN} {number(row['error'])}"] if row["error"] > 0 else []
    return (
        Cell(str(row["feature"]), figure=False),
        Cell(share(row["share"]), sort=row["share"]),
        replace(size, detail=(*size.detail, *error)),
        with_interval(row, "direction"),
        with_interval(row, "earned"),
        value_cell(row["training_earned"]),
        Cell(count_text(row["top_folds"]), sort=int(row["top_folds"])),
        Cell(share(row["early"]), sort=row["early"]),
        Cell(share(row["late"]), sort=row["late"]),
        Cell(share(row.get("gain")), sort=order(row.get("gain"))),
        Cell(MISSING if splits is None or pd.isna(splits) else count_text(round(splits)), sort=order(splits)),
    )


def _permutation(models: Sequence[Explained]) -> Section | None:
    metrics = list(dict.fromkeys(str(name) for one in models for name in one.permutation["metric"].unique()))
    figures = [
        figure for metric in metrics for kind in ("group", "feature") for figure in _losses(models, metric, kind)
    ]
    return Section("What is lost without it", (), tuple(figures)) if figures else None


def _losses(models: Sequence[Explained], metric: str, kind: str) -> tuple[Figure, ...]:
    count = max((int(one.permutation["eras"].max()) for one in models if len(one.permutation)), default=0)
    return _figure(
        f"explain-lost-{kind}s-{metric.replace('_', '-')}", f"{metric} lost without a {kind}",
        "The mean over eras of what the metric loses when the levels are permuted among the rows of an era; the line "
        "is its interval, which allows for overlapping labels. One that spans 0 decides nothing.",
        models, lambda one: _lost(one.permutation, metric, kind),
        lambda one, rows: charts.bar_rows(rows, "unit", f"{metric} lost"),
        basis=f"Rests on {count} validated eras, spread over all.",
    )  # fmt: skip


def _lost(permutation: pd.DataFrame, metric: str, kind: str) -> pd.DataFrame:
    rows = permutation[(permutation["metric"] == metric) & (permutation["kind"] == kind)]
    return _bars(rows.sort_values("loss", ascending=False, kind="stable").head(SHOWN), "unit", "loss")


def _time(models: Sequence[Explained]) -> Section | None:
    legend = tuple(Entry(colour, label) for colour, label in zip(palette.DIVERGING, _RATIOS, strict=True))
    drawn = _figure(
        "explain-eras", "Mean |SHAP| by era", "A cell is some consecutive eras: its mean |SHAP| there over that "
        "of all eras. Steps from one fold to the next are another model; what moves within a fold is the data.",
        models, lambda one: era_cells(one.by_era), lambda one, cells: charts.era_heat(cells), legend,
    )  # fmt: skip
    return Section("Over time", (), drawn) if drawn else None


def era_cells(by_era: pd.DataFrame) -> pd.DataFrame:
    """`feature, first, last, left, right, size, ratio`: at most 48 blocks of eras, in the features' order."""
    if by_era.empty:
        return by_era
    eras = np.sort(by_era["era"].unique())
    block = dict(zip(eras, np.arange(len(eras)) * min(COLUMNS, len(eras)) // len(eras), strict=True))
    grouped = by_era.assign(block=by_era["era"].map(block)).groupby(["feature", "block"], sort=False)
    cells = grouped.agg(first=("era", "min"), last=("era", "max"), size=("size", "mean")).reset_index()
    mean = cells.groupby("feature")["size"].transform("mean")
    cells = cells.assign(left=cells["first"] - 0.5, ratio=cells["size"] / mean.where(mean > 0, np.nan))
    ends = cells.groupby("block")["first"].first().shift(-1)
    return cells.assign(right=cells["block"].map(ends).fillna(float(eras[-1]) + 1) - 0.5).drop(columns="block")


def _dependence(models: Sequence[Explained]) -> Section | None:
    figures = []
    for place, one in enumerate(models):
        if one.curves.empty:
            continue
        names = list(dict.fromkeys(one.curves["feature"]))[:CURVES]
        extent = (float(one.curves["effect"].min()), float(one.curves["effect"].max()))
        panels = tuple(
            Panel(str(name), charts.dependence_lines(one.curves[one.curves["feature"] == name], extent))
            for name in names
        )
        thirds = list(dict.fromkeys(one.curves["third"]))
        legend = tuple(Entry(colour, f"{third} eras") for colour, third in zip(palette.SERIES, thirds, strict=False))
        caption = f"Mean value with the feature set to each level, less that over all levels; {one.unit}."
        key = "explain-dependence" if place == 0 else f"explain-dependence-{place}"
        figures.append(
            Figure(
                key,
                f"Dependence: {one.model}",
                caption,
                panels,
                one.curves,
                one.basis,
                legend,
                stacked=CURVES,
                is_grid=True,
            )
        )
        if one.pair_of is not None and len(one.pair):
            figures.append(_pair(one, place))
    return Section("Dependence", (), tuple(figures)) if figures else None


def _pair(one: Explained, place: int) -> Figure:
    assert one.pair_of is not None
    bound = float(one.pair["effect"].abs().max()) or 1.0
    panels = tuple(
        Panel(f"{third} eras", charts.pair_grid(rows, one.pair_of, bound))
        for third, rows in one.pair.groupby("third", sort=False)
    )
    steps = [bound * x for x in (-0.7, -0.4, -0.1, 0.1, 0.4, 0.7)]
    labels = (f"below {number(steps[0])}", *(f"to {number(step)}" for step in steps[1:]), f"above {number(steps[-1])}")
    legend = tuple(Entry(colour, label) for colour, label in zip(palette.DIVERGING, labels, strict=True))
    first, second = one.pair_of
    key = "explain-pair" if place == 0 else f"explain-pair-{place}"
    caption = f"Mean value with both features set, less that over all combinations: {first} across, {second} upwards."
    return Figure(key, f"The leading pair: {one.model}", caption, panels, one.pair, one.basis, legend, is_grid=True)


def _interactions(models: Sequence[Explained]) -> Section | None:
    drawn = _figure(
        "explain-pairs", "Mean |interaction| of pairs", "What two features do together beyond what each does: SHAP "
        "interaction values of the trees, both halves, among the largest features.",
        models, lambda one: _pair_bars(one.pairs),
        lambda one, rows: charts.bar_rows(rows, "pair", "mean |interaction|"),
    )  # fmt: skip
    return Section("Interactions", (), drawn) if drawn else None


def _pair_bars(pairs: pd.DataFrame) -> pd.DataFrame:
    shown = pairs.head(12)
    return pd.DataFrame(
        {"pair": shown["first"] + " × " + shown["second"], "mean": shown["size"], "low": np.nan, "high": np.nan}
    ).reset_index(drop=True)


def _signs(models: Sequence[Explained]) -> Section | None:
    held = [one for one in models if len(one.verdicts)]
    if not held:
        return None
    heads = ("Feature", "Expected", "Direction", "Share", "Verdict")
    groups = tuple(
        Group(
            tuple(
                (
                    Cell(str(row["feature"]), figure=False),
                    Cell("above 0" if row["expected"] > 0 else "below 0", (str(row["why"]),), figure=False),
                    with_interval(row, "direction", ("low", "high")),
                    Cell(share(row["share"]), sort=row["share"]),
                    Cell(str(row["verdict"]), figure=False),
                )
                for row in one.verdicts.to_dict(orient="records")
            ),
            one.model,
        )
        for one in held
    )
    note = (
        "What finance expects (explain.expected) held against the sign by which the model uses the feature, beside its "
        "other features: it agrees or contradicts where the interval lies on one side of 0."
    )
    text = {"Feature", "Expected", "Verdict"}
    table = Table("Expected signs", tuple(Cell(head, figure=head not in text) for head in heads), groups, note)
    return Section("Expected signs", (), (), (table,))
