"""What every job shares: arguments, the session, messages and exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn, TextIO

from pyspark.sql import SparkSession

from eraflow import disk
from eraflow.arguments import Parser, add_layers, settings_read
from eraflow.causes import first_line, refusal
from eraflow.config import Config, load
from eraflow.errors import InputError, PartFailedError
from eraflow.logfile import LogFile
from eraflow.outcome import Code, Outcome
from eraflow.progress import Progress, shown
from eraflow.session import end_session, javas_output, session

DONE, FAILED, BAD_INPUT = Code.DONE, Code.FAILED, Code.BAD_INPUT
AGAIN = "the same command goes on from what is finished"

# Of the session (unless the job needs none), the config, the progress, and the options' values by name.
Ended = Sequence[str] | Outcome
Work = Callable[..., Ended]
Settings = Mapping[str, Sequence[str]]  # section -> keys; none for all of it


@dataclass(frozen=True)
class Option:
    """An argument of one job beside those of all; `work` gets its value, or None, under `name`."""

    flag: str
    name: str
    metavar: str
    help: str
    read: Callable[[str], Any] = str  # raises ValueError
    many: bool = False  # takes one or more values, and gives a list
    is_switch: bool = False  # takes no value, and gives whether it is there


def day(text: str) -> date:
    """A date as an option's value."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write it as YYYY-MM-DD") from None


def job(
    description: str,
    work: Work,
    arguments: Sequence[str] | None = None,
    options: Sequence[Option] = (),
    read: Callable[..., Config] = lambda overlays, settings, **_: load(overlays, settings),
    lazily: bool = False,
    settings: Settings | None = None,
) -> int:
    """Runs `work` and returns the exit code: 0 done, 2 bad config or input (one message, no trace), 1 anything else.

    Work that can end in other ways returns an Outcome, whose code is taken.
    The lines that `work` returns go to standard output; progress and messages go to standard error. Of a failure the
    line that says the most is shown; the whole cause, with what Java and native code have written, is in a log file.

    `read` makes the config of the overlays, settings and options; `lazily` gives `work` a function that starts Spark in
    place of the session. `settings`, for the help, are those that its command may name; else `work`'s code tells them.
    """
    parser = _parser(description, options, lambda: settings_read(work) if settings is None else settings)
    given = parser.parse_args(arguments)
    values = {option.name: getattr(given, option.name) for option in options}
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # py4j logs the trace of an interrupt, which is told below in a sentence.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(lambda record: not record.getMessage().startswith("KeyboardInterrupt while"))
    try:
        config = read(given.config, given.settings, **values)
    except InputError as error:
        return _print_error(error, BAD_INPUT)
    log, code, ended = LogFile.of_command(config.run.name), int(FAILED), Outcome(FAILED, ())
    try:
        found = _worked(config, log, lambda spark, progress: work(spark, config, progress, **values), lazily)
        ended = found if isinstance(found, Outcome) else Outcome(DONE, tuple(found))
        code = ended.code
    except PartFailedError as error:
        print("\n".join(error.lines))
        _print_error(f"these models failed, {log.path} has the causes, and the same command tries them again: {error}")
    except KeyboardInterrupt:
        _print_error(f"interrupted; {AGAIN}.")
    except Exception as error:
        if refused := refusal(error):
            code = _print_error(refused, BAD_INPUT)
        else:
            log.cause("failed", error)
            _print_error(f"{first_line(error)} ({log.path} has the whole cause; {AGAIN})")
    finally:
        log.close(code in (DONE, BAD_INPUT, Code.NOTHING_TO_DO))
    if ended.lines or code == DONE:
        print("\n".join(ended.lines))
    return code


def _print_error(what: object, code: int = FAILED) -> int:
    print(f"eraflow: {what}", file=sys.stderr)
    return code


def _worked(config: Config, log: LogFile, work: Callable[[Any, Progress], Ended], lazily: bool) -> Ended:
    """What the work returns, its progress shown and logged."""
    with shown(log) as progress, _full_disk_refused(config), _warnings_in(log), ExitStack() as stack:

        def start() -> SparkSession:
            progress.stage("starting Spark")
            spark = session()
            log.follow(stack.enter_context(javas_output(spark)))
            return spark

        spark = None if lazily else start()
        with _interruptible():
            return work(start if lazily else spark, progress)


@contextmanager
def _warnings_in(log: LogFile) -> Iterator[None]:
    """Keeps Python's warnings off the screen: PySpark's hold Java's whole trace of what is told in a line."""

    def logged(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
        line: str | None = None,
    ) -> None:  # fmt: skip
        log.write(f"{category.__name__}: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = logged
        yield


def _parser(description: str, options: Sequence[Option], settings: Callable[[], Settings]) -> argparse.ArgumentParser:
    parser = Parser(description, settings)
    add_layers(parser)
    for option in options:
        if option.is_switch:
            parser.add_argument(option.flag, dest=option.name, action="store_true", help=option.help)
            continue
        parser.add_argument(
            option.flag,
            dest=option.name,
            metavar=option.metavar,
            help=option.help,
            type=option.read,
            nargs="+" if option.many else None,
            default=None,
        )
    return parser


def leave(code: int) -> NoReturn:
    """Ends the process of a job, and Spark with it, whatever still runs in there. Databricks ends its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ:
        logging.disable()  # py4j logs a trace for each call that a Java which has gone does not answer
        end_session(code)
        os._exit(code)
    # A job there has succeeded or failed, and nothing to do is no failure.
    raise SystemExit(DONE if code == Code.NOTHING_TO_DO else code)


@contextmanager
def _full_disk_refused(config: Config) -> Iterator[None]:
    """Makes a full disk, however it shows, an InputError that names the place."""
    try:
        yield
    except Exception as error:
        if not disk.is_full(error):
            raise
        places = {"tables.root": config.tables.root, "run.dir": config.run.dir, "classic.path": config.classic.path}
        raise InputError(disk.message(places)) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Makes Ctrl-C end in a KeyboardInterrupt whatever else it breaks.

    The signal reaches Spark's JVM as well, and a call into a JVM that goes down fails with errors of its own.
    """
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
