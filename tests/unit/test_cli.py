"""What every job shares: exit codes, where its lines go, and what is left of a failure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eraflow import cli
from eraflow.errors import InputError, PartFailedError
from eraflow.outcome import Code, Outcome
from eraflow.progress import Progress


@pytest.fixture(autouse=True)
def no_spark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Jobs start no Spark, and their logs are below the test's own folder."""

    @contextmanager
    def none(_: None) -> Iterator[Any]:
        yield lambda path: None

    monkeypatch.setattr(cli, "session", lambda: None)
    monkeypatch.setattr(cli, "javas_output", none)
    monkeypatch.chdir(tmp_path)


def raising(error: BaseException) -> cli.Work:
    def work(*_: Any) -> list[str]:
        raise error

    return work


def test_lines_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", lambda *_: ("one", "two"), []) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize("code", [Code.DONE, Code.FAILED, Code.NOTHING_TO_DO, Code.TOO_LATE, Code.BLOCKED])
def test_work_may_say_how_it_has_ended(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", lambda *_: Outcome(code, ("ours: so",)), [], lazily=True) == code
    assert capsys.readouterr().out == "ours: so\n"


def test_work_gets_the_config_of_the_command_line() -> None:
    seeds = []
    cli.job(
        "", lambda _, config, __: seeds.append(config.run.seed) or (), ["--set", "run.seed=4", "--set", "run.seed=5"]
    )
    assert seeds == [5]


@pytest.mark.parametrize(
    "arguments",
    [["--set", "run.seed"], ["--set", "run.sed=1"], ["--config", "nowhere.yml"], ["--set", "targets.main=target_x"]],
)
def test_a_bad_config_ends_with_2_and_one_sentence_before_any_work(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.job("", raising(AssertionError("no work may start")), arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("eraflow: --")
    assert printed.err.count("\n") == 1


def test_bad_input_ends_with_2_and_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", raising(InputError("prices.csv: mend it.")), []) == 2
    assert capsys.readouterr().err == "eraflow: prices.csv: mend it.\n"


def test_an_interrupt_ends_with_1_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", raising(KeyboardInterrupt()), []) == 1
    assert "interrupted; the same command goes on" in capsys.readouterr().err


def test_a_failure_ends_with_1_its_line_and_the_whole_cause_in_the_log(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def work(_: Any, __: Any, progress: Progress) -> list[str]:
        progress.note("table prices: version 0 written")
        raise ZeroDivisionError("division by zero")

    assert cli.job("", work, []) == 1

    (log,) = (tmp_path / "var/log").glob("demo-*.txt")
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"eraflow: ZeroDivisionError: division by zero ({log} has the whole cause; the same command goes on from what "
        "is finished)"
    )
    assert "  table prices: version 0 written\n" in log.read_text()
    assert 'raise ZeroDivisionError("division by zero")' in log.read_text()


def test_a_run_keeps_its_log_in_its_folder_one_command_after_the_other(tmp_path: Path) -> None:
    place = tmp_path / "runs/demo/log.txt"

    def work(_: Any, __: Any, progress: Progress) -> list[str]:
        progress.note("before the run has a folder")
        progress.log_in(place)
        progress.failed("ridge", MemoryError("9 GB for an array"))
        raise PartFailedError({"ridge": "MemoryError: 9 GB for an array"}, ["lightgbm: mean"])

    assert cli.job("", work, []) == 1
    assert cli.job("", work, []) == 1

    assert not list((tmp_path / "var/log").iterdir())
    log = place.read_text()
    assert log.count("  before the run has a folder\n") == log.count("ridge failed\nMemoryError: 9 GB for an arr") == 2


def test_models_that_failed_are_told_with_the_log_that_has_their_causes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failures = {"ridge": "MemoryError: 9 GB for an array", "both": "its model ridge failed."}
    assert cli.job("", raising(PartFailedError(failures, ["lightgbm: mean"])), []) == 1

    printed = capsys.readouterr()
    (log,) = (tmp_path / "var/log").iterdir()
    assert printed.out == "lightgbm: mean\n"
    assert printed.err.splitlines()[-1] == (
        f"eraflow: these models failed, {log} has the causes, and the same command tries them again: ridge: "
        "MemoryError: 9 GB for an array; both: its model ridge failed."
    )


@pytest.mark.parametrize("work", [lambda *_: (), raising(InputError("mend it."))])
def test_a_command_that_is_done_or_refused_leaves_no_log_without_a_run(work: cli.Work, tmp_path: Path) -> None:
    cli.job("", work, [])
    assert not list(tmp_path.rglob("*.txt"))


@pytest.mark.parametrize(("code", "kept"), [(Code.BLOCKED, 1), (Code.TOO_LATE, 1), (Code.NOTHING_TO_DO, 0)])
def test_a_log_is_kept_unless_all_is_well(code: Code, kept: int, tmp_path: Path) -> None:
    def work(_: object, __: object, progress: Progress) -> Outcome:
        progress.failed("one slot", ValueError("no fit"))
        return Outcome(code, ())

    assert cli.job("", work, []) == code
    assert len(list(tmp_path.rglob("*.txt"))) == kept


def test_an_exception_that_came_of_itself_ends_the_job() -> None:
    error = ValueError("no fit")
    error.__cause__ = error
    assert cli.job("", raising(error), []) == 1


def test_unknown_arguments_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.job("", raising(AssertionError()), ["--cofnig", "x"])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
