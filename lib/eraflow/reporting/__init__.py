"""Frames, then charts, then the one page that shows a run."""

from eraflow.reporting.content import Figure, Group, Panel, ReportContent, Section, Table, figure
from eraflow.reporting.exposures import exposures_section
from eraflow.reporting.frames import Fold
from eraflow.reporting.leaderboard import leaderboard_section
from eraflow.reporting.page import files, render
from eraflow.reporting.portfolio import strategy_section

__all__ = [
    "Figure",
    "Fold",
    "Group",
    "Panel",
    "ReportContent",
    "Section",
    "Table",
    "exposures_section",
    "figure",
    "files",
    "leaderboard_section",
    "render",
    "strategy_section",
]
