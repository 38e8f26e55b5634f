"""Charts as pictures, drawn by a process of their own: within one, all else waits for Vega's single thread."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from typing import Any

import vl_convert


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite chart of concrete colours; `scale` are the pixels of its PNG for one of the SVG, None for no PNG."""

    spec: dict[str, Any]
    config: dict[str, Any]
    version: str
    scale: float | None

    def drawn(self) -> Picture:
        """SVG and PNG; without any access to a network."""
        svg = vl_convert.vegalite_to_svg(self.spec, vl_version=self.version, config=self.config, allowed_base_urls=[])
        return svg, None if self.scale is None else vl_convert.svg_to_png(svg, scale=self.scale)


Picture = tuple[str, bytes | None]


def drawing(charts: Sequence[Chart]) -> Callable[[], list[Picture]]:
    """Begins to draw; what it returns waits for the pictures, in their order. RuntimeError where the process fails."""
    pool = ThreadPoolExecutor(1)
    pictures = pool.submit(_elsewhere, json.dumps([vars(chart) for chart in charts]))
    pool.shutdown(wait=False)
    return pictures.result


def _elsewhere(charts: str) -> list[Picture]:
    # As text, because the package may stand in an archive that only this process has on its path.
    source = resources.files("eraflow").joinpath("pictures.py").read_text("utf-8")
    done = subprocess.run([sys.executable, "-c", source], input=charts.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the charts could not be drawn: {done.stderr.decode(errors='replace')}")
    return [(svg, None if png is None else base64.b64decode(png)) for svg, png in json.loads(done.stdout)]


def main() -> None:
    """Charts as JSON on standard input, pictures as JSON on standard output."""
    pictures = [Chart(**chart).drawn() for chart in json.load(sys.stdin.buffer)]
    written = [(svg, None if png is None else base64.b64encode(png).decode()) for svg, png in pictures]
    sys.stdout.buffer.write(json.dumps(written).encode())


if __name__ == "__main__":
    main()
