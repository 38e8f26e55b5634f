"""Real failures of Java, of native code and of workers: the job ends soon, with a line that says why and its log."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow import cli
from eraflow.config import load
from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.models.lightgbm import LightGbmModel

NAMES = ("value", "size", "momentum")
MINUTE = 60.0


def training(spark: SparkSession, rows_of_era: int, eras: int, files: int = 2) -> Training:
    """Rows with a target of five levels, the ids of each era in all of so many partitions."""
    rows = spark.range(0, rows_of_era * eras, 1, files)
    levels = [F.pmod(F.xxhash64("id", F.lit(place)), F.lit(5)).cast("tinyint") for place in range(len(NAMES))]
    table = rows.select(
        F.col("id").cast("string").alias("id"), (F.col("id") % eras + 1).cast("int").alias("era"),
        F.array(*levels).alias("features"), (levels[0].cast("float") / 4).alias("target"),
    )  # fmt: skip
    return Training(table, NAMES, "target", -1)


ENGINES = pytest.mark.parametrize("engine", ["native", "synapseml"])


def model(
    engine: str = "synapseml", objective: str = "regression", trees: int = 5, min_data_in_leaf: int = 20
) -> LightGbmModel:
    settings = {"trees": trees, "min_data_in_leaf": min_data_in_leaf, "objective": objective, "engine": engine}
    return LightGbmModel(
        load([], [f"models.lightgbm.{key}={value}" for key, value in settings.items()]).models["lightgbm"], 5
    )


@pytest.fixture
def ended(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Callable[[SparkSession], object]], tuple[int, str, str]]:
    """Of a job that does so much: the exit code, what it says at the end, and its log."""
    monkeypatch.chdir(tmp_path)

    def run(fault: Callable[[SparkSession], object]) -> tuple[int, str, str]:
        code = cli.job("", lambda session, *_: fault(session), [])
        logs = [*tmp_path.glob("var/log/*.txt")]
        printed = capsys.readouterr().err.splitlines()
        assert sum(line.startswith("eraflow: ") for line in printed) == 1
        assert not any(line.startswith(("Traceback", "\tat ")) for line in printed)
        return code, printed[-1], logs[0].read_text() if logs else ""

    return run


def raising(error: Exception) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def work(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            raise error
            yield frame

    return work


def out_of_memory(rows: DataFrame) -> Sequence[Any]:
    """More than any heap holds, in a task: 280 GB of text."""
    text = F.repeat(F.concat(F.lit("eraflow"), F.rand().cast("string")), 100_000)
    return rows.select(F.transform(F.sequence(F.lit(1), F.lit(400_000)), lambda _: text).alias("x")).toPandas()["x"]


def of_workers(rows: DataFrame, error: Exception) -> Sequence[Any]:
    return rows.mapInPandas(raising(error), "id bigint").collect()


def test_java_out_of_memory_is_told_and_the_same_job_goes_on(ended: Any, tmp_path: Path) -> None:
    def allocated(spark: SparkSession) -> list[str]:
        jvm: Any = spark.sparkContext._jvm
        return [jvm.java.nio.ByteBuffer.allocate(2**31 - 9) for _ in range(2)]

    code, line, log = ended(allocated)

    assert code == 1
    assert line.startswith(f"eraflow: java.lang.OutOfMemoryError: Java heap space ({tmp_path}/var/log/demo-")
    assert "at java.base/java.nio.ByteBuffer.allocate" in log
    assert cli.job("", lambda spark, *_: [str(spark.range(3).count())], []) == 0


def test_a_workers_exception_is_told_with_its_own_line(ended: Any) -> None:
    code, line, log = ended(lambda spark: of_workers(spark.range(4), ValueError("weights of era 7 are nan")))

    assert code == 1
    assert line.startswith("eraflow: ValueError: weights of era 7 are nan (")
    assert "test_failures.py" in log
    assert "in work" in log


def test_a_workers_input_error_is_the_users(ended: Any) -> None:
    code, line, log = ended(lambda spark: of_workers(spark.range(4), InputError("prices.csv: mend it.")))

    assert (code, line, log) == (2, "eraflow: prices.csv: mend it.", "")


def test_a_call_that_py4j_cannot_make_is_told(ended: Any) -> None:
    code, line, log = ended(lambda spark: spark.sparkContext._jsc.sc().fti())

    assert code == 1
    assert line.startswith("eraflow: py4j.Py4JException: Method fti([]) does not exist (")
    assert "py4j.protocol.Py4JError" in log


def test_an_era_that_lightgbm_cannot_rank_is_refused_before_it_trains(spark: SparkSession) -> None:
    with pytest.raises(InputError) as refused:
        model(objective="lambdarank").fit(training(spark, 10_100, 2), (1, 2))

    assert str(refused.value) == (
        "model: era 1 has 10100 rows with a known target, and LightGBM ranks no more than 10,000 against each other; "
        "lower sampling.rows, or choose objective=regression instead of lambdarank."
    )


@ENGINES
def test_a_native_refusal_in_a_task_is_the_line_and_the_next_fit_works(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, ended: Any, engine: str
) -> None:
    monkeypatch.setattr(LightGbmModel, "_refuse_large_eras", lambda *_: None)
    begun = time.monotonic()

    code, line, log = ended(lambda _: model(engine, "lambdarank").fit(training(spark, 10_100, 2), (1, 2)))

    assert time.monotonic() - begun < MINUTE
    assert code == 1
    refusal = "Number of rows 10100 exceeds upper limit of 10000 for a query"
    where = {"native": "lightgbm.basic.LightGBMError: ", "synapseml": "Booster call failed in LightGBM with error: "}
    assert line.startswith(f"eraflow: {where[engine]}{refusal} (")
    assert {"native": "lightgbm_alone.py", "synapseml": "LightGBMBooster"}[engine] in log
    assert "objective=lambdarank" in model(engine, "lambdarank").fit(training(spark, 2000, 2), (1, 2)).text


def killing(
    spark: SparkSession,
    stage_of: str,
    is_counted: bool = False,
    after: float = 0.0,
    patience: float = MINUTE,
    interrupt: bool = True,
) -> tuple[threading.Thread, list[int]]:
    """Kills the first task that runs in a stage of such a name, and notes it.

    With `is_counted` it waits until Spark's count of the stage's tasks shows it, which is refreshed now and then: by
    then short stages before a training are over. A fit in one task may be over, too. The task must have run for the
    seconds `after`; without `interrupt` it is told to end, and hears that only between steps of its own.
    """
    begun, killed = time.monotonic(), list[int]()

    def kill() -> None:
        context: Any = spark.sparkContext
        tracker, store = context.statusTracker(), context._jsc.sc().statusStore()
        while not killed and time.monotonic() - begun < patience:
            jobs = filter(None, map(tracker.getJobInfo, tracker.getActiveJobsIds()))  # some have ended meanwhile
            for stage in [stage for job in jobs for stage in job.stageIds]:
                found = tracker.getStageInfo(stage)
                if found and stage_of in found.name and (found.numActiveTasks or not is_counted):
                    tasks = store.taskList(stage, 0, 100)
                    listed = [tasks.apply(place) for place in range(tasks.size())]
                    running = [
                        task.taskId() for task in listed
                        if task.status() == "RUNNING" and time.time() - task.launchTime().getTime() / 1000 > after
                    ]  # fmt: skip
                    killed.extend(
                        one for one in running[:1] if context._jsc.sc().killTaskAttempt(one, interrupt, "by hand")
                    )
            time.sleep(0.01)

    return threading.Thread(target=kill), killed


def test_a_task_that_is_killed_in_a_fit_is_the_line_and_the_next_fit_works(spark: SparkSession, ended: Any) -> None:
    data, begun = training(spark, 2000, 30), time.monotonic()
    model().fit(data, (1, 2))  # what all fits of a process share is there
    thread, killed = killing(spark, "LightGBM", is_counted=True)
    thread.start()
    code, line, log = ended(lambda _: model(trees=500).fit(data, range(1, 31)))
    thread.join()

    assert killed
    assert time.monotonic() - begun < MINUTE
    assert code == 1
    assert line.startswith("eraflow: Spark has killed a task: by hand (")
    assert "LightGBM" in log
    assert "objective=regression" in model().fit(data, range(1, 31)).text


def test_a_task_that_is_killed_while_it_fits_alone_is_done_again(spark: SparkSession) -> None:
    data = training(spark, 2000, 30)
    thread, killed = killing(spark, "lightgbm_alone.py")
    thread.start()
    found = model("native", trees=1000).fit(data, range(1, 31))
    thread.join()

    assert killed
    assert found.text == model("native", trees=1000).fit(data, range(1, 31)).text
