"""The page of a notebook that was run: its text, its code, and what each cell has put out; self-contained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from eraflow.reporting import marks, palette
from eraflow.reporting.templates import templates

MARKDOWN, PYTHON = "markdown", "python"
LIGHT_CODE, DARK_CODE = "default", "github-dark"  # styles of pygments


@dataclass(frozen=True)
class Output:
    """Something that a cell has put out: text, or HTML."""

    text: str = ""
    html: str = ""


@dataclass(frozen=True)
class Shown:
    """A cell with its outputs and, if it has failed, its error's trace."""

    kind: str
    text: str
    outputs: tuple[Output, ...] = ()
    error: str | None = None


def page(name: str, cells: Sequence[Shown]) -> str:
    """HTML that needs nothing else, for light, dark, phone and paper."""
    environment = templates()
    environment.filters |= {"markdown": _markdown, "code": _code, "overwritten": overwritten}
    return environment.get_template("notebook.html.jinja").render(
        name=name,
        cells=cells,
        light=palette.css(palette.LIGHT),
        dark=palette.css(palette.DARK),
        font=Markup(marks.FONT),
        light_code=Markup(HtmlFormatter(style=LIGHT_CODE).get_style_defs(".code")),
        dark_code=Markup(HtmlFormatter(style=DARK_CODE).get_style_defs(".code")),
    )


def _markdown(text: str) -> Markup:
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def _code(text: str) -> Markup:
    return Markup(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True)))


def overwritten(text: str) -> str:
    """Text as a terminal shows it in the end: what stands before a carriage return is written over."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")).strip("\n")
