"""Check the predictions of the open round, slot by slot, and with --send send them to Numerai; needs no Spark.

Nothing is sent without --send, slots in the configuration (submit.slots) and credentials: see docs/rounds.md.
Exit codes: 0 done, 1 try again, 2 bad config, 3 nothing to do, 4 too late, 5 blocked.
"""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.submitting import submit

OPTIONS = (
    Option("--send", "send", "", "send what passes its checks; without it they are only made", is_switch=True),
    Option("--slots", "slots", "NAME", "some of the slots in submit.slots (default: all)", many=True),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", submit, options=OPTIONS, lazily=True))
