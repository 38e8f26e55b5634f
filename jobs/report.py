"""Compare finished runs, or score predictions that eraflow did not make against a run's targets.

A holdout is opened only here. Writes the leaderboard, paired differences and scores below <run.dir>/reports/.
"""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.report import report

OPTIONS = (
    Option("--runs", "runs", "NAME", "finished runs below run.dir; their models are compared", many=True),
    Option(
        "--predictions", "predictions", "FILE", "parquet or CSV of id[, era], prediction; scored like the run's own"
    ),
    Option("--open-holdout", "holdout", "NAME", "score the eras that run NAME has held back; counted in its folder"),
    Option("--smooth", "smooth", "", "of Signals: score the submission mixed by submit.smooth, too", is_switch=True),
    Option("--metric", "metric", "METRIC", "what models are ranked by (default: numerai_corr)"),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", report, options=OPTIONS))
