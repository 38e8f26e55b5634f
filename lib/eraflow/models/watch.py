"""A watch over a fit whose tasks wait for each other: where one of them is lost, the others would wait for ever.

SynapseML's tasks meet once, at a port of the driver that is closed afterwards, and load one data set, which the first
of them makes. What a task was that has failed, or that Spark has killed and starts again, its follower cannot be; and a
task without a slot never comes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from py4j.protocol import Py4JError
from pyspark import InheritableThread
from pyspark.sql import SparkSession

from eraflow.causes import line_of
from eraflow.errors import FitFailedError

Model = TypeVar("Model")

LOOK = 1.0  # seconds between looks at the tasks
GRACE = 10.0  # seconds in which the fit may tell of a lost task itself, or get along with the one that follows it
PATIENCE = 30.0  # seconds that tasks may wait for one that has no slot
ENDING = 10.0  # seconds in which a fit that is cancelled has to end
MEETING = "LightGBMBase"  # in the name of the stage whose tasks meet
MOST_TASKS = 10_000  # of a stage that are looked at


@dataclass(frozen=True)
class _Stage:
    """The stage whose tasks meet: how many there are, for how many there is no slot, and the first that was lost."""

    tasks: int
    waiting: int
    lost: str | None


def guarded(spark: SparkSession, fit: Callable[[], Model]) -> Model:
    """What `fit` returns. Raises FitFailedError within a minute of the loss of a task, or of a wait for a slot.

    The fit runs in a thread of its own, so that it can be left behind where it waits for something that never comes.
    What it raises itself is raised, with the line of the first lost task where there is one: later ones only say that
    it is gone.
    """
    group, found, raised = f"fit-{uuid.uuid4()}", list[Model](), list[Exception]()

    def run() -> None:
        spark.sparkContext.setJobGroup(group, "a fit whose tasks wait for each other", interruptOnCancel=True)
        try:
            found.append(fit())
        except Exception as error:
            raised.append(error)

    thread = InheritableThread(run, daemon=True)
    thread.start()
    try:
        fault = _fault(spark, group, thread)
    finally:
        if thread.is_alive():
            spark.sparkContext.cancelJobGroup(group)
            thread.join(ENDING)
    if found:
        return found[0]
    stage = _meeting(spark, group)
    fault = (stage.lost if stage else None) or fault
    cause = raised[0] if raised else None
    if fault is None and cause is not None:
        raise cause
    raise FitFailedError(fault) from cause


def _fault(spark: SparkSession, group: str, thread: InheritableThread) -> str | None:
    """Waits until the fit ends or cannot end any more; returns what is wrong in the second case."""
    waits_since, lost_since = None, None
    while thread.is_alive():
        thread.join(LOOK)
        stage = _meeting(spark, group)
        now = time.monotonic()
        lost_since = (lost_since or now) if stage and stage.lost else None
        waits_since = (waits_since or now) if stage and stage.waiting else None
        if stage and lost_since and now - lost_since > GRACE:
            return stage.lost
        if stage and waits_since and now - waits_since > PATIENCE:
            return (
                f"LightGBM's {stage.tasks} tasks wait for each other, and {stage.waiting} of them have no slot: "
                "something else that runs in this Spark holds it"
            )
    return None


def _meeting(spark: SparkSession, group: str) -> _Stage | None:
    """The last stage of the group's newest job; those before it may have more tasks than there are slots."""
    tracker = spark.sparkContext.statusTracker()
    job = tracker.getJobInfo(max(tracker.getJobIdsForGroup(group), default=-1))
    number = max(job.stageIds, default=-1) if job else -1
    stage = tracker.getStageInfo(number)
    if stage is None or MEETING not in stage.name:
        return None
    tasks = _tasks(spark, number)
    there = sum(state in ("RUNNING", "SUCCESS") for state, _, _ in tasks)
    lost = sorted((ended, text) for state, ended, text in tasks if state in ("FAILED", "KILLED"))
    is_active = number in tracker.getActiveStageIds()
    return _Stage(stage.numTasks, stage.numTasks - there if is_active else 0, line_of(lost[0][1]) if lost else None)


def _tasks(spark: SparkSession, stage: int) -> list[tuple[str, int, str]]:
    """Of each task that was started: its state, when it ended in milliseconds, and what was wrong with it."""
    context: Any = spark.sparkContext._jsc
    found = []
    with suppress(Py4JError):  # a stage that has not begun is not in the store
        tasks = context.sc().statusStore().taskList(stage, 0, MOST_TASKS)
        for place in range(tasks.size()):
            task = tasks.apply(place)
            took = task.duration()
            ended = task.launchTime().getTime() + (took.get() if took.isDefined() else 0)
            fault = task.errorMessage()
            found.append(
                (str(task.status()), int(ended), str(fault.get()) if fault.isDefined() else str(task.status()))
            )
    return found
