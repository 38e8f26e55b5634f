"""Frames, then charts, then the one page that shows a run."""

from eraflow.reporting.charts import Fold
from eraflow.reporting.page import ReportContent, render

__all__ = ["Fold", "ReportContent", "render"]
