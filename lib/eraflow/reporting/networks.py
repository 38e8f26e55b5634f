"""Learned networks on the page: graphs over tickers, and in short the graphs over a model's features."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from eraflow.reporting import marks, palette, spreads
from eraflow.reporting.content import Cell, Dates, Entry, Figure, Group, Panel, Section, Table, figure
from eraflow.reporting.text import count_text, era_text, eras_text, number, share

STRONGEST = 20
BINS = 30
_PICTURE = 560  # pixels
_SHAPES = ("circle", "square", "triangle-up")
_PROSE = (
    "A ticker's row holds its momentum features on every day of a look-back; the learner joins tickers whose rows are "
    "near, and graphs of several look-backs are averaged. What they are worth is told by the comparison of models: "
    "momentum alone, network alone, both (conf/network.yml)."
)


def network_section(
    by_era: pd.DataFrame, nodes: pd.DataFrame, edges: pd.DataFrame, picture: tuple[pd.DataFrame, pd.DataFrame],
    certificates: tuple[float, float], dates: Dates,
) -> Section:  # fmt: skip
    """The graphs over tickers. What needs sectors is left out where `same_sector` or `sector` are null.

    by_era: era, nodes, edges, same_sector, chance, low, high, kept, one row a graph. nodes, edges: of the last date,
    `ticker, sector, degree` and `source, target, weight`, heaviest first. picture: nodes with x, y and edges with x1,
    y1, x2, y2. certificates: the largest KKT residual and relative duality gap.
    """
    frame = by_era.assign(date=by_era["era"].map(dates))
    last = era_text(int(by_era["era"].max()), dates)
    figures = [
        *_sectors(frame),
        *_stability(frame),
        degrees("network-degrees", {"": nodes["degree"]}, "tickers", f"Rests on the graph of {last}."),
        _picture(*picture, len(nodes), last),
    ]
    return Section("Network", (_PROSE, _facts(frame, last, certificates)), tuple(figures), (_edge_table(nodes, edges),))


def _facts(frame: pd.DataFrame, last: str, certificates: tuple[float, float]) -> str:
    newest, (kkt, gap) = frame.iloc[-1], certificates
    degree = number(2 * newest["edges"] / newest["nodes"], 1)
    return (
        f"{count_text(len(frame))} graphs up to {last}; the last joins {count_text(newest['nodes'])} tickers by "
        f"{count_text(newest['edges'])} edges, {degree} at a ticker. No graph is further from the optimum than a KKT "
        f"residual of {kkt:.0e} and a relative duality gap of {gap:.0e}."
    )


def _sectors(frame: pd.DataFrame) -> tuple[Figure, ...]:
    if frame["same_sector"].isna().any():
        return ()
    caption = (
        f"Share of edges that stay within a sector: {share(frame['same_sector'].mean())} on average, and "
        f"{share(frame['chance'].mean())} if sectors were dealt at random; the band holds 95 % of such deals."
    )
    shown = frame[["era", "date", "same_sector", "chance", "low", "high"]]
    basis = f"Rests on the graphs of {eras_text(len(frame))}."
    return (figure("network-sectors", "Edges within a sector", caption, sector_lines(shown), shown, basis=basis),)


def _stability(frame: pd.DataFrame) -> tuple[Figure, ...]:
    shown = frame.loc[frame["kept"].notna(), ["era", "date", "kept"]]
    if len(shown) < 2:
        return ()
    caption = f"Share of a graph's edges that the next graph has too: {share(shown['kept'].mean())} on average."
    chart = era_line(shown, "kept", "edges kept")
    basis = f"Rests on {count_text(len(shown))} pairs of graphs."
    return (figure("network-overlap", "Stability", caption, chart, shown, basis=basis),)


def sector_lines(frame: pd.DataFrame) -> alt.LayerChart:
    """A line of same_sector, and chance with a band from low to high, over the eras of the frame."""
    base = marks.era_base(frame, ["era", "date", "same_sector", "chance", "low", "high"])
    x, y = marks.era_x("era", frame), alt.Y("same_sector:Q", title=None, axis=alt.Axis(format="~%"))
    layers = [
        base.mark_area(style="spread", aria=False).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q"),
        base.mark_line(style="whisker", aria=False).encode(x=x, y=alt.Y("chance:Q", title=None)),
        base.mark_line(style="rolling", aria=False).encode(x=x, y=y),
        marks.hover(base, frame, {"same_sector": "same sector", "chance": "chance", "low": "95 % from", "high": "to"}),
    ]
    return marks.layered(layers, height=170)


def era_line(frame: pd.DataFrame, column: str, title: str) -> alt.LayerChart:
    """A line of one column, a share, over the eras of the frame."""
    base = marks.era_base(frame, ["era", "date", column])
    y = alt.Y(f"{column}:Q", title=None, axis=alt.Axis(format="~%"))
    line = base.mark_line(style="rolling", aria=False).encode(x=marks.era_x("era", frame), y=y)
    return marks.layered([line, marks.hover(base, frame, {column: title})], height=130)


def degrees(key: str, held: Mapping[str, pd.Series], what: str, basis: str) -> Figure:
    """How many nodes have how many neighbours, a histogram for each graph by name."""
    parts = [_degree_bins(degree, what).assign(graph=name) for name, degree in held.items()]
    bins = pd.concat(parts, ignore_index=True)
    extent, top = (float(bins["low"].min()), float(bins["high"].max())), float(bins[what].max())
    panels = tuple(
        Panel(str(name), spreads.histogram(part, what, "neighbours", extent, top))
        for name, part in bins.groupby("graph", sort=False)
    )
    caption = f"Number of {what} by how many neighbours they have; the line is the mean."
    return Figure(key, "Degrees", caption, panels, bins, basis, is_grid=len(panels) > 1)


def _degree_bins(degree: pd.Series, what: str) -> pd.DataFrame:
    """Columns low, high, `what` and, on the first row, mean: bins of whole numbers, each around them."""
    step = max(1, -(-int(degree.max()) // BINS))
    counts = (degree // step).value_counts().sort_index()
    low = counts.index.to_numpy() * step - 0.5
    mean = np.where(np.arange(len(counts)) == 0, degree.mean(), np.nan)
    return pd.DataFrame({"low": low, "high": low + step, what: counts.to_numpy(), "mean": mean})


def _picture(nodes: pd.DataFrame, edges: pd.DataFrame, all_nodes: int, last: str) -> Figure:
    sectors = sorted(nodes["sector"].dropna().unique())
    which = f"The {len(nodes)} tickers of the largest weight" if len(nodes) < all_nodes else "All tickers"
    caption = (
        f"{which} on the last date and their heaviest {count_text(len(edges))} edges; nodes that are joined are drawn "
        "near."
    )
    legend = tuple(Entry(palette.series(place)[0], _marked(name, place)) for place, name in enumerate(sectors))
    ends = edges[["source", "target", "weight", "x1", "y1", "x2", "y2"]]
    frame = pd.concat([nodes.assign(kind="node"), ends.assign(kind="edge")], ignore_index=True)
    chart = graph_picture(nodes, edges, sectors)
    return figure("network-graph", "The graph", caption, chart, frame, basis=f"Rests on {last}.", legend=legend)


def _marked(name: str, place: int) -> str:
    shape = _SHAPES[place // len(palette.SERIES) % len(_SHAPES)]
    return name if shape == "circle" else f"{name} ({shape.split('-')[0]})"


def graph_picture(nodes: pd.DataFrame, edges: pd.DataFrame, sectors: list[str]) -> alt.LayerChart:
    """Nodes (ticker, sector, degree, x, y) and edges (weight, x1, y1, x2, y2) in the square from -1 to 1.

    Colours come from the place of a sector among `sectors`, which may be none; after eight, shapes change.
    """
    square = alt.Scale(domain=[-1.03, 1.03], nice=False, zero=False)
    x, y = (alt.X("x1:Q", scale=square, axis=None), alt.Y("y1:Q", scale=square, axis=None))
    weight = alt.StrokeWidth("weight:Q", scale=alt.Scale(range=[0.2, 2.0]), legend=None)
    lines = marks.base(edges, ["weight", "x1", "y1", "x2", "y2"]).mark_rule(style="edge", aria=False)
    tips = [marks.named("ticker", "ticker"), *marks.tips({"degree": "neighbours"}, "d")]
    looks = {}
    if sectors:
        shapes = [_SHAPES[place // len(palette.SERIES) % len(_SHAPES)] for place in range(len(sectors))]
        tips.insert(1, marks.named("sector", "sector"))
        looks = {
            "color": alt.Color("sector:N", title=None, scale=alt.Scale(domain=sectors)),
            "shape": alt.Shape("sector:N", title=None, scale=alt.Scale(domain=sectors, range=shapes)),
        }
    dots = marks.base(nodes, ["ticker", "sector", "degree", "x", "y"]).mark_point(
        style="node" if sectors else "mean", filled=True, size=55, opacity=1, aria=False
    )
    layers = [
        lines.encode(x=x, y=y, x2="x2:Q", y2="y2:Q", strokeWidth=weight),
        dots.encode(x=alt.X("x:Q", scale=square), y=alt.Y("y:Q", scale=square), tooltip=tips, **looks),
    ]
    return marks.layered(layers, height=_PICTURE)


def _edge_table(nodes: pd.DataFrame, edges: pd.DataFrame) -> Table:
    placed = nodes[nodes["sector"].notna()]
    sector: dict[str, str] = dict(zip(placed["ticker"], placed["sector"], strict=True))
    heads = ("Ticker", "Neighbour", *(("Sectors",) if sector else ()), "Weight")
    rows = []
    for one, other, weight in _strongest(edges):
        sectors = " and ".join(dict.fromkeys(sector.get(name, "") for name in (one, other)))
        names = (one, other, sectors) if sector else (one, other)
        rows.append((*(Cell(name, figure=False) for name in names), _weight(weight)))
    columns = tuple(Cell(head, figure=head == "Weight") for head in heads)
    return Table("Strongest edges of the last date", columns, (Group(tuple(rows)),))


def _strongest(edges: pd.DataFrame) -> list[tuple[str, str, float]]:
    first = edges.head(STRONGEST)
    return list(zip(first["source"], first["target"], first["weight"], strict=True))


def _feature_row(one: str, other: str, weight: float) -> tuple[Cell, ...]:
    return Cell(one, figure=False), Cell(other, figure=False), _weight(weight)


def _weight(value: float) -> Cell:
    return Cell(number(value), sort=float(value))


def feature_graphs_section(graphs: Mapping[str, pd.DataFrame]) -> Section:
    """The graphs over features that final models learned from: by model `source, target, weight`, heaviest first."""
    heads = ("Feature", "Neighbour", "Weight")
    groups = tuple(
        Group(tuple(_feature_row(*edge) for edge in _strongest(edges)), name) for name, edges in graphs.items()
    )
    counts = {model: pd.concat([edges["source"], edges["target"]]).value_counts() for model, edges in graphs.items()}
    prose = (
        "A model's graph joins features whose correlations with the target move together from era to era and that are "
        "alike themselves. It is learned in each fold from the eras that the model learns from; these are the final "
        "models' graphs. What their columns are worth is told by the comparison with the same model without them."
    )
    columns = tuple(Cell(head, figure=head == "Weight") for head in heads)
    drawn = degrees("feature-degrees", counts, "features", f"Rests on {count_text(len(graphs))} graphs.")
    return Section("Feature graphs", (prose,), (drawn,), (Table("Strongest edges", columns, groups),))
