"""The main job, in which a task is killed that LightGBM learns in: told to end only, which native code does not hear.

`test_killed_fit.py` submits it to a cluster.
"""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.spark.test_failures import killing

from eraflow.cli import job, leave
from eraflow.pipeline.train import train

LOADED = 15.0  # seconds after which a task has read its rows and learns
PATIENCE = 600.0


def work(spark: Any, config: Any, progress: Any) -> Sequence[str]:
    thread, _ = killing(spark, "LightGBM", after=LOADED, patience=PATIENCE, interrupt=False)

    def kill() -> None:
        thread.run()
        print(f"killed at {datetime.now():%Y-%m-%d %H:%M:%S}", flush=True)

    threading.Thread(target=kill, daemon=True).start()
    return train(spark, config, progress)


if __name__ == "__main__":
    leave(job(__doc__ or "", work))
