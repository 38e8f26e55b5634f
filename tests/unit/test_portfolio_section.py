"""The strategy view on the page."""

import dataclasses

import pandas as pd
from tests.unit.test_reporting import a_report, text_of

from eraflow.reporting import Page, strategy_section

COLUMNS = [
    "model",
    "cost_bp",
    "annual_return",
    "annual_volatility",
    "sharpe",
    "max_drawdown",
    "annual_turnover",
    "days",
]


def test_what_portfolios_would_have_earned_is_told_net_of_costs() -> None:
    rows = [("gbm", 0, 0.12, 0.15, 0.8, 0.2, 7.5, 2500), ("gbm", 5, 0.05, 0.15, float("nan"), 0.31, 7.5, 2500)]
    section = strategy_section(pd.DataFrame(rows, columns=COLUMNS))

    words = text_of(Page(dataclasses.replace(a_report(models=("gbm",)), sections=(section,))).html())

    assert "Strategy From two days after an era's date" in words
    assert "gbm 0 bp 12.0 % 15.0 % 0.80 20.0 % 7.5" in words
    assert "gbm 5 bp 5.0 % 15.0 %" in words
    assert "Days: gbm 2,500." in words


def test_without_positions_there_is_no_table() -> None:
    assert strategy_section(pd.DataFrame(columns=COLUMNS)).tables == ()
