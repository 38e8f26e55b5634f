"""Frames, then charts, then the one page that shows a run."""

from eraflow.reporting.content import Document, Figure, Group, Panel, ReportContent, Section, Table, figure
from eraflow.reporting.exposures import exposures_section
from eraflow.reporting.frames import Fold
from eraflow.reporting.leaderboard import leaderboard_section
from eraflow.reporting.networks import feature_graphs_section, network_section
from eraflow.reporting.page import Page
from eraflow.reporting.portfolio import strategy_section
from eraflow.reporting.search import best_trial, search_section
from eraflow.reporting.selection import selection_section
from eraflow.reporting.times import times_section

__all__ = [
    "Document",
    "Figure",
    "Fold",
    "Group",
    "Page",
    "Panel",
    "ReportContent",
    "Section",
    "Table",
    "best_trial",
    "exposures_section",
    "feature_graphs_section",
    "figure",
    "leaderboard_section",
    "network_section",
    "search_section",
    "selection_section",
    "strategy_section",
    "times_section",
]
