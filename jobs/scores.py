"""Fetch Numerai's scores of resolved rounds into <submit.dir>/scores.csv, and hold ours against them; needs no key.

Exit codes: 0 done, 1 try again, 2 bad config, 3 nothing was sent yet. See docs/rounds.md.
"""

from eraflow.cli import job, leave
from eraflow.pipeline.submitting import scores

if __name__ == "__main__":
    leave(job(__doc__ or "", scores, lazily=True))
