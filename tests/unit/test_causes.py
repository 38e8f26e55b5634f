"""The first meaningful line of failures, in the texts that py4j and PySpark give them."""

import pytest
from py4j.protocol import Py4JError, Py4JNetworkError

from eraflow.causes import first_line, loss, refusal, whole
from eraflow.errors import InputError

FRAMES = (
    "\tat org.apache.spark.scheduler.Task.run(Task.scala:141)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
)
WORKER = (
    "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
    '  File "/lib/worker.py", line 10, in main\n    process()\n    ^^^^^^^^^\n'
    "KeyError: 'a'\n"
    '{also}  File "/lib/model.py", line 7, in make\n    raise {raised}\n{line}\n\n'
)
STAGE = (
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 29.0 failed 1 times, most "
    "recent failure: Lost task 1.0 in stage 29.0 (TID 42) (localhost executor driver): {cause}"
    + FRAMES
    + "\nDriver stacktrace:\n"
)
CALLED = "An error occurred while calling o421.fit.\n: "


class JavaError(Exception):
    """As py4j shows one: its text is Java's trace."""


class CapturedError(Exception):
    """As PySpark makes one of Java's: the trace is beside the message."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.stackTrace = trace


def of_worker(line: str, also: str = "") -> str:
    return WORKER.format(raised="...", line=line, also=also)


TEXTS = {
    "java.lang.OutOfMemoryError: Java heap space": CALLED + "java.lang.OutOfMemoryError: Java heap space\n" + FRAMES,
    "ValueError: weights of era 7 are nan": CALLED
    + STAGE.format(cause=of_worker("ValueError: weights of era 7 are nan"))
    + f"Caused by: {of_worker('ValueError: weights of era 7 are nan')}{FRAMES}",
    "Booster call failed in LightGBM with error: Number of rows 10100 exceeds upper limit of 10000 for a query": CALLED
    + STAGE.format(cause="java.lang.Exception: Booster call failed in LightGBM with error: too many\n")
    + "Caused by: java.lang.Exception: Booster call failed in LightGBM with error: Number of rows 10100 exceeds upper "
    + f"limit of 10000 for a query\n{FRAMES}",
    # The deepest cause has no message of its own.
    "Python worker exited unexpectedly (crashed)": CALLED
    + STAGE.format(cause="org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\n")
    + f"Caused by: org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\n{FRAMES}"
    + f"Caused by: java.io.EOFException\n{FRAMES}",
    "ExecutorLostFailure (executor 1 exited caused by one of the running tasks)": CALLED
    + "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most "
    + "recent failure: Lost task 0.3 in stage 3.0 (TID 9) (10.0.0.1 executor 1): ExecutorLostFailure (executor 1 "
    + "exited caused by one of the running tasks)\nDriver stacktrace:\n",
}  # fmt: skip


@pytest.mark.parametrize(("line", "text"), TEXTS.items(), ids=range(len(TEXTS)))
def test_the_line_is_the_deepest_cause_that_says_something(line: str, text: str) -> None:
    assert first_line(JavaError(text)) == line


def test_of_exceptions_that_pyspark_has_made_javas_trace_counts() -> None:
    error = CapturedError("An exception was thrown from the Python worker.", of_worker("ZeroDivisionError: by zero"))

    assert first_line(error) == "ZeroDivisionError: by zero"
    assert 'File "/lib/model.py", line 7, in make' in whole(error)


def test_the_last_exception_of_a_worker_is_the_one_that_was_raised() -> None:
    also = (
        "\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n"
    )
    text = STAGE.format(cause=of_worker("OSError: [Errno 5] disk", also))
    assert first_line(JavaError(text)) == "OSError: [Errno 5] disk"


def test_a_method_that_is_not_there_is_named_and_not_py4js_first_line() -> None:
    error = Py4JError(
        "An error occurred while calling o5.fti. Trace:\npy4j.Py4JException: Method fti([]) does not exist\n"
    )
    assert first_line(error) == "py4j.Py4JException: Method fti([]) does not exist"


def test_of_processes_that_train_together_the_first_that_failed_says_why() -> None:
    frame = '[rank1]:   File "/lib/sequence_training.py", line 61, in train\n[rank1]:     raise ...\n'
    error = RuntimeError(
        "Command ['python', '-m', 'torch.distributed.run'] failed with return code 1. The task output is included "
        f"below: [rank1]: Traceback (most recent call last):\n{frame}[rank1]: MemoryError: 9 GB for an array\n"
        'Traceback (most recent call last):\n  File "/lib/run.py", line 1, in <module>\n    main()\n'
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
    )
    assert first_line(error) == "MemoryError: 9 GB for an array"


def test_a_java_process_that_is_gone_is_said() -> None:
    error = Py4JNetworkError("Answer from Java side is empty")
    assert first_line(error).startswith(
        "Spark's Java process has ended or does not answer (Answer from Java side is empty); "
    )


def test_pythons_own_causes_are_followed() -> None:
    def raised(error: Exception, cause: Exception) -> Exception:
        try:
            raise error from cause
        except Exception as found:
            return found

    plain = raised(RuntimeError("no fit"), MemoryError("9 GB for an array"))
    fit = raised(RuntimeError("no fit"), JavaError(TEXTS["java.lang.OutOfMemoryError: Java heap space"]))

    assert first_line(plain) == "MemoryError: 9 GB for an array"
    assert first_line(fit) == "java.lang.OutOfMemoryError: Java heap space"
    assert whole(fit).index("Java heap space") < whole(fit).index("no fit")
    assert "Task.scala:141" in whole(fit)


@pytest.mark.parametrize(("error", "line"), [
    (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    (AssertionError(), "AssertionError"),
    (ValueError("\n\n two\nlines"), "ValueError: two"),
    (ValueError("x" * 500), "ValueError: " + "x" * 284 + " ..."),
])  # fmt: skip
def test_pythons_exceptions_are_named(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_an_input_error_of_a_worker_is_the_users_sentence() -> None:
    sentence = "rows have 5 features, the model has 6; use the table it was fitted on."
    for text in (STAGE.format(cause=of_worker(f"eraflow.errors.InputError: {sentence}")), "eraflow.errors.InputError: "
                 + sentence):  # fmt: skip
        found = refusal(JavaError(text))
        assert found is not None
        assert str(found) == sentence
    assert refusal(JavaError(TEXTS["java.lang.OutOfMemoryError: Java heap space"])) is None
    assert str(refusal(InputError("mend it."))) == "mend it."


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("KILLED", "by hand", "Spark has killed a task: by hand"),
        ("KILLED", "Stage cancelled: Job aborted due to stage failure", None),  # because of another one
        (
            "FAILED",
            "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: Command exited with "
            "code 50\nDriver stacktrace:",
            "Spark has lost an executor: Command exited with code 50",
        ),
        ("FAILED", "java.net.ConnectException: Connection refused\n" + FRAMES, None),  # came too late
    ],
)
def test_what_became_of_a_task(status: str, message: str, expected: str | None) -> None:
    assert loss(status, message) == expected


def test_of_a_fit_whose_tasks_did_not_meet_again_the_first_that_failed_is_told() -> None:
    meeting = "\tat com.microsoft.azure.synapse.ml.lightgbm.NetworkManager$.getGlobalNetworkInfo(NetworkManager:111)\n"
    late = f"java.net.ConnectException: Connection refused\n{meeting}"
    first = f"java.lang.Exception: Booster call failed\n{FRAMES}Caused by: java.io.IOException: reset by peer\n{FRAMES}"

    assert loss("FAILED", late, is_late=True) is None
    assert loss("FAILED", first, is_late=True) == "java.io.IOException: reset by peer"
    assert loss("FAILED", first) is None
