"""Train and validate a model era by era, score it, predict the newest date and write a report.

Builds the tables it needs if they are missing or stale. A run that was stopped goes on from its last finished fold.
"""

from eraflow.cli import job
from eraflow.pipeline.train import train


def work(spark, config, progress):
    result = train(spark, config, progress)
    head = (f"{result.folder} is finished already; nothing was done.",) if result.was_finished else ()
    return (*head, *result.lines)


if __name__ == "__main__":
    raise SystemExit(job(__doc__, work))
