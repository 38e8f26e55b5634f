"""Colours of a report, by name: charts and the page speak of `var(--name)`, light, dark and paper fill it in.

Series began as Okabe and Ito's palette and were moved until protanopes and deuteranopes can tell any two apart (a test
holds them to it) and each stands clear of the paper.
"""

import re
from collections.abc import Mapping
from typing import Any

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff", "panel": "#f5f6f8", "ink": "#171c22", "muted": "#57616c", "line": "#e1e5ea",
    "strong": "#0a4f94", "bar": "#a8c1dd", "warn": "#d9932f",
    "series-1": "#0c3cc2", "series-2": "#ce8412", "series-3": "#16a66b", "series-4": "#b86ea2",
    "series-5": "#825100", "series-6": "#3584e1", "series-7": "#792832", "series-8": "#424b7e",
    "train": "#bccbdd", "purge": "#d55e00", "embargo": "#e7b84f", "validation": "#0b62a8",
    "below-3": "#a84a00", "below-2": "#e38a3c", "below-1": "#f8d9b8", "around": "#eef0f3",
    "above-1": "#c4dcf1", "above-2": "#68a6d8", "above-3": "#0b559b",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "paper": "#13161a", "panel": "#1b2026", "ink": "#e6e9ed", "muted": "#9ba6b2", "line": "#2c333c",
    "strong": "#9fcbfa", "bar": "#446488", "warn": "#d9a441",
    "series-1": "#6d97ff", "series-2": "#da6a2d", "series-3": "#4be38b", "series-4": "#ff8bab",
    "series-5": "#e6d02e", "series-6": "#83f0f7", "series-7": "#c04776", "series-8": "#748dbd",
    "train": "#3a4f68", "purge": "#ff8f4d", "embargo": "#e8bd4a", "validation": "#6cb2f5",
    "below-3": "#ffa75c", "below-2": "#b8651f", "below-1": "#5a391e", "around": "#282e36",
    "above-1": "#1f4468", "above-2": "#3179b9", "above-3": "#86c5ff",
}  # fmt: skip
SERIES = tuple(f"var(--series-{number})" for number in range(1, 9))
FOLD_PARTS = ("train", "purge", "embargo", "validation")
FOLDS = tuple(f"var(--{part})" for part in FOLD_PARTS)
DIVERGING = tuple(
    f"var(--{name})" for name in ("below-3", "below-2", "below-1", "around", "above-1", "above-2", "above-3")
)
_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (6, 3), (2, 2))
_VARIABLE = re.compile(r"var\(--([a-z0-9-]+)\)")


def series(number: int) -> tuple[str, tuple[int, ...]]:
    """Colour and dash of the series of this number, from 0; after eight the colours come again, dashed."""
    return SERIES[number % len(SERIES)], _DASHES[number // len(SERIES) % len(_DASHES)]


def css(colours: Mapping[str, str]) -> str:
    """The colours as declarations of CSS variables."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def concrete(content: Any, colours: Mapping[str, str]) -> Any:
    """The JSON-like content with each `var(--name)` as its colour, for pictures that stand alone."""
    if isinstance(content, dict):
        return {key: concrete(value, colours) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [concrete(value, colours) for value in content]
    if isinstance(content, str) and (found := _VARIABLE.fullmatch(content)):
        return colours[found[1]]
    return content
