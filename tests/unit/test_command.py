"""The one command: it runs the job's file, whoever is called, and says what there is where a word fits nothing."""

import ast
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from eraflow import arguments, cli, command, environment
from eraflow.pipeline.upstream import prune

ROOT = Path(__file__).parents[2]


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of jobs of one's own; what they say stands in said.txt beside them."""
    monkeypatch.setattr(command, "job_files", lambda: {file.stem: file for file in sorted(tmp_path.glob("*.py"))})
    monkeypatch.setattr(sys, "argv", ["pytest"])
    return tmp_path


def test_there_is_a_job_for_each_file_in_jobs() -> None:
    assert set(command.job_files()) == {file.stem for file in (ROOT / "jobs").glob("*.py")}
    assert {"train", "round", "predict"} <= set(command.job_files())


def test_a_job_is_run_as_its_file_would_be_with_its_own_arguments(jobs: Path) -> None:
    (jobs / "train.py").write_text(
        "import sys\nfrom pathlib import Path\nif __name__ == '__main__':\n"
        "    Path(__file__).with_name('said.txt').write_text(' '.join(sys.argv))\n    raise SystemExit(0)\n"
    )
    assert command.main(["train", "--set", "run.seed=3"]) == 0
    assert (jobs / "said.txt").read_text() == "eraflow train --set run.seed=3"


def test_a_job_that_fails_ends_the_command_with_its_code(jobs: Path) -> None:
    (jobs / "train.py").write_text("raise SystemExit(5)\n")
    with pytest.raises(SystemExit) as ended:
        command.main(["train"])
    assert ended.value.code == 5


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("igest", "there is no job igest; did you mean ingest?\n"),
        ("confg", "there is no job confg; did you mean config?\n"),
        ("ROUND-DEMO", "there is no job ROUND-DEMO; did you mean round_demo or round or prune?\n"),
        ("xyzzy", f"there is no job xyzzy; choose one of {', '.join(command.job_files())}, config, doctor, setup.\n"),
    ],
)
def test_an_unknown_job_ends_with_2_and_the_nearest(
    word: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([word]) == 2
    assert capsys.readouterr().err == f"eraflow: {message}"


def test_where_nobody_looks_at_what_a_command_returns_it_exits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    with pytest.raises(SystemExit) as ended:
        command.main(["igest"])
    assert ended.value.code == 2
    assert "did you mean ingest?" in capsys.readouterr().err


def test_a_spark_that_python_cannot_see_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = replace(environment.Machine.here(), spark=None)
    monkeypatch.setattr(environment.Machine, "here", lambda: machine)
    monkeypatch.setattr(environment, "missing", list)
    assert command.main(["train"]) == 2
    assert "SPARK_HOME names another Spark" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{version('eraflow')}\n"


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_help_has_a_line_of_every_job_and_tool(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 0
    out = " ".join(capsys.readouterr().out.split())
    for name, file in command.job_files().items():
        assert f"{name} {(ast.get_docstring(ast.parse(file.read_text())) or '').splitlines()[0]}" in out
    for name in command.TOOLS:
        assert f" {name} " in out


@pytest.mark.parametrize("tool", ["doctor", "setup"])
def test_tools_take_no_arguments(tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main([tool, "--now"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --now" in capsys.readouterr().err


def test_a_setting_is_told_with_its_default_meaning_and_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["config", "validation.folds", "--config", "conf/signals.yml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "validation.folds = null    (set by conf/signals.yml; default 5)",
        "    walk_forward: periods; blocked_kfold, combinatorial_purged: blocks; null = by period",
    ]


def test_without_pyspark_a_job_says_what_to_type(
    jobs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (jobs / "train.py").write_text("raise AssertionError\n")
    machine = replace(environment.Machine.here(), spark=None, is_checkout=False)
    monkeypatch.setattr(environment.Machine, "here", lambda: machine)
    assert command.main(["train"]) == 2
    assert (
        "PySpark: not installed; run `pip install 'eraflow[local]'`, then `eraflow setup`." in capsys.readouterr().err
    )


def test_an_unknown_setting_ends_with_2_and_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["config", "validaton.folds"]) == 2
    assert capsys.readouterr().err.startswith(
        "eraflow: there is no setting validaton.folds; did you mean validation.fo"
    )


def test_without_a_key_all_sections_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["config"]) == 0
    out = capsys.readouterr().out
    assert "  validation " in out
    assert "  submit " in out


def test_python_m_eraflow_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "eraflow", "igest"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "eraflow: there is no job igest; did you mean ingest?\n"


def test_what_a_job_reads_is_read_off_its_code() -> None:
    assert arguments.settings_read(prune) == {"run": ("dir",), "tables": ("root", "wait", "keep_days")}


def test_the_help_of_a_job_ends_with_what_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.job("Removes.", prune, ["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.endswith("  run     dir\n  tables  root, wait, keep_days\n")


def test_settings_that_a_command_may_name_stand_in_place_of_those_of_its_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.job("Predicts.", prune, ["--help"], settings={"prices": ("path",), "explain": ()})
    assert capsys.readouterr().out.endswith("  prices   path\n  explain  all of it\n")


def test_nothing_to_do_is_no_failure_for_databricks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    for code, expected in ((0, 0), (3, 0), (1, 1), (5, 5)):
        with pytest.raises(SystemExit) as ended:
            cli.leave(code)
        assert ended.value.code == expected
