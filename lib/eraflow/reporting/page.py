"""The report of a run: one HTML file that needs nothing else, and its figures and frames as files."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from eraflow.pictures import Chart, drawing
from eraflow.reporting import marks, palette, tables
from eraflow.reporting.content import Document, Figure, Panel, ReportContent, Section, Table
from eraflow.reporting.sections import headline_metric, overview, sections
from eraflow.reporting.templates import templates

_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
_PICTURE_WIDTH = 860
_PICTURE_SCALE = 2.0  # pixels of a PNG for one of an SVG


@dataclass(frozen=True)
class Drawn:
    """A chart of the page: its figure and panel, its key, and its Vega-Lite specification."""

    figure: Figure
    key: str
    panel: Panel
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A page of its content: each chart is made and written out once, for the page and for its picture."""

    content: ReportContent | Document

    @cached_property
    def _parts(self) -> tuple[tuple[Figure, ...], Table | None, tuple[Section, ...]]:
        if isinstance(self.content, Document):
            return (), None, self.content.sections
        with debug_mode(False):  # tests hold charts to Vega-Lite's schema
            return (*overview(self.content), sections(self.content))

    @cached_property
    def _drawn(self) -> tuple[Drawn, ...]:
        """Every chart of the page, in its order."""
        first, _, parts = self._parts
        figures = [*first, *(figure for section in parts for figure in section.figures)]
        return tuple(
            Drawn(figure, key, panel, _spec(figure, panel))
            for figure in figures
            for key, panel in figure.places.items()
        )

    def html(self) -> str:
        """Self-contained HTML; the same content gives the same bytes."""
        content, (first, leaders, parts) = self.content, self._parts
        metric, headlines = None, []
        if isinstance(content, ReportContent):
            metric = headline_metric(content)
            headlines = tables.headlines(content.summary, metric)
        template = templates().get_template("report.html.jinja")
        return template.render(
            title=content.title,
            run_name=content.run_name,
            notes=content.notes,
            metric=metric,
            headlines=headlines,
            overview=first,
            leaders=leaders,
            sections=parts,
            light=palette.css(palette.LIGHT),
            dark=palette.css(palette.DARK),
            font=Markup(marks.FONT),
            css=Markup(_resource("report.css")),
            script=Markup(_resource("report.js")),
            vega=Markup(_vega()),
            embed=_embed(self._drawn),
        )

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each file of a page: report.html, frames/*.csv, figures/*.svg and *.png.

        Of panels that the page offers one at a time each is an SVG, the one that it shows first a PNG too.
        """
        pictures = drawing([_chart(drawn) for drawn in self._drawn])
        content, frames = self.content, {drawn.figure.key: drawn.figure.frame for drawn in self._drawn}
        yield f"{content.name if isinstance(content, Document) else 'report'}.html", self.html().encode()
        if isinstance(content, ReportContent):
            frames |= {"per_era": content.per_era}
            frames |= {"quality": content.quality} if content.quality is not None else {}
        yield from ((f"frames/{name}.csv", frame.to_csv(index=False).encode()) for name, frame in frames.items())
        for drawn, (svg, png) in zip(self._drawn, pictures(), strict=True):
            yield f"figures/{drawn.key}.svg", svg.encode()
            if png is not None:
                yield f"figures/{drawn.key}.png", png


def _embed(charts: Iterable[Drawn]) -> dict[str, Any]:
    """Specs by key of the chart, and their data column by column."""
    specs: dict[str, Any] = {}
    frames: dict[str, dict[str, int]] = {}
    pool: dict[str, int] = {}  # what many frames share (eras, dates) stands in the page once
    for drawn in charts:
        if drawn.key in specs:
            raise ValueError(f"two figures of a report have the key {drawn.key!r}")
        for name, rows in drawn.spec["datasets"].items():
            columns = {column: json.dumps([row.get(column) for row in rows]) for row in rows[:1] for column in row}
            frames[name] = {column: pool.setdefault(values, len(pool)) for column, values in columns.items()}
        specs[drawn.key] = {**drawn.spec, "datasets": list(drawn.spec["datasets"])}
    return {
        "specs": specs,
        "frames": frames,
        "columns": [json.loads(values) for values in pool],
        "config": marks.theme(),
    }


def _spec(figure: Figure, panel: Panel) -> dict[str, Any]:
    words = ": ".join(filter(None, (figure.heading, panel.label, figure.caption)))
    with debug_mode(False):
        spec: dict[str, Any] = panel.chart.properties(description=words).to_dict(validate=False)
    return {"datasets": {}} | {key: value for key, value in spec.items() if key not in ("$schema", "config")}


def _chart(drawn: Drawn) -> Chart:
    """The chart as a picture has it: with its words and legend, in the light colours."""
    figure, panel, spec = drawn.figure, drawn.panel, dict(drawn.spec)
    words = " ".join(filter(None, (figure.caption, figure.basis)))
    heading = ", ".join(filter(None, (figure.heading, panel.label)))
    spec |= {"width": _PICTURE_WIDTH, "title": {"text": heading, "subtitle": textwrap.wrap(words, 130)}}
    spec.pop("padding", None)
    if "layer" in spec:
        spec["layer"] = [layer for layer in spec["layer"] if layer.get("name") != marks.HOVER]
    coloured, config = (palette.concrete(part, palette.LIGHT) for part in (spec, marks.theme(bool(figure.legend))))
    config |= {"background": palette.LIGHT["paper"], "padding": 16}
    return Chart(coloured, config, _VEGA_LITE, _PICTURE_SCALE if drawn.key in figure.first else None)


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text("utf-8")


@cache
def _vega() -> str:
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
    if "</script" in bundle.lower() or "<!--" in bundle:
        raise ValueError("the Vega bundle cannot stand inside a script element: pin vl-convert-python to 1.9")
    return bundle
