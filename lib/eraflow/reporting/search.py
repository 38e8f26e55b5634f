"""The search for a model's settings, as a section of the page."""

import json

import pandas as pd

from eraflow.reporting.content import Cell, Group, Section, Table
from eraflow.reporting.text import number

_HEADS = ("Training part", "Trials", "Pruned", "Refused", "Best objective", "Its settings")
_TEXTS = ("Training part", "Its settings")


def search_section(model: str, trials: pd.DataFrame) -> Section:
    """What was tried in each training part and what was best. `trials`: part, trial, state, value, settings (JSON)."""
    prose = (
        f"The settings of {model} were searched anew in each training part, by purged folds inside it: the eras that a "
        f"fold is scored on had no say in its own. All {len(trials)} trials count where runs are compared. The best "
        "objective is that of inner folds, and of the best of many trials, so it is too good.",
    )
    rows = tuple(_row(str(part), tried) for part, tried in trials.groupby("part", sort=True))
    heads = tuple(Cell(head, figure=head not in _TEXTS) for head in _HEADS)
    return Section("Search", prose, tables=(Table("Search", heads, (Group(rows),), "search_trials.csv holds all."),))


def best_trial(trials: pd.DataFrame) -> pd.Series | None:
    """The first of the complete trials that have the highest value; None where every trial was refused."""
    complete = trials[trials["state"] == "complete"].sort_values("value", ascending=False, kind="stable")
    return complete.iloc[0] if len(complete) else None


def _row(part: str, trials: pd.DataFrame) -> tuple[Cell, ...]:
    best = best_trial(trials)
    value = None if best is None else float(best["value"])
    settings = (
        "" if best is None else ", ".join(f"{name} {chosen}" for name, chosen in json.loads(best["settings"]).items())
    )
    counts = [len(trials), *(int((trials["state"] == state).sum()) for state in ("pruned", "refused"))]
    return (
        Cell(part, figure=False),
        *(Cell(str(count), sort=float(count)) for count in counts),
        Cell("none" if value is None else number(value, 4), sort=value),
        Cell(settings, figure=False),
    )
