"""The only builder of a SparkSession."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from eraflow import environment
from eraflow.errors import InputError

STOPPING = 15.0  # seconds in which Spark, and then its Java, have to stop


def session(name: str = "eraflow") -> SparkSession:
    """The active session (Databricks, a notebook, spark-submit), or a new one from spark-submit's configuration.

    Raises InputError that says what to type where the machine lacks something.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return _settled(active)
    missing = environment.missing()
    if missing:
        raise InputError(" ".join(missing))
    if not os.environ.get("SPARK_HOME"):
        # Plain Python has not read spark-env.sh: workers of another Python than the driver's are refused.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = SparkSession.builder.appName(name).getOrCreate()
    if "io.delta" not in (spark.conf.get("spark.sql.extensions", "") or ""):
        spark.stop()
        raise InputError(
            "This Spark was started without eraflow's settings: add --properties-file conf/spark-local.conf "
            f"to spark-submit, or {environment.Machine.here().set_up} once."
        )
    spark.sparkContext.setLogLevel("ERROR")
    _settled(spark)
    _start_a_worker(spark)
    return spark


def _start_a_worker(spark: SparkSession) -> None:
    """Has Spark start a Python worker, whose imports (`workers`) take as long as the driver's first plans.

    The plan is made here, since it imports much, and not in the thread: where two threads import at once, Python 3.11
    can stop for ever, each of them with a lock of importlib that the other waits for (seen on a busy machine).
    """
    row = spark.range(0, 1, 1, 1).mapInArrow(lambda batches: batches, "id long")

    def compute() -> None:
        with suppress(Exception):  # the session may be stopped before
            row.collect()

    Thread(target=compute, daemon=True).start()


def _settled(spark: SparkSession) -> SparkSession:
    """What results depend on, whoever started the session."""
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.ansi.enabled", "false")  # a division by zero is null, as the features say
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    # A task that writes a table by years keeps a file open for each, where it would sort its wide rows once more.
    spark.conf.set("spark.sql.maxConcurrentOutputFileWriters", "200")
    # The JVM never compiles a method of more bytecode than this; the rows of many features ran in its interpreter.
    spark.conf.set("spark.sql.codegen.hugeMethodLimit", "8000")
    # A version that replaces nothing by nothing still says what it was made from.
    spark.conf.set("spark.databricks.delta.skipRecordingEmptyCommits", "false")
    return spark


def end_session(code: int) -> None:
    """Stops the active session and, where spark-submit started this process, its JVM, which then ends with the code.

    Each fit of SynapseML's LightGBM leaves an idle thread that is no daemon, and a task that native code holds does not
    end either. So what does not stop by itself in time is ended.
    """
    with suppress(Py4JError, OSError):  # Java may be gone, or be going since a Ctrl-C
        active = SparkSession.getActiveSession()
        if active is None:
            return
        jvm: Any = active.sparkContext._jvm
        on_this_machine = _is_ours(active)
        if on_this_machine:  # what breaks off in there is no news
            jvm.java.lang.System.setErr(jvm.java.io.PrintStream(jvm.java.io.OutputStream.nullOutputStream()))
        _at_most(STOPPING, active.stop)
        if on_this_machine:  # a cluster's master would take it for a failure, and ends its JVM itself
            _at_most(STOPPING, lambda: jvm.java.lang.System.exit(code))
            jvm.java.lang.Runtime.getRuntime().halt(code)


def _is_ours(spark: SparkSession) -> bool:
    """Whether Java's process was started for this job on this machine."""
    return (
        "DATABRICKS_RUNTIME_VERSION" not in os.environ
        and spark.conf.get("spark.submit.deployMode", "client") == "client"
    )


def _at_most(seconds: float, call: Callable[[], object]) -> None:
    """Waits for the call no longer than that."""

    def made() -> None:
        with suppress(Py4JError, OSError):  # the end of a JVM is not answered, and asked again of one that has gone
            call()

    thread = Thread(target=made, daemon=True)
    thread.start()
    thread.join(seconds)


@contextmanager
def javas_output(spark: SparkSession) -> Iterator[Callable[[Path], None]]:
    """A function that sends what Java, its logs and Spark's Python workers print to the end of a file, until it ends.

    Native code prints past Java: what LightGBM has to say is silenced where it is called. A platform's own Java keeps
    its output.
    """
    if not _is_ours(spark):
        yield lambda path: None
        return
    jvm: Any = spark.sparkContext._jvm
    system = jvm.java.lang.System
    out, err = system.out, system.err

    def into(path: Path) -> None:
        stream = jvm.java.io.PrintStream(jvm.java.io.FileOutputStream(str(path), True), True)
        system.setOut(stream)
        system.setErr(stream)

    try:
        yield into
    finally:
        with suppress(Py4JError, OSError):
            system.setOut(out)
            system.setErr(err)


def slots(spark: SparkSession) -> int:
    """Tasks that can run at once."""
    parallelism = spark.sparkContext.defaultParallelism
    cores, executors = spark.sparkContext.getConf().get("spark.executor.cores"), _executors(spark)
    # A cluster of one core calls itself two, and tasks that wait for each other would wait for ever.
    return min(parallelism, int(cores) * executors) if cores and executors else parallelism


def threads(spark: SparkSession) -> int:
    """Threads that native code may use in one executor: as many as tasks run in it at once."""
    return max(1, slots(spark) // max(1, _executors(spark)))


def _executors(spark: SparkSession) -> int:
    """Executors beside the driver; none where all runs in it, on one machine."""
    context: Any = spark.sparkContext._jsc
    return int(context.sc().getExecutorMemoryStatus().size()) - 1  # the driver is counted


@contextmanager
def fixed_partitions(spark: SparkSession) -> Iterator[None]:
    """Partitions that are the same whenever a table is read: a fit counts them first and reads them again.

    Adaptive execution could change them in between, and pieces of files, all of one length, would have no fixed order.
    """
    settings = {"spark.sql.adaptive.enabled": "false", "spark.sql.files.maxPartitionBytes": str(1 << 40)}
    before = {key: spark.conf.get(key) or "" for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)


def local_path(path: str, key: str) -> Path:
    """A folder on this machine, for what is written beside tables; `key` is where the config names it."""
    if "://" in path and not path.startswith("file://"):
        raise InputError(f"{key}: {path} is no folder of this machine; name one, or a mounted path of the store.")
    return Path(path.removeprefix("file://"))
