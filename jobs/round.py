"""Play the open round: bring its live files, predict, check, and with --send send; safe to call every few minutes.

Exit codes: 0 done, 1 try again, 2 bad config, 3 nothing to do, 4 too late, 5 blocked. See docs/rounds.md.
"""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.live_round import live_round

OPTIONS = (
    Option("--send", "send", "", "send what passes its checks; without it they are only made", is_switch=True),
    Option("--slots", "slots", "NAME", "some of the slots in submit.slots (default: all)", many=True),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", live_round, options=OPTIONS, lazily=True))
