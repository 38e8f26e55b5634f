"""Replay history with what was known at the time: never retrain, retrain on a schedule, retrain by the policy of conf.

Writes scores, refits, costs and report.html below <run.dir>/replays/<run.name>/. See docs/retrain.md.
"""

from eraflow.cli import job, leave
from eraflow.pipeline.replay import replay

if __name__ == "__main__":
    leave(job(__doc__ or "", replay))
