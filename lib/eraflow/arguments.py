"""What the command lines of jobs and of `eraflow config` share: the layers of a configuration, and what a job reads."""

from __future__ import annotations

import argparse
import ast
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from eraflow import definitions
from eraflow.config import Config, section_fields

WIDTH = 100  # characters of a line of help
# How the library calls a configuration; what is read through a property of it.
NAMES = {"config", "of_run"}
THROUGH = {
    "is_classic": ("source",),
    "submission": ("run.submission", "models", "ensembles"),
    "learned_targets": ("targets.main", "models"),
}
# Read while a configuration is put together, wherever what they complete is read.
COMPLETED_BY = {"models": ("kinds", "presets", "feature_network"), "ensembles": ("ensemble",)}


def add_layers(parser: argparse.ArgumentParser) -> None:
    """Gives the parser `--config` and `--set`, whose values are `config` and `settings`."""
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="overlay of conf/base.yml; repeatable, later ones win (default: conf/demo.yml)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="one setting by its dotted key; repeatable",
    )


class Parser(argparse.ArgumentParser):
    """A job's parser, whose help ends with the settings that the job may read: section -> keys, none for all of it."""

    def __init__(self, description: str, settings: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._settings = settings  # asked where somebody wants help: code is read for it

    def format_help(self) -> str:
        settings = self._settings()
        width = max(map(len, settings), default=0)
        lines = [
            textwrap.fill(
                ", ".join(keys) or "all of it",
                WIDTH,
                initial_indent=f"  {section:<{width}}  ",
                subsequent_indent=" " * (width + 4),
            )
            for section, keys in settings.items()
        ]
        heading = "settings it reads (`eraflow config KEY` says what one means, and where its value comes from):"
        return "\n".join([super().format_help(), heading, *lines, ""]) if lines else super().format_help()


def settings_read(work: Callable[..., object]) -> dict[str, tuple[str, ...]]:
    """Section -> the keys of it that the code reached by `work` names; none where it takes the section whole.

    In the order of base.yml. Read from the code as it is written, so that it holds what may be read and misses nothing.
    """
    if not str(work.__module__).startswith(definitions.NAME):
        return {}
    found: dict[str, set[str]] = {}
    for key in chain.from_iterable(map(_keys, definitions.statements(definitions.root(work)))):
        section, _, inner = key.partition(".")
        found.setdefault(section, set()).add(inner)
    for section, others in COMPLETED_BY.items():
        if section in found:
            found |= {other: {""} for other in others}
    return {
        section: ()
        if found[section] & {""} or found[section] >= {*fields}
        else tuple(key for key in fields if key in found[section])
        for section, fields in section_fields().items()
        if section in found
    }


def _keys(statement: ast.stmt) -> Iterator[str]:
    """Keys of the configuration that a statement reads, `section.key` or `section` where it takes that whole."""
    fields, inner = section_fields(), set()
    for node in ast.walk(statement):  # from the outside in: `config.run.name` comes before `config.run`
        if not isinstance(node, ast.Attribute):
            continue
        section = node.value
        if (
            isinstance(section, ast.Attribute)
            and _is_config(section.value)
            and node.attr in fields.get(section.attr, ())
        ):
            inner.add(id(section))
            yield f"{section.attr}.{node.attr}"
        elif _is_config(node.value) and node.attr in THROUGH:
            yield from THROUGH[node.attr]
        elif _is_config(node.value) and node.attr in Config.model_fields and id(node) not in inner:
            yield node.attr


def _is_config(node: Any) -> bool:
    return (isinstance(node, ast.Name) and node.id in NAMES) or (isinstance(node, ast.Attribute) and node.attr in NAMES)
