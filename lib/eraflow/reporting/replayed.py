"""What policies of retraining did in a replay, as a section of the page."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from eraflow.reporting.content import Cell, Group, Section, Table
from eraflow.reporting.text import MISSING, count_text, number

_COST = "Fits are models that the policy would have fitted; seconds are what they took when they were."


def replayed_section(costs: pd.DataFrame, changes: pd.DataFrame) -> Section:
    """What each policy cost, and each of its refits.

    costs: policy, what, fits, fit_seconds, refits, alarms, promotions. changes: policy, era, date (or None), recipe,
    why.
    """
    heads = (Cell("Policy", figure=False), *map(Cell, ("Refits", "On alarm", "Promotions", "Fits", "Seconds")))
    rows = tuple(map(_cost, costs.to_dict(orient="records")))
    cost = Table("Policies", heads, (Group(rows),), _COST)
    names = ("Era", "Date", "Recipe", "Why")
    groups = tuple(
        Group(tuple(map(_change, group.to_dict(orient="records"))), str(policy))
        for policy, group in changes.groupby("policy", sort=False)
    )
    when = Table("Refits", tuple(Cell(name, figure=name == "Era") for name in names), groups)
    prose = tuple(f"{row.policy}: {row.what}." for row in costs.itertuples(index=False))
    return Section("Policies", prose, (), (cost, when))


def _cost(row: Mapping[Hashable, Any]) -> tuple[Cell, ...]:
    counts = [Cell(count_text(row[name]), sort=row[name]) for name in ("refits", "alarms", "promotions", "fits")]
    seconds = float(row["fit_seconds"])
    return Cell(str(row["policy"]), figure=False), *counts, Cell(number(seconds, 1), sort=seconds)


def _change(row: Mapping[Hashable, Any]) -> tuple[Cell, ...]:
    day = MISSING if pd.isna(row["date"]) else str(row["date"])
    words = (Cell(day, figure=False), Cell(str(row["recipe"]), figure=False), Cell(str(row["why"]), figure=False))
    return Cell(str(row["era"]), sort=row["era"]), *words
