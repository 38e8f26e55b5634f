"""Frames, then charts, then the one page that shows a run."""

from eraflow.reporting.content import Figure, Group, Panel, ReportContent, Section, Table, figure
from eraflow.reporting.frames import Fold
from eraflow.reporting.page import files, render
from eraflow.reporting.portfolio import strategy_section
from eraflow.reporting.search import best_trial, search_section
from eraflow.reporting.selection import selection_section

__all__ = [
    "Figure",
    "Fold",
    "Group",
    "Panel",
    "ReportContent",
    "Section",
    "Table",
    "best_trial",
    "figure",
    "files",
    "render",
    "search_section",
    "selection_section",
    "strategy_section",
]
