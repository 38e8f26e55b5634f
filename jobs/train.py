"""Train and validate a model era by era, score it, predict the newest date and write a report.

Builds the tables that it needs if they are missing or stale. A stopped run goes on from its last finished fold.
"""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.train import train

OPTIONS = (
    Option(
        "--repeat", "repeat", "NAME", "finished run NAME below run.dir again, as NAME-again: its settings and tables"
    ),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", train, options=OPTIONS))
