"""Models of finished runs and of others beside each other: tables, a page, and lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow import scoring
from eraflow.errors import InputError
from eraflow.pipeline.finished import FinishedRun
from eraflow.reporting import Page, ReportContent, exposures_section, leaderboard_section, strategy_section
from eraflow.scoring.compare import differences, leaderboard, overfitting_probability
from eraflow.whole_files import write_bytes, write_csv, write_json

MIXED = "These runs have different targets ({}); scores do not compare."


@dataclass(frozen=True)
class Comparison:
    """Scores that are held against each other by one metric; `tried` is how many models that choice was made among."""

    runs: Sequence[FinishedRun]
    scores: pd.DataFrame  # model, era, metric, value
    exposures: pd.DataFrame  # as `scoring.largest_exposures`
    strategy: pd.DataFrame  # what portfolios have earned, of models that were followed
    lacking: Sequence[str]  # what is missing among the scores, in sentences
    metric: str
    tried: int

    def __post_init__(self) -> None:
        """InputError where no model has the metric."""
        if self.metric not in set(self.scores["metric"]):
            raise InputError(f"--metric {self.metric}: there are {', '.join(sorted(set(self.scores['metric'])))}.")

    def write(self, out: Path) -> tuple[str, ...]:
        """Writes tables and page below `out`; returns the comparison as lines for a terminal."""
        out.mkdir(parents=True, exist_ok=True)
        write_csv(self.board, out / "leaderboard.csv")
        write_csv(self.apart, out / "differences.csv")
        write_csv(self.scores, out / "per_era.csv")
        if len(self.exposures):
            write_csv(self.exposures, out / "exposures.csv")
        if len(self.strategy):
            write_csv(self.strategy, out / "strategy.csv")
        write_json(out / "comparison.json", self.summary)
        for name, data in Page(self._page()).files():
            write_bytes(out / name, data)
        return (*self._lines(), *self.lacking, f"report: {out / 'report.html'}")

    @cached_property
    def overlap(self) -> int:
        return max(run.overlap for run in self.runs)

    @cached_property
    def board(self) -> pd.DataFrame:
        return leaderboard(self.scores, self.metric, self.overlap, self.tried)

    @cached_property
    def apart(self) -> pd.DataFrame:
        return differences(self.scores, self.metric, self.overlap)

    @cached_property
    def summary(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "runs": [run.name for run in self.runs],
            "targets": sorted({run.target for run in self.runs}),
            "overlap": self.overlap,
            "trials": max(self.tried, len(self.board)),
            "overfitting_probability": overfitting_probability(self.scores, self.metric, self.overlap),
            "lacking": list(self.lacking),
            "summary": scoring.summarise(self.scores, self.overlap),
        }

    @property
    def _warning(self) -> list[str]:
        targets = self.summary["targets"]
        return [MIXED.format(", ".join(targets))] if len(targets) > 1 else []

    def _page(self) -> ReportContent:
        summary = self.summary
        dates = {era: day for run in self.runs for era, day in run.dates.items()}
        days = pd.Series([dates.get(era) for era in self.scores["era"]], index=self.scores.index, dtype=object)
        ranked = leaderboard_section(self.board, self.metric, summary["trials"], summary["overfitting_probability"])
        followed = [strategy_section(self.strategy)] if len(self.strategy) else []
        return ReportContent(
            title="eraflow: finished runs compared",
            run_name=", ".join(summary["runs"]),
            notes=(*self._warning, *self.lacking),
            per_era=self.scores.assign(date=days),
            summary=summary["summary"],
            folds=None,
            era_dates=dates,
            quality=None,
            facts={"target": ", ".join(summary["targets"]), "labels overlap": f"{self.overlap} eras"},
            comparison=self.apart.assign(metric=self.metric),
            sections=(ranked, *followed, *exposures_section(self.exposures)),
        )

    def _lines(self) -> list[str]:
        tried, overfitting = self.summary["trials"], self.summary["overfitting_probability"]
        lines = [
            f"{row.model}: mean {row.mean:+.4f}{_span(row)}, Sharpe {row.sharpe:.2f} an era; above 0 after {tried} "
            f"trials with a probability of {row.deflated:.2f}; {row.eras} eras"
            for row in self.board.itertuples(index=False)
        ]
        lines += [
            f"{row.model} less {row.other}: {row.mean:+.4f}{_span(row)} over {row.eras} eras"
            for row in self.apart.itertuples(index=False)
        ]
        if overfitting is not None:
            lines.append(f"probability that the best of these is overfitted: {overfitting:.2f}")
        return [*lines, *self._warning]


def _span(row: Any) -> str:
    return "" if pd.isna(row.low) else f" ({row.low:+.4f} to {row.high:+.4f})"
