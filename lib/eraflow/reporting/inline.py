"""Figures of a report in the output of a notebook's cell: the pictures that the report has written beside its page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from eraflow.errors import InputError


@dataclass(frozen=True)
class Pictures:
    """Drawings below each other, as SVG by name; what Jupyter, Colab and Databricks show of a cell's last value."""

    drawings: tuple[tuple[str, bytes], ...]

    def _repr_html_(self) -> str:
        # Each as an image of its own: drawings in one document share their ids, and clip each other.
        return "\n".join(
            f'<img alt="{escape(name)}" style="display: block; width: 100%; max-width: 900px; margin: 0 0 1rem" '
            f'src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}">'
            for name, svg in self.drawings
        )


def pictures(page: Path, *keys: str) -> Pictures:
    """The figures of these keys, in this order, of the page in the folder `page`; of several panels all.

    InputError where the page has no such figure; it names those that there are.
    """
    folder = page / "figures"
    return Pictures(tuple((file.stem, file.read_bytes()) for key in keys for file in _files(folder, key)))


def _files(folder: Path, key: str) -> Sequence[Path]:
    panels = [file for file in folder.glob(f"{key}-*.svg") if file.stem.removeprefix(f"{key}-").isdigit()]
    found = [file for file in (folder / f"{key}.svg",) if file.is_file()] or sorted(panels, key=_panel)
    if not found:
        available = sorted({file.stem for file in folder.glob("*.svg")})
        hint = f"there are {', '.join(available)}." if available else "has the run been finished?"
        raise InputError(f"{folder} has no figure {key}; {hint}")
    return found


def _panel(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])
