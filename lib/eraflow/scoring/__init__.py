"""How well predictions did, era by era, and what the eras say together.

Spark scores, all models of an era at once (`spark`, `worker`, `metrics`, `era`); what comes back grows with eras, not
with rows, and is summarised in pandas (`summary`, `intervals`).
"""

from eraflow.scoring.era import EraRows, filled
from eraflow.scoring.intervals import CONFIDENCE, MIN_EFFECTIVE_ERAS, mean_interval
from eraflow.scoring.metrics import METRICS, Metric, metric_of, numerai_corr, pearson, score_era, spearman
from eraflow.scoring.references import FeatureSet, References
from eraflow.scoring.spark import available, collected, score_eras, unscored_eras
from eraflow.scoring.summary import Payout, largest_exposures, max_drawdown, per_era, summarise, with_payout

__all__ = [
    "CONFIDENCE",
    "METRICS",
    "MIN_EFFECTIVE_ERAS",
    "EraRows",
    "FeatureSet",
    "Metric",
    "Payout",
    "References",
    "available",
    "collected",
    "filled",
    "largest_exposures",
    "max_drawdown",
    "mean_interval",
    "metric_of",
    "numerai_corr",
    "pearson",
    "per_era",
    "score_era",
    "score_eras",
    "spearman",
    "summarise",
    "unscored_eras",
    "with_payout",
]
