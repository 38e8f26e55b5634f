"""The retraining job, whose process the kernel ends at a point: `killed_retrain.py POINT [--set ...]`.

With POINT as `POINT-without-spark` no Spark is started, which is enough where all that is to be trained is there.
`test_retrain.py` runs it.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from eraflow.cli import job, leave
from eraflow.pipeline.retraining import config_of_champion, retrain

WITHOUT_SPARK = "-without-spark"


def work(start: Callable[[], Any], config: Any, progress: Any, point: str) -> Any:
    def at(passed: str) -> None:
        if passed == point.removesuffix(WITHOUT_SPARK):
            os.kill(os.getpid(), signal.SIGKILL)

    return retrain((lambda: None) if point.endswith(WITHOUT_SPARK) else start, config, progress, at=at)


if __name__ == "__main__":
    leave(job(__doc__ or "", partial(work, point=sys.argv[1]), sys.argv[2:], read=config_of_champion, lazily=True))
