"""What is kept of each round: rows of two tables that only ever grow, of what was live and of what it scored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eraflow.monitoring.drift import CORRELATION, LEVEL, MISSING, SPREAD, Reference, drifted
from eraflow.monitoring.profile import Profile
from eraflow.monitoring.streams import Kind

LIVE, LIVE_KEYS = "monitor_live", ("tournament", "slot", "date", "run", "prediction", "statistic", "subject")
LIVE_SCHEMA = (
    "tournament string, slot string, round int, date string, run string, prediction string, statistic string, "
    "subject string, value double"
)
SCORED, SCORED_KEYS = "monitor_scores", ("tournament", "slot", "round", "score", "version")
SCORED_SCHEMA = (
    "tournament string, slot string, round int, score string, version string, value double, percentile double, "
    "date string"
)
OURS = ", ours"  # after the name of a score that was made here, of the same file and target
NAMED = 5  # features of a round that are kept by name
WEEKLY = 5  # rounds a week
HORIZONS = ((20, (4, 5)), (60, (12, 13)))  # Numerai's days, and the weekly eras that share a label of so many
# What of a score's name at Numerai is, in validation, which metric; the first that both have is judged.
METRICS = (("corr", "numerai_corr"), ("alpha", "alpha"), ("mpc", "neutral_contribution"), ("mmc", "mmc"))


@dataclass(frozen=True)
class Sent:
    """A slot's prediction of one round: where it is from."""

    tournament: str
    slot: str
    round: int | None
    date: str
    run: str
    prediction: str

    @property
    def columns(self) -> dict[str, Any]:
        """Its columns in both tables."""
        return dict(vars(self))


def live_rows(
    sent: Sent, reference: Reference, live: Profile, rate: float, looks: Mapping[str, Any], others: Mapping[str, float]
) -> pd.DataFrame:
    """Rows of `monitor_live`: what the live rows and predictions of a round looked like.

    `looks` are spread and exposure of the predictions; `others` are rank correlations with others, churn, coverage and
    the like, by statistic and subject with a colon between.
    """
    moved = drifted(reference, live, rate)
    found: list[tuple[str, str, float]] = [("rows", "", float(live.rows))]
    worst = int(np.argmax(live.missing))
    found += [("missing_mean", "", float(live.missing.mean())),
              ("missing_most", reference.names[worst], float(live.missing[worst]))]  # fmt: skip
    shown = reference.values(live)
    for name in (LEVEL, SPREAD, CORRELATION):
        usual = reference.usual[name]
        apart = np.abs(shown[name] - usual.mean) / usual.deviation
        found.append((f"{name}_distance", "", float(np.nanmean(apart)) if np.isfinite(apart).any() else 0.0))
    for name in (MISSING, LEVEL, SPREAD, CORRELATION):
        found.append((f"drifted_{name}", "", float((moved["statistic"] == name).sum())))
    found.append(("drifted", "", float(moved["feature"].nunique())))
    first = moved.head(NAMED).to_dict(orient="records")
    found += [(f"moved_{row['statistic']}", str(row["feature"]), float(row["move"])) for row in first]
    for key in ("spread", "exposure", "exposure_rms"):
        if key in looks:
            subject = str(looks.get("most_exposed", "")) if key == "exposure" else ""
            found.append((f"prediction_{key}", subject, float(looks[key])))
    return _rows(sent, [*found, *_beside(others)])


def beside_rows(sent: Sent, others: Mapping[str, float]) -> pd.DataFrame:
    """Rows of `monitor_live`: what is known of a round beside its rows, as `others` of `live_rows`."""
    return _rows(sent, _beside(others))


def _beside(others: Mapping[str, float]) -> list[tuple[str, str, float]]:
    return [(*_named(name), float(value)) for name, value in others.items() if np.isfinite(value)]


def _rows(sent: Sent, found: list[tuple[str, str, float]]) -> pd.DataFrame:
    rows = pd.DataFrame(found, columns=["statistic", "subject", "value"])
    return rows.assign(**sent.columns)[[field.split()[0] for field in LIVE_SCHEMA.split(", ")]]


def _named(name: str) -> tuple[str, str]:
    statistic, _, subject = name.partition(":")
    return statistic, subject


def scored_rows(scores: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """Rows of `monitor_scores`: Numerai's resolved scores, the last day of each, and under a name of their own ours.

    `scores` and `compared` are the tables of `rounds.scores`; what is not resolved is left out. Ours are known later.
    """
    is_resolved = scores["resolved"].astype(str).str.lower().isin(("true", "1", "1.0"))
    final = scores[is_resolved & scores["value"].notna()].sort_values("day")
    final = final.drop_duplicates(["tournament", "slot", "round", "name", "version"], keep="last")
    rows = final.rename(columns={"name": "score"})
    ours = compared[["slot", "round", "name", "ours"]].merge(
        rows[["tournament", "slot", "round", "score", "date"]].drop_duplicates(["slot", "round", "score"]),
        left_on=["slot", "round", "name"], right_on=["slot", "round", "score"], how="inner",
    )  # fmt: skip
    ours = ours.assign(score=ours["score"].astype(str) + OURS, version="", value=ours["ours"], percentile=np.nan)
    columns = [field.split()[0] for field in SCORED_SCHEMA.split(", ")]
    both = pd.concat([part[columns] for part in (rows, ours) if len(part)] or [rows[columns]], ignore_index=True)
    both["round"], both["version"] = both["round"].astype(int), both["version"].fillna("").astype(str)
    both["date"] = both["date"].astype(str)
    both[["value", "percentile"]] = both[["value", "percentile"]].astype(float)
    return both


def stream(rows: pd.DataFrame) -> pd.DataFrame:
    """`round, date, value` of one score of one slot, every round from the first to the last; NaN where there is none.

    `rows` are of `monitor_scores`; where a score has several versions the last by name counts.
    """
    newest = rows.sort_values(["round", "version"]).drop_duplicates("round", keep="last").set_index("round")
    every = range(int(newest.index.min()), int(newest.index.max()) + 1)
    return newest[["date", "value"]].reindex(every).rename_axis("round").reset_index()


def metric_of(score: str) -> str | None:
    """The metric of validation that a score of Numerai's is; None where there is none."""
    return next((metric for part, metric in METRICS if _matched(part, score)), None)


def judged_score(scores: list[str], metrics: set[str], horizon: int) -> str | None:
    """The score by which a slot is judged: the first of METRICS that both Numerai and validation tell.

    `horizon` are the days of the validated target: a score of another target is none of validation's. Of several, one
    that names these days goes before one that names none, and the last by name.
    """
    for part, metric in METRICS:
        found = [(days, score) for score in scores if (days := _days(part, score)) in (horizon, 0)]
        if found and metric in metrics:
            return max(found)[1]
    return None


def kind_of(score: str, horizon: int) -> Kind:
    """How a score's rounds overlap: by the days in its name (corr20, corr20V2), else by those of the run's target."""
    days = next((found for part, _ in METRICS if (found := _days(part, score))), horizon)
    return Kind(days, WEEKLY)


def horizon_of(target: str, weeks: int) -> int:
    """The days of a target by its name (target_NAME_20), else of Numerai's whose label spans so many weekly eras."""
    days = target.rpartition("_")[2]
    if days.isdigit() and int(days):
        return int(days)
    return next((horizon for horizon, spanned in HORIZONS if weeks in spanned), weeks * WEEKLY)


def _days(part: str, score: str) -> int | None:
    """The days that the name of such a score tells, 0 where it tells none; None where it is another score."""
    found = _matched(part, score)
    return int(found[1] or 0) if found else None


def _matched(part: str, score: str) -> re.Match[str] | None:
    """`canon_corr`, `corr20`, `CORR_20V2` are all `corr`; `corrWMetamodel` is not."""
    return re.search(rf"(?:^|_){part}_?(\d+)?(?:v\d+)?$", score.strip(), re.IGNORECASE)
