"""What every job shares: exit codes, and where its lines go."""

from typing import Any

import pytest

from eraflow import cli
from eraflow.errors import InputError


@pytest.fixture(autouse=True)
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "session", lambda: None)


def raising(error: BaseException) -> cli.Work:
    def work(*_: Any) -> list[str]:
        raise error

    return work


def test_lines_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", lambda *_: ("one", "two"), []) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


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
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("eraflow: --")
    assert told.err.count("\n") == 1


def test_bad_input_ends_with_2_and_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", raising(InputError("prices.csv: mend it.")), []) == 2
    assert capsys.readouterr().err == "eraflow: prices.csv: mend it.\n"


def test_an_interrupt_ends_with_1_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", raising(KeyboardInterrupt()), []) == 1
    assert "interrupted; the same command goes on" in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.job("", raising(ZeroDivisionError()), [])


def test_unknown_arguments_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.job("", raising(AssertionError()), ["--cofnig", "x"])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
