"""The leaderboard of models, as a section of the page."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from eraflow.reporting.content import Cell, Group, Section, Table
from eraflow.reporting.text import MISSING, count_text, number
from eraflow.scoring import CONFIDENCE

_NOTE = (
    "Above 0: the probability that the Sharpe is above 0 although it may be the best of so many trials (deflated "
    "Sharpe ratio). Sharpe is mean over std, per era."
)


def leaderboard_section(board: pd.DataFrame, metric: str, trials: int, overfitting: float | None) -> Section:
    """Models by their mean, with what the best of many trials is worth.

    board: model, eras, mean, low, high, sharpe, deflated, in the order in which they are shown.
    """
    names = ("Mean", f"{100 * CONFIDENCE:g} % interval", "Sharpe", "Above 0", "Eras")
    heads = (Cell("Model", figure=False), *map(Cell, names))
    counted = f"{count_text(trials)} {'model has' if trials == 1 else 'models have'} been scored by finished runs"
    chance = (
        "Too few models or eras to tell whether the best is overfitted."
        if overfitting is None
        else f"The probability that the best model here is overfitted is {number(overfitting, 2)}."
    )
    rows = tuple(map(_row, board.to_dict(orient="records")))
    prose = (f"By mean {metric}. {counted}, each of them a trial. {chance}",)
    return Section("Leaderboard", prose, (), (Table("Leaderboard", heads, (Group(rows),), _NOTE),))


def _row(row: Mapping[Hashable, Any]) -> tuple[Cell, ...]:
    interval = MISSING if pd.isna(row["low"]) else f"{number(row['low'])} to {number(row['high'])}"
    return (
        Cell(str(row["model"]), figure=False),
        Cell(number(row["mean"]), sort=_order(row["mean"])),
        Cell(interval, sort=_order(row["low"])),
        Cell(number(row["sharpe"], 2), sort=_order(row["sharpe"])),
        Cell(number(row["deflated"], 2), sort=_order(row["deflated"])),
        Cell(count_text(row["eras"]), sort=row["eras"]),
    )


def _order(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
