"""Runs spark-submit on a standalone Spark cluster of this machine that lives as long as it does.

    python benchmarks/_cluster.py WORKERS HEAP WORDS...

starts a master and WORKERS workers of one core and one executor with HEAP each, and submits WORDS to them. All of it is
in one process tree, so that `_measure.py` counts the memory of the whole cluster.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ADDRESS = "127.0.0.1"
PATIENCE = 60  # seconds for a cluster to come up


def main(workers: int, heap: str, *command: str) -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        master = started(stack, folder / "master", "master.Master", "--port", "0", "--webui-port", "0")
        url = found(master, "Starting Spark master at ")
        for number in range(workers):
            place = folder / f"worker-{number}"
            options = ("--cores", "1", "--memory", heap, "--webui-port", "0", "--work-dir", str(place), url)
            found(started(stack, place.with_suffix(".log"), "worker.Worker", *options), "Successfully registered with ")
        settings = {
            "executor.memory": heap,
            "executor.cores": "1",
            "driver.host": ADDRESS,
            "scheduler.minRegisteredResourcesRatio": "1.0",  # the first job finds every executor there
        }
        words = [*(word for key, value in settings.items() for word in ("--conf", f"spark.{key}={value}")), *command]
        return subprocess.call(["spark-submit", "--properties-file", "conf/spark-local.conf", "--master", url, *words])


def started(stack: ExitStack, log: Path, role: str, *options: str) -> Path:
    """Starts a part of the cluster, which the stack ends; returns where it writes."""
    out = stack.enter_context(log.open("w"))
    command = ["spark-class", f"org.apache.spark.deploy.{role}", "--host", ADDRESS, *options]
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return log


def found(log: Path, mark: str) -> str:
    """The word after `mark`, once the log has it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            if mark in line:
                return line.partition(mark)[2].split()[0]
        time.sleep(0.2)
    raise SystemExit(f"the cluster did not come up:\n{log.read_text()}")


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), *sys.argv[2:]))
