"""The one command: `eraflow JOB ...` runs jobs/JOB.py, `eraflow config KEY` explains a setting, `eraflow doctor` looks.

A job is its file, whoever starts it: spark-submit, Python, or this command, from a checkout or from a wheel.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from eraflow import environment
from eraflow.errors import InputError
from eraflow.outcome import Code

if TYPE_CHECKING:
    from eraflow.config.meaning import Setting

WIDTH = 110  # characters of a line
OTHER_SPARK = (
    "PySpark cannot be imported: SPARK_HOME names another Spark, so put its python/ folder and py4j's zip on "
    "PYTHONPATH, or unset SPARK_HOME and run pip install 'eraflow[local]'."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command: a job's own; 2 where there is no such job, key or machine."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    jobs = job_files()
    try:
        if name in ("-h", "--help", "help"):
            print(overview(jobs))
            return int(Code.DONE)
        if name == "--version":
            print(version("eraflow"))
            return int(Code.DONE)
        if name in TOOLS:
            return TOOLS[name](rest)
        if name not in jobs:
            raise InputError(_unknown(name, jobs))
        if environment.Machine.here().spark is None:  # what a job imports before it can say anything
            raise InputError(" ".join(environment.missing()) or OTHER_SPARK)
    except InputError as error:
        print(f"eraflow: {error}", file=sys.stderr)
        if "DATABRICKS_RUNTIME_VERSION" in os.environ:  # there what a command returns is not looked at
            raise SystemExit(int(Code.BAD_INPUT)) from None
        return int(Code.BAD_INPUT)
    sys.argv = [f"eraflow {name}", *rest]
    return _run(jobs[name])


def _run(file: Path) -> int:
    """The exit code of a job, where it does not end the process itself."""
    try:
        # As `runpy.run_path` does, which would put the file's path in place of the name above.
        exec(compile(file.read_bytes(), str(file), "exec"), {"__name__": "__main__", "__file__": str(file)})
    except SystemExit as end:
        # A notebook's Python (Databricks) takes any exit, even of 0, for a failure.
        if end.code:
            raise
    return int(Code.DONE)


def job_files() -> dict[str, Path]:
    """The jobs by name: the files of jobs/, inside an installed wheel or beside the checkout's lib/."""
    packaged = Path(__file__).with_name("jobs")
    folder = packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "jobs"
    return {file.stem: file for file in sorted(folder.glob("[!_]*.py"))}


def overview(jobs: Mapping[str, Path]) -> str:
    """What there is to type, with a line of each job."""
    lines = {name: _first_line(file) for name, file in jobs.items()}
    return "\n".join(
        [
            "usage: eraflow JOB [--config FILE] [--set KEY=VALUE] ...",
            "",
            "jobs (eraflow JOB --help lists arguments and settings):",
            *_listed(lines),
            "",
            "other commands:",
            *_listed({"config": _config.__doc__ or "", "doctor": _doctor.__doc__ or "", "setup": _setup.__doc__ or ""}),
            "",
            "exit codes: 0 done; 2 bad config or bad input; 1 anything else.",
            "round, submit, scores, monitor and retrain have more: see their --help.",
        ]
    )


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _listed(lines: Mapping[str, str]) -> list[str]:
    width = max(map(len, lines), default=0)
    wrapped = partial(textwrap.fill, width=WIDTH, subsequent_indent=" " * (width + 4))
    return [wrapped(text.partition("\n")[0], initial_indent=f"  {name:<{width}}  ") for name, text in lines.items()]


def _unknown(name: str, jobs: Mapping[str, Path]) -> str:
    near = difflib.get_close_matches(name.lower().replace("-", "_"), [*jobs, *TOOLS], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join([*jobs, *TOOLS])}."
    return f"there is no job {name}; {hint}"


def _config(arguments: Sequence[str]) -> int:
    """Say what a setting means, its default, and where the value that is in force comes from."""
    from eraflow.arguments import add_layers
    from eraflow.config.meaning import described, sections

    parser = argparse.ArgumentParser("eraflow config", description=_config.__doc__)
    parser.add_argument("key", nargs="?", help="a setting or a section, e.g. validation.folds (default: all sections)")
    add_layers(parser)
    given = parser.parse_args(arguments)
    if given.key is None:
        print("\n".join([*_listed(sections()), "", "eraflow config SECTION lists its settings."]))
        return int(Code.DONE)
    for setting in described(given.key, given.config, given.settings):
        print(f"{setting.key} = {_yaml(setting.value)}    ({_origin(setting)})")
        if setting.meaning:
            print(textwrap.fill(setting.meaning, WIDTH, initial_indent="    ", subsequent_indent="    "))
    return int(Code.DONE)


def _origin(setting: Setting) -> str:
    """Where the value comes from, and the default where it is another."""
    if setting.is_default:
        return "the default"
    text = f"set by {setting.origin}" if setting.by == setting.key else f"from {setting.by}, {setting.origin}"
    return text if setting.value == setting.default else f"{text}; default {_yaml(setting.default)}"


def _yaml(value: Any) -> str:
    """A value in one line, as it is written in YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _doctor(arguments: Sequence[str]) -> int:
    """Check this machine, and say what to type for whatever is missing."""
    return _of_environment("doctor", "doctor", _doctor.__doc__, arguments)


def _setup(arguments: Sequence[str]) -> int:
    """Download the jars that Spark needs and write its settings; run it again after an upgrade."""
    return _of_environment("setup", "install", _setup.__doc__, arguments)


def _of_environment(name: str, what: str, description: str | None, arguments: Sequence[str]) -> int:
    argparse.ArgumentParser(f"eraflow {name}", description=description).parse_args(arguments)
    return environment.main([what])


TOOLS: Mapping[str, Callable[[Sequence[str]], int]] = {"config": _config, "doctor": _doctor, "setup": _setup}
