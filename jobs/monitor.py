"""Say of each slot whether it still works: scores against validation eras, live rows against what was learned.

Exit codes: 0 ok, 1 try again, 2 bad config, 3 nothing to do, 5 block, 6 warn, 7 retrain. See docs/monitor.md.
"""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.monitoring import config_with_slots, monitor

OPTIONS = (
    Option("--slots", "slots", "NAME", "some of the slots in submit.slots (default: all)", many=True),
    Option("--offline", "offline", "", "ask Numerai for no scores; those that are there are charted", is_switch=True),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", monitor, options=OPTIONS, read=config_with_slots))
