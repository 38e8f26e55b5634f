"""What a monitor has found, as sections of a page: the status of each slot, its scores, its live rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eraflow.reporting import monitored_charts as charts
from eraflow.reporting import palette
from eraflow.reporting.content import Cell, Entry, Figure, Group, Panel, Section, Table
from eraflow.reporting.text import number

MOST_ROUNDS = 260  # of a chart: of more, those at equal distances
MOST_MOVED = 30  # features that are named
CONTROLS: Mapping[str, tuple[str, str]] = {
    "rolling": (
        "Mean of the last year",
        "How many deviations the mean of the last year's rounds is below that of validation eras; the deviation allows "
        "for labels that overlap, and for how few validation eras there are. Beyond the dashed limit: warn.",
    ),
    "cusum": (
        "CUSUM",
        "What the score has fallen short of its validation mean by, beyond half a deviation, added up; in deviations "
        "of labels without overlap. Beyond the dashed limit: retrain.",
    ),
    "drawdown": (
        "Drawdown",
        "The fall of the cumulated score below its highest level of the last year, over what 95 % of paths put "
        "together from validation eras stay below. Beyond the dashed limit: warn.",
    ),
}
LIVE: Sequence[tuple[str, str, str, Mapping[str, str]]] = (
    ("monitor-drifted", "Features that have drifted",
     "How many features of a round are outside of what validated eras show, by what has moved.",
     {"drifted_missing": "missing", "drifted_level": "mean level", "drifted_spread": "spread",
      "drifted_correlation": "correlations"}),
    ("monitor-distance", "Distance from validated eras",
     "Mean over features, in deviations from era to era: about .8 where nothing has changed.",
     {"level_distance": "mean level", "spread_distance": "spread", "correlation_distance": "correlations"}),
    ("monitor-rows", "Missing values", "The mean share of rows in which a feature is missing, and the largest.",
     {"missing_mean": "mean of features", "missing_most": "the most of any feature"}),
    ("monitor-universe", "Rows", "Rows of each round.", {"rows": "rows"}),
    ("monitor-predictions", "Predictions",
     "The largest correlation of the predictions with a feature, and the root mean square of all.",
     {"prediction_exposure": "largest exposure", "prediction_exposure_rms": "root mean square"}),
    ("monitor-spread", "Spread of predictions", "Their deviation, as the model gives them.",
     {"prediction_spread": "deviation"}),
    ("monitor-change", "Change and coverage",
     "What has moved since the round before (one less the rank correlation), Numerai's own figures, and the covered "
     "share of the universe.",
     {"churn": "churn", "server_churn": "Numerai's churn", "server_turnover": "Numerai's turnover",
      "coverage": "coverage"}),
    ("monitor-graph", "Graph", "Of the learned graph over tickers: mean degree, and the share of edges that the graph "
     "before has too.", {"graph_degree": "mean degree", "graph_kept": "edges kept"}),
)  # fmt: skip
_WORDS = {
    "missing": "missing share",
    "level": "mean level",
    "spread": "spread",
    "correlation": "off the usual correlations",
}


@dataclass(frozen=True)
class Monitored:
    """What is told of a slot.

    live: rows of `monitor_live` of the slot. scores: `score, round, date, value, rolling, cusum, drawdown`; the charts
    are NaN of scores by which the slot is not judged. limits: by chart. moved: the drifted features of the newest
    round. eras: validated ones that rows are held to.
    """

    slot: str
    run: str
    date: str
    level: str
    reasons: tuple[str, ...]
    score_reasons: tuple[str, ...]
    live: pd.DataFrame
    scores: pd.DataFrame
    limits: Mapping[str, float]
    moved: pd.DataFrame
    eras: int
    notes: tuple[str, ...]


def monitored_sections(slots: Sequence[Monitored]) -> tuple[Section, ...]:
    """All sections that the slots give something to show in."""
    made = (_status(slots), _scores(slots), _rows(slots), _moved(slots))
    return tuple(section for section in made if section is not None)


def _status(slots: Sequence[Monitored]) -> Section:
    heads = ("Slot", "Status", "Run", "Newest round", "Resolved scores")
    rows = tuple(
        (
            Cell(one.slot, figure=False),
            Cell(one.level, figure=False),
            Cell(one.run, figure=False),
            Cell(one.date, figure=False),
            Cell(f"{resolved(one):,}", sort=resolved(one)),
        )
        for one in slots
    )
    note = (
        "block: the newest round's rows are broken, and nothing is sent. retrain: a challenger is asked for. "
        "warn: somebody should look. Limits are set so that a slot without a change rarely alarms: docs/monitor.md."
    )
    columns = tuple(Cell(head, figure=head == heads[-1]) for head in heads)
    return Section("Status", tuple(map(_said, slots)), (), (Table("Slots", columns, (Group(rows),), note),))


def _said(one: Monitored) -> str:
    """Why a slot has its status, in a paragraph."""
    why = "; ".join(one.reasons) or "nothing has left its limits"
    return f"{one.slot} ({one.level}): {'; '.join((why, *one.notes))}."


def resolved(one: Monitored) -> int:
    """How many rounds of the slot have a resolved score."""
    scored = one.scores[one.scores["value"].notna()]
    return int(scored["round"].nunique())


def _scores(slots: Sequence[Monitored]) -> Section | None:
    some = [one for one in slots if len(one.scores)]
    if not some:
        return None
    panels, frames = [], []
    for one in some:
        for name, stream in one.scores.groupby("score", sort=True):
            shown = stream.sort_values("round").tail(MOST_ROUNDS)
            panels.append(Panel(f"{one.slot}: {name}", charts.score_bars(shown, str(name))))
            frames.append(shown.assign(slot=one.slot))
    every = pd.concat(frames, ignore_index=True)
    caption = "Resolved scores by round, and the mean of twenty of them. Neighbours share most of their returns."
    drawn = [Figure("monitor-scores", "Scores", caption, tuple(panels), every, _basis(some), stacked=2)]
    drawn += [figure for chart in CONTROLS if (figure := _control(some, chart)) is not None]
    return Section("Scores", (), tuple(drawn))


def _basis(slots: Sequence[Monitored]) -> str:
    return f"Rounds with resolved scores: {', '.join(f'{one.slot} {resolved(one):,}' for one in slots)}."


def _control(slots: Sequence[Monitored], chart: str) -> Figure | None:
    heading, caption = CONTROLS[chart]
    panels, frames = [], []
    for one in slots:
        judged = one.scores[one.scores[chart].notna()] if chart in one.limits else one.scores.head(0)
        if len(judged):
            shown = _thinned(judged.sort_values("round"))
            panels.append(Panel(one.slot, charts.control(shown, chart, heading, one.limits[chart])))
            frames.append(shown[["score", "round", "date", chart]].assign(slot=one.slot, limit=one.limits[chart]))
    if not panels:
        return None
    return Figure(f"monitor-{chart}", heading, caption, tuple(panels), pd.concat(frames, ignore_index=True), stacked=2)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most MOST_ROUNDS of the rows, the last one among them."""
    step = -(-len(rows) // MOST_ROUNDS)
    return rows.iloc[(len(rows) - 1) % step :: step]


def _rows(slots: Sequence[Monitored]) -> Section | None:
    figures = [figure for each in LIVE if (figure := _live(slots, *each)) is not None]
    if others := _others(slots):
        figures.append(others)
    if not figures:
        return None
    eras = ", ".join(f"{one.slot} {one.eras}" for one in slots)
    return Section("Live rows", (f"Rows are held to validated eras of the slot's run: {eras}.",), tuple(figures))


def _live(slots: Sequence[Monitored], key: str, heading: str, caption: str, names: Mapping[str, str]) -> Figure | None:
    panels, frames = [], []
    for one in slots:
        chosen = one.live[one.live["statistic"].isin(list(names))]
        if len(chosen):
            shown = _last_dates(chosen)
            panels.append(Panel(one.slot, charts.live_lines(shown, names)))
            frames.append(shown)
    if not panels:
        return None
    legend = tuple(Entry(palette.series(place)[0], name) for place, name in enumerate(names.values()))
    every = pd.concat(frames, ignore_index=True)[["slot", "round", "date", "statistic", "subject", "value"]]
    return Figure(key, heading, caption, tuple(panels), every, legend=legend if len(names) > 1 else (), stacked=1)


def _others(slots: Sequence[Monitored]) -> Figure | None:
    """Rank correlations with others on the same rows, a line each."""
    rows = pd.concat([one.live[one.live["statistic"] == "rank_correlation"] for one in slots], ignore_index=True)
    subjects = sorted(map(str, rows["subject"].unique()))[:8]
    renamed = [
        _with(one, one.live[(one.live["statistic"] == "rank_correlation") & one.live["subject"].isin(subjects)])
        for one in slots
    ]
    names = {subject: subject for subject in subjects}
    caption = "Of the submission with others' predictions of the same rows."
    return _live(renamed, "monitor-others", "Rank correlation with others", caption, names) if subjects else None


def _with(one: Monitored, live: pd.DataFrame) -> Monitored:
    fields: dict[str, Any] = {**vars(one), "live": live.assign(statistic=live["subject"])}
    return Monitored(**fields)


def _last_dates(rows: pd.DataFrame) -> pd.DataFrame:
    dates = pd.DataFrame({"date": sorted(rows["date"].unique())})
    return rows[rows["date"].isin(_thinned(dates)["date"])].sort_values(["statistic", "date"], kind="stable")


def _moved(slots: Sequence[Monitored]) -> Section | None:
    groups = tuple(
        Group(tuple(map(_moved_row, one.moved.head(MOST_MOVED).to_dict(orient="records"))), f"{one.slot}, {one.date}")
        for one in slots
        if len(one.moved)
    )
    if not groups:
        return None
    heads = tuple(Cell(head, figure=head not in ("Feature", "What")) for head in
                  ("Feature", "What", "Now", "Usual low", "Usual high", "p"))  # fmt: skip
    note = f"The newest round, the least likely first, at most {MOST_MOVED}. Usual: 95 % of validated eras."
    return Section("Drifted features", (), (), (Table("Drifted features", heads, groups, note),))


def _moved_row(row: Mapping[Any, Any]) -> tuple[Cell, ...]:
    return (
        Cell(str(row["feature"]), figure=False),
        Cell(_WORDS[str(row["statistic"])], figure=False),
        *(Cell(number(float(row[key])), sort=float(row[key])) for key in ("value", "low", "high")),
        Cell(f"{float(row['p']):.1e}", sort=float(row["p"])),
    )
