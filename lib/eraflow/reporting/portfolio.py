"""The strategy view of a run with prices, as a section of the page."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from eraflow.reporting.content import Cell, Group, Section, Table
from eraflow.reporting.text import number, share

_HEADS = ("Model", "Cost", "Return a year", "Volatility a year", "Sharpe a year", "Max drawdown", "Turnover a year")
_PROSE = (
    "From two days after an era's date, what is predicted above the median is held against what is below it, each "
    "ticker inversely to its volatility, in overlapping tranches as long as the target, the whole scaled to 15 % a "
    "year by past volatility. Returns are added day by day. Borrowing, taxes and limits of size are left out."
)


def strategy_section(performance: pd.DataFrame) -> Section:
    """What portfolios of the predictions would have earned.

    performance: model, cost_bp (basis points of what is traded), annual_return, annual_volatility, sharpe,
        max_drawdown, annual_turnover, days; rows in the order in which they are shown.
    """
    models = performance.groupby("model", sort=False)
    groups = [Group(tuple(map(_row, rows.to_dict(orient="records"))), str(model)) for model, rows in models]
    days = ", ".join(f"{model} {count:,}" for model, count in models["days"].max().items())
    heads = tuple(Cell(head, figure=head != "Model") for head in _HEADS)
    note = f"Cost in basis points of what is traded. Days: {days}. No interval: a Sharpe of few years says little."
    return Section("Strategy", (_PROSE,), tables=(Table("Strategy", heads, tuple(groups), note),) if groups else ())


def _row(row: Mapping[Hashable, Any]) -> tuple[Cell, ...]:
    return (
        Cell(str(row["model"]), figure=False),
        Cell(f"{row['cost_bp']:g} bp", sort=float(row["cost_bp"])),
        *(Cell(share(row[key]), sort=_order(row[key])) for key in ("annual_return", "annual_volatility")),
        Cell(number(row["sharpe"], 2), sort=_order(row["sharpe"])),
        Cell(share(row["max_drawdown"]), sort=_order(row["max_drawdown"])),
        Cell(number(row["annual_turnover"], 1), sort=_order(row["annual_turnover"])),
    )


def _order(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
