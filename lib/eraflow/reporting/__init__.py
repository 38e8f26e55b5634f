"""Frames, then charts, then the one page that shows a run."""

from eraflow.reporting.content import Figure, Group, Panel, ReportContent, Section, Table, figure
from eraflow.reporting.frames import Fold
from eraflow.reporting.networks import feature_graphs_section, network_section
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
    "feature_graphs_section",
    "figure",
    "files",
    "network_section",
    "render",
    "search_section",
    "selection_section",
    "strategy_section",
]
