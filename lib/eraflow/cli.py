"""What every job shares: arguments, the session, messages and exit codes."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from pyspark.sql import SparkSession

from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.progress import Progress, shown
from eraflow.session import session

DONE, FAILED, BAD_INPUT = 0, 1, 2

Work = Callable[[SparkSession, Config, Progress], Sequence[str]]


def job(description: str, work: Work, arguments: Sequence[str] | None = None) -> int:
    """Runs `work` and returns the exit code: 0 done, 2 bad config or input (one message, no trace), 1 anything else.

    The lines that `work` returns go to standard output; progress and messages go to standard error.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="overlay of conf/base.yml; repeatable, later ones win (default: conf/demo.yml)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="one setting by its dotted key; repeatable",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("py4j").setLevel(logging.ERROR)
    try:
        config = load(options.config, options.settings)
        with shown() as progress:
            progress.stage("starting Spark")
            lines = work(session(), config, progress)
    except InputError as error:
        print(f"eraflow: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("eraflow: interrupted; the same command goes on from the last finished fold.", file=sys.stderr)
        return FAILED
    print("\n".join(lines))
    return DONE
