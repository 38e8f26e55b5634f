"""What a report is made of: its content, and the sections, figures and tables that the page consists of."""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import pandas as pd

from eraflow.reporting.frames import Fold

Chart = alt.Chart | alt.LayerChart
Metrics = Mapping[str, Any]
Summary = Mapping[str, Mapping[str, Metrics]]
Dates = Mapping[int, datetime.date]
_KEY = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Cell:
    """A table cell: its text, quieter lines below, whether it is a figure (aligned right), and what it is sorted by."""

    text: str
    detail: tuple[str, ...] = ()
    figure: bool = True
    sort: float | str | None = None


@dataclass(frozen=True)
class Group:
    """Rows of a table under an optional heading."""

    rows: tuple[tuple[Cell, ...], ...]
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; its first column names the row, its note says how to read it.

    Readers sort it within its groups. Of many groups the page shows one at a time.
    """

    label: str
    columns: tuple[Cell, ...]
    groups: tuple[Group, ...]
    note: str = ""

    @property
    def is_chosen(self) -> bool:
        """Whether the page offers its groups one at a time."""
        return len(self.groups) > 1 and sum(len(group.rows) for group in self.groups) > 16


@dataclass(frozen=True)
class Entry:
    """One entry of a legend; `focus` names the field of a line that the entry brings forward."""

    colour: str
    label: str
    dash: tuple[int, ...] = (1, 0)
    focus: str = ""


@dataclass(frozen=True)
class Panel:
    """One chart of a figure, by name: a model, a metric."""

    label: str
    chart: Chart


@dataclass(frozen=True)
class Figure:
    """Charts of one kind with the words about them.

    key: names the files figures/KEY.svg and frames/KEY.csv; lower-case letters, digits, - and _.
    caption: what the figure shows; basis: the eras that it rests on.
    panels: up to `stacked` of them stand below each other (side by side where `is_grid`); of more the reader chooses.
    frame: what the charts were drawn from, for frames/KEY.csv.
    """

    key: str
    heading: str
    caption: str
    panels: tuple[Panel, ...]
    frame: pd.DataFrame
    basis: str = ""
    legend: tuple[Entry, ...] = ()
    stacked: int = 3
    is_grid: bool = False

    def __post_init__(self) -> None:
        """Refuses keys that cannot name a file, and figures without a chart."""
        if not _KEY.fullmatch(self.key) or not self.panels:
            raise ValueError(f"a figure needs a key of letters, digits, - and _ and a panel, not {self.key!r}")

    @property
    def is_chosen(self) -> bool:
        """Whether the reader chooses one panel."""
        return len(self.panels) > self.stacked

    @property
    def places(self) -> dict[str, Panel]:
        """Key of each chart → its panel."""
        if len(self.panels) == 1:
            return {self.key: self.panels[0]}
        return {f"{self.key}-{number}": panel for number, panel in enumerate(self.panels, start=1)}

    @property
    def first(self) -> tuple[str, ...]:
        """Keys of the charts that the page shows before the reader chooses."""
        keys = tuple(self.places)
        return keys[:1] if self.is_chosen else keys


def figure(key: str, heading: str, caption: str, chart: Chart, frame: pd.DataFrame, **more: Any) -> Figure:
    """A figure of a single chart; `more` are further fields of `Figure`."""
    return Figure(key, heading, caption, (Panel("", chart),), frame, **more)


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, paragraphs of plain text, figures, tables, in this order."""

    title: str
    prose: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def anchor(self) -> str:
        """The title as the name of a place on the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"


@dataclass(frozen=True)
class Document:
    """A page of nothing but sections; its file is NAME.html."""

    name: str
    title: str
    run_name: str
    notes: tuple[str, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class ReportContent:
    """What a report shows. What a frame or a summary does not hold is left out of the page.

    per_era: columns model, era (int), date (datetime.date or None), metric, value; any number of models and metrics.
    summary: model → metric → eras, effective_eras, mean, std, sharpe, max_drawdown, positive_share, best_era,
        worst_era, interval ([low, high] or None), confidence and further measures; a value may be None. `last_N` and
        `folds` (fold → summary) hold the same measures over a part of the eras.
    folds: None, and quality: None: a report of several runs, which tells neither.
    quality: columns check, count, detail.
    comparison: columns metric, model, other, eras, mean (model less other over the eras that both have), low, high
        (null without an interval) and, if known, better_share; each pair of models once.
    predictions: columns model, low, high, rows: out-of-fold predictions counted in bins.
    sections: shown in this order between the comparison of models and the folds.
    """

    title: str
    run_name: str
    notes: tuple[str, ...]
    per_era: pd.DataFrame
    summary: Summary
    folds: Sequence[Fold] | None
    era_dates: Dates
    quality: pd.DataFrame | None
    facts: Mapping[str, str]
    comparison: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["metric", "model", "other", "eras", "mean", "low", "high"])
    )
    predictions: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["model", "low", "high", "rows"]))
    sections: tuple[Section, ...] = ()
