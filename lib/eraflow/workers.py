"""The process that Spark forks its Python workers from, with what their tasks import already in it.

`conf/spark-local.conf` names it as `spark.python.daemon.module`. By Spark's own each worker would import pandas, scipy
and LightGBM for itself: seconds of processor time and 100 MB for each. Forked ones share both.
"""

from __future__ import annotations

import gc
import sys
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import Any
from zipimport import zipimporter

# What tasks of the main job come from; anything else they import when they need it.
MODULES = (
    "eraflow.sources.price_files",
    "eraflow.sources.prices",
    "eraflow.sources.lives",
    "eraflow.sources.sessions",
    "eraflow.sources.updates",
    "eraflow.features.training",
    "eraflow.features.kernels.tables",
    "eraflow.models.predicting",
    "eraflow.models.lightgbm_alone",
    "eraflow.scoring.worker",
    "eraflow.scoring.tranches",
)


def main() -> None:
    """Imports, and then does as Spark's own `pyspark.daemon` does."""
    for name in MODULES:
        # What lacks or fails here does so again, with its cause, in the tasks that need it; and Spark reads the port on
        # the standard output, so that no import may print there.
        with suppress(Exception), redirect_stdout(sys.stderr):
            import_module(name)
    daemon: Any = import_module("pyspark.daemon")
    keep_directories_of_zips()
    gc.freeze()  # a collection in a worker would write to pages that all share
    daemon.manager()


def keep_directories_of_zips() -> None:
    """Zips and jars on the path are read once in this process, and not again before each task.

    Spark has Python forget what its paths hold before a task, since files may have been added: new ones still are
    found, each by a new importer. But since 3.10 Python then reads the directory of every zip anew, by Python's code
    (CPython issue 103200): .12 s a task or more, most of it for the jar of Spark's core, which is on the path of
    workers. Spark 3.5 does not ask first whether files were added (SPARK-54744).
    """
    setattr(zipimporter, "invalidate_caches", lambda _: None)  # noqa: B010 (mypy refuses an assignment)


if __name__ == "__main__":
    main()
