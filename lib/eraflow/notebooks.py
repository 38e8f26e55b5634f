"""Notebooks in Databricks' source format, run from top to bottom on this machine and written with their outputs.

A file of cells: the first line says what it is, `# COMMAND ----------` parts cells, lines that begin with `# MAGIC` are
of another language, of which Markdown (`%md`) is read. Cells see `spark`, `dbutils`, `display` and `displayHTML`.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from eraflow.errors import InputError
from eraflow.reporting.notebook import MARKDOWN, PYTHON, Output, Shown, page
from eraflow.session import end_session, session

FIRST_LINE = "# Databricks notebook source"
PARTED = "# COMMAND ----------"
MAGIC = "# MAGIC"
_PARAMETER = re.compile(r"widgets\.(?:text|dropdown)\(\s*\"(\w+)\"")
ROWS = 20  # of a Spark frame that is displayed


class CellError(Exception):
    """A cell has failed; the notebook's page shows where."""


@dataclass(frozen=True)
class Cell:
    """A cell: Python or Markdown, its text, and the line of the file that the text begins at."""

    kind: str
    text: str
    line: int


def cells(source: str) -> tuple[Cell, ...]:
    """The cells of a notebook's source, without empty ones. InputError for another format or a language but these."""
    lines = source.splitlines()
    if not lines or lines[0].strip() != FIRST_LINE:
        raise InputError(f"its first line is not {FIRST_LINE!r}, so it is no notebook in Databricks' source format.")
    starts = [0, *(number for number, line in enumerate(lines) if line.strip() == PARTED), len(lines)]
    found = (_cell(lines[start + 1 : end], start + 2) for start, end in pairwise(starts))
    return tuple(cell for cell in found if cell.text)


def _cell(lines: Sequence[str], first: int) -> Cell:
    blank = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    lines, first = lines[blank:], first + blank
    if not lines or not lines[0].startswith(MAGIC):
        return Cell(PYTHON, "\n".join(lines).rstrip(), first)
    text = [line.removeprefix(MAGIC).removeprefix(" ") for line in lines if line.startswith(MAGIC)]
    language, _, start = text[0].partition(" ")
    if language != "%md":
        raise InputError(f"line {first}: {language} is no language of ours; write Python, or Markdown with %md.")
    return Cell(MARKDOWN, "\n".join([start, *text[1:]]).strip(), first)


class Widgets:
    """The parameters of a notebook as Databricks has them: each has its default, unless `given` holds another value."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._values: dict[str, str] = {}

    def text(self, name: str, default: str, label: str = "") -> None:
        """A parameter of any text."""
        self._values[name] = self._given.get(name, default)

    def dropdown(self, name: str, default: str, choices: Sequence[str], label: str = "") -> None:
        """A parameter that is one of some values. InputError where what is given is none of them."""
        self.text(name, default, label)
        if self._values[name] not in choices:
            raise InputError(f"{name} is {self._values[name]!r}; choose one of {', '.join(choices)}.")

    def get(self, name: str) -> str:
        """The value of a parameter that the notebook has."""
        if name not in self._values:
            raise InputError(f"the notebook has no parameter {name!r}.")
        return self._values[name]


@dataclass(frozen=True)
class Utilities:
    """What a notebook finds as `dbutils`."""

    widgets: Widgets


def run(source: str, name: str, spark: SparkSession, given: Mapping[str, str]) -> Iterator[Shown]:
    """Runs the cells in their order, and gives each with its outputs; after one that fails come no others.

    `given` are values of the notebook's parameters. InputError where it has no such parameter.
    """
    if unknown := sorted(set(given) - set(parameters := _PARAMETER.findall(source))):
        raise InputError(f"it has no parameter {unknown[0]!r}; it has {', '.join(parameters) or 'none'}.")
    widgets, outputs = Widgets(given), list[Output]()
    names: dict[str, Any] = {
        "__name__": "__main__",
        "spark": spark,
        "dbutils": Utilities(widgets),
        "display": lambda value: outputs.append(_shown(value)),
        "displayHTML": lambda html: outputs.append(Output(html=str(html))),
    }
    for cell in cells(source):
        outputs.clear()
        error = None if cell.kind == MARKDOWN else _executed(cell, name, names, outputs)
        yield Shown(cell.kind, cell.text, tuple(outputs), error)
        if error:
            return


def _executed(cell: Cell, name: str, names: dict[str, Any], outputs: list[Output]) -> str | None:
    """Runs a cell in the notebook's names; the trace of an error, if there is one."""
    printed = _Printed(outputs)
    try:
        tree = ast.parse("\n" * (cell.line - 1) + cell.text, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with redirect_stdout(printed):
            exec(compile(tree, name, "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), name, "eval"), names)
                if value is not None:
                    outputs.append(_shown(value))
    except Exception as error:
        shown = traceback.TracebackException.from_exception(error)
        shown.stack = traceback.StackSummary.from_list([part for part in shown.stack if part.filename != __file__])
        return "".join(shown.format())
    return None


class _Printed(io.TextIOBase):
    """Standard output of a cell: text joins the output before it, where that is text."""

    def __init__(self, outputs: list[Output]) -> None:
        self._outputs = outputs

    def write(self, text: str) -> int:
        before = self._outputs.pop().text if self._outputs and not self._outputs[-1].html else ""
        self._outputs.append(Output(text=before + text))
        return len(text)


def _shown(value: object) -> Output:
    """A value as a notebook shows it: HTML where it has a form in that, else text."""
    if isinstance(value, DataFrame):
        value = value.limit(ROWS).toPandas()
    html: Callable[[], str] | None = getattr(value, "_repr_html_", None)
    return Output(html=html()) if html else Output(html=f"<pre>{escape(repr(value))}</pre>")


def written(file: Path, out: Path, spark: SparkSession, given: Mapping[str, str]) -> None:
    """Runs the notebook in `file` and writes it with its outputs to `out`.

    CellError where a cell has failed: it is in the page, which ends there.
    """
    try:
        shown = list(run(file.read_text(encoding="utf-8"), file.name, spark, given))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(file.stem, shown), encoding="utf-8")
    if shown and (trace := shown[-1].error):
        raise CellError(trace.strip().splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of `python -m eraflow.notebooks FILE`: 0; 1 if a cell failed; 2 bad input."""
    parser = argparse.ArgumentParser("python -m eraflow.notebooks", description="Run a notebook, and write it as HTML.")
    parser.add_argument("file", type=Path, help="the notebook, e.g. notebooks/quick_tour.py")
    parser.add_argument("--out", type=Path, help="the page (default: var/notebooks/NAME.html)")
    meaning = "the value of one of its parameters; repeatable"
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="given", help=meaning)
    asked = parser.parse_args(arguments)
    out = asked.out or Path("var/notebooks") / f"{asked.file.stem}.html"
    try:
        if not asked.file.is_file():
            available = ", ".join(sorted(str(file) for file in asked.file.parent.glob("*.py")))
            raise InputError(f"there is no notebook {asked.file}; there are {available or 'none'}.")
        written(asked.file, out, session(), dict(_pair(text) for text in asked.given))
    except InputError as error:
        print(f"eraflow: {error}", file=sys.stderr)
        return 2
    except CellError as error:
        print(f"eraflow: a cell failed: {error} (the notebook as far as it went: {out})", file=sys.stderr)
        return 1
    print(f"notebook: {out}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(f"--set {text}: write it as NAME=VALUE, e.g. --set days=500.")
    return name, value


if __name__ == "__main__":
    code = main()
    end_session(code)
    sys.exit(code)
