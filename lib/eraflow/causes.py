"""What a failure was: its first meaningful line, and all that Python, Java and Spark's workers say of it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.sql import SparkSession

from eraflow.errors import InputError

LONGEST = 300  # characters of a line on the screen
MOST_TASKS = 1000  # of a stage, that are looked at

# As a worker's exception stands inside the text of a Java one: its own trace up to Java's frames.
_WORKERS = re.compile(r"PythonException: Traceback \(most recent call last\):\n(.*?)(?=\n\s*\tat |\Z)", re.DOTALL)
# As it stands in what TorchDistributor keeps of its processes' output: the first that fails says why.
_PROCESSES = re.compile(r"Traceback \(most recent call last\):\n((?:  .*\n)+\S.*)")
_RANK = re.compile(r"^\[rank\d+\]: ?", re.MULTILINE)
_REFUSED = re.compile(r"eraflow\.errors\.InputError: (.+)")
_LOST_TASK = re.compile(r"most recent failure: Lost task [^\n]*?\)(?: \([^\n]*?\))?: ([^\n]+)")
_STAGE = re.compile(r"Job aborted due to stage failure: Task \d+ in stage (\d+)\.\d+ failed")
# Why Spark kills tasks that did nothing: another one has failed, or was sooner.
_FOLLOWED = re.compile(r"Stage cancelled|another attempt succeeded")
_MEETING = "synapse.ml.lightgbm.NetworkManager"  # in the trace of a task that found none of the others
_LOST_EXECUTOR = re.compile(r"ExecutorLostFailure \(.*?\) Reason: ([^\n]+)")
_CAUSED_BY = re.compile(r"^Caused by: (.+)$", re.MULTILINE)
# py4j's own first line says nothing.
_CALLED = re.compile(r"^An error occurred while calling [^\n]*?(?: Trace:)?\n(?:: )?([^\n]+)")
# These classes are told by their message alone.
_PLAIN = re.compile(r"^(?:java\.lang\.(?:Runtime)?Exception|org\.apache\.spark\.SparkException): (?=\S)")


def refusal(error: BaseException) -> InputError | None:
    """The InputError that this is, or that one of Spark's Python workers raised; None where it is another failure."""
    if isinstance(error, InputError):
        return error
    found = _REFUSED.search(text_of(error))
    return InputError(found[1]) if found else None


def first_line(error: BaseException) -> str:
    """The one line that says the most: what the worker, the deepest cause in Java, or this exception itself says."""
    for one in chain(error):
        if one.__cause__ is None or isinstance(one, InputError):
            error = one
            break
    return _cut(_said(error)) or type(error).__name__


def whole(error: BaseException) -> str:
    """Python's trace with all causes and, where Java threw it, Java's with all of its own."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # py4j asks Java for a part of the text, and Java may be gone
        text = f"{type(error).__name__}\n"
    for one in chain(error):
        stack = _java_trace(one)
        if stack and stack not in text:
            text += f"\nJava's trace of {type(one).__name__}:\n{stack}\n"
    return text


def _said(error: BaseException) -> str:
    if isinstance(error, InputError):
        return str(error)
    text = text_of(error)
    if found := _first_loss(text) or _inside(text):
        return found
    if called := _CALLED.search(text):
        return called[1]
    if process := _PROCESSES.search(_RANK.sub("", text)):
        return _raised(process[1])
    if isinstance(error, Py4JNetworkError):
        return (
            f"Spark's Java process has ended or does not answer ({_first(text) or type(error).__name__}); "
            "a system that is short of memory ends it so, and `eraflow doctor` says how much there is"
        )
    return ": ".join(filter(None, (type(error).__name__, _first(text))))


def _first_loss(text: str) -> str | None:
    """Why Spark has killed a task of the stage that failed, or lost its executor; None where it did not.

    What is tried again after that tells only that it came too late: tasks of a fit meet once.
    """
    stage = _STAGE.search(text)
    with suppress(Py4JError, OSError, AttributeError):  # Java may be gone
        spark = SparkSession.getActiveSession()
        if stage and spark:
            context: Any = spark.sparkContext._jsc
            tasks = context.sc().statusStore().taskList(int(stage[1]), 0, MOST_TASKS)
            ended = [task for task in map(tasks.apply, range(tasks.size())) if task.errorMessage().isDefined()]
            lost = sorted((task.taskId(), task.status(), str(task.errorMessage().get())) for task in ended)
            is_late = _MEETING in text
            return next(filter(None, (loss(status, message, is_late) for _, status, message in lost)), None)
    return None


def loss(status: str, message: str, is_late: bool = False) -> str | None:
    """What is told of a task that was killed, or whose executor has gone; None of others.

    `is_late`: the stage failed because tasks of a fit that were tried again found none of the others. Then the first
    that failed by itself is told.
    """
    if lost := _LOST_EXECUTOR.search(message):
        return f"Spark has lost an executor: {lost[1]}"
    if status == "KILLED" and not _FOLLOWED.search(message):
        return f"Spark has killed a task: {_first(message)}"
    failed = is_late and status == "FAILED" and _MEETING not in message
    return _inside(message) or _first(message) if failed else None


def _inside(text: str) -> str | None:
    """The line that a Java trace holds the cause in; None where it holds none."""
    if workers := _WORKERS.findall(text):
        return _raised(workers[-1])
    # The deepest cause that has a message: an EOFException alone says less than what it came of.
    if causes := [line for line in _CAUSED_BY.findall(text) if ": " in line]:
        return str(causes[-1])
    lost = _LOST_TASK.search(text)
    return str(lost[1]) if lost else None


def _raised(trace: str) -> str:
    """The line of a Python trace that names the exception: the first after its last frame."""
    lines = trace.split("\n")
    last = max((place for place, line in enumerate(lines) if line.startswith('  File "')), default=-1)
    return next((line for line in lines[last + 1 :] if line and not line.startswith("    ")), lines[-1])


def _cut(line: str) -> str:
    line = _PLAIN.sub("", line.strip())
    return line if len(line) <= LONGEST else line[: LONGEST - 4].rstrip() + " ..."


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def text_of(error: BaseException) -> str:
    """What it says, with Java's trace where there is one; empty where Java is gone, which is asked for a part of it."""
    try:
        text = str(error)
    except Exception:
        return ""
    return f"{text}\n{_java_trace(error)}"


def _java_trace(error: BaseException) -> str:
    """What PySpark keeps beside the message of an exception that it has made out of Java's."""
    return str(getattr(error, "stackTrace", None) or "")


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it came of, what that came of, each once: a chain of exceptions can be a circle."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        yield following
        seen.append(following)
        following = following.__cause__ or following.__context__
