"""Runs spark-submit on a standalone Spark cluster of this machine that lives as long as it does.

    python benchmarks/_cluster.py WORKERS HEAP WORDS...

starts a master and WORKERS workers of one core and one executor with HEAP each, and submits WORDS to them. All of it is
in one process tree, so that `_measure.py` counts the memory of the whole cluster.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack

ADDRESS = "127.0.0.1"


def main(workers: int, heap: str, *command: str) -> int:
    with ExitStack() as stack:
        folder, port = stack.enter_context(tempfile.TemporaryDirectory()), free_port()
        url = f"spark://{ADDRESS}:{port}"
        start(stack, "master.Master", "--port", str(port))
        for _ in range(workers):
            start(stack, "worker.Worker", "--cores", "1", "--memory", heap, "--work-dir", folder, url)
        settings = {
            "executor.memory": heap,
            "executor.cores": "1",
            "driver.host": ADDRESS,
            "cores.max": str(workers),
            "scheduler.minRegisteredResourcesRatio": "1.0",  # the first job waits until every executor is there
        }
        words = [*(word for key, value in settings.items() for word in ("--conf", f"spark.{key}={value}")), *command]
        return subprocess.call(["spark-submit", "--properties-file", "conf/spark-local.conf", "--master", url, *words])


def start(stack: ExitStack, role: str, *options: str) -> None:
    """Starts a part of the cluster, which the stack ends."""
    words = ["--host", ADDRESS, "--webui-port", "0", *options]
    process = subprocess.Popen(["spark-class", f"org.apache.spark.deploy.{role}", *words])
    stack.callback(process.wait)
    stack.callback(process.terminate)


def free_port() -> int:
    with socket.socket() as place:
        place.bind((ADDRESS, 0))
        return int(place.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), *sys.argv[2:]))
