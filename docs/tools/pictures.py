"""The pictures of docs/: `python docs/tools/pictures.py` draws them into docs/pictures, the same every time.

What they show is computed by the library itself: folds by its splitters, intervals by its scoring, a graph by its
learner. Each picture is one SVG that follows the reader's system into the dark.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from eraflow.ensembles.neutral import exposures, neutral_to
from eraflow.graphs.distances import all_pairs, squared_distances
from eraflow.graphs.layout import layout
from eraflow.graphs.learner import learn
from eraflow.reporting.palette import DARK, LIGHT, css
from eraflow.scoring.intervals import mean_interval
from eraflow.spans import spans_from_numbers
from eraflow.validation import BlockedKFold, Fold, WalkForward

FOLDER = Path(__file__).parents[1] / "pictures"
WIDTH = 600
FONT = "font: 16px system-ui, -apple-system, 'Segoe UI', sans-serif"
SEED = 6  # a draw in which as many intervals miss as in 2,000 (make bench-intervals): 31 and 5 %
PARTS = {"train": "train", "purged": "purge", "embargoed": "embargo", "validation": "validation"}


def svg(height: int, title: str, marks: Iterable[str]) -> str:
    """A picture of marks whose colours are those of the reports."""
    style = (
        f":root {{ {css(LIGHT)} }} @media (prefers-color-scheme: dark) {{ :root {{ {css(DARK)} }} }} "
        f"text {{ {FONT}; fill: var(--ink) }} .small {{ font-size: 14px; fill: var(--muted) }}"
    )
    body = "\n".join(marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n{body}\n</svg>\n"
    )


def text(x: float, y: float, words: str, small: bool = False, anchor: str = "start") -> str:
    """Words at a place."""
    kind = ' class="small"' if small else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str, round_by: float = 2) -> str:
    """A filled rectangle."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} rx="{round_by}" style="fill: var(--{colour})"/>'


def line(x: float, y: float, to_x: float, to_y: float, colour: str, width: float = 1.5, dashed: bool = False) -> str:
    """A straight line."""
    dash = "; stroke-dasharray: 4 3" if dashed else ""
    place = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {place} style="stroke: var(--{colour}); stroke-width: {width:.2f}{dash}"/>'


def dot(x: float, y: float, size: float, colour: str) -> str:
    """A filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" style="fill: var(--{colour})"/>'


def arrow(x: float, y: float, to_x: float) -> list[str]:
    """A short arrow to the right."""
    head = f"{to_x - 6:.1f},{y - 4:.1f} {to_x:.1f},{y:.1f} {to_x - 6:.1f},{y + 4:.1f}"
    return [line(x, y, to_x - 5, y, "muted"), f'<polygon points="{head}" style="fill: var(--muted)"/>']


def key(y: float, names: Sequence[tuple[str, str]]) -> list[str]:
    """A key of colours."""
    marks, x = [], 8.0
    for words, colour in names:
        marks += [box(x, y - 11, 13, 13, colour), text(x + 19, y, words, small=True)]
        x += 40 + 7.6 * len(words)
    return marks


def flow() -> str:
    """The way of the data."""
    top = [("prices, or", "Classic's files"), ("checks", "Delta tables"), ("features,", "eras, targets")]
    low = [("page, files,", "submission"), ("scores", "by era"), ("folds: fit,", "predict")]
    marks = []
    for row, cells in enumerate((top, low)):
        for at, words in enumerate(cells):
            x, y = 8.0 + at * 200, 8.0 + row * 100
            marks += [box(x, y, 164, 60, "train" if row == 0 else "above-1", 8)]
            marks += [text(x + 82, y + 26 + 19 * n, part, anchor="middle") for n, part in enumerate(words)]
    for at in (0, 1):
        marks += arrow(174 + at * 200, 38, 206 + at * 200)
        marks += [*_turned(arrow(0, 0, 32), 206 + at * 200, 138)]
    return svg(176, "The way of the data", [*marks, *_down(490, 68, 108)])


def _turned(marks: Sequence[str], x: float, y: float) -> list[str]:
    return [f'<g transform="translate({x:.1f} {y:.1f}) rotate(180)">', *marks, "</g>"]


def _down(x: float, y: float, to_y: float) -> list[str]:
    return [f'<g transform="translate({x:.1f} {y:.1f}) rotate(90)">', *arrow(0, 0, to_y - y), "</g>"]


def eras() -> str:
    """Weekly eras, and the span over which the label of each runs."""
    marks = [text(8, 20, "era"), text(64, 20, "weeks, and the days over which its label runs")]
    step, left = 40.0, 64.0
    for era in range(8):
        y = 40 + era * 24
        x = left + era * step
        marks += [text(14, y + 12, str(era + 1)), box(x, y, step - 4, 16, "validation")]
        marks += [box(x + step * 0.4, y + 4, step * 4.4, 8, "above-1" if era % 2 else "above-2")]
        marks += [dot(x + step * 0.15, y + 8, 3, "paper")]
    spans = "its label: 20 trading days, from two days on"
    marks += key(258, [("the era's own week", "validation"), (spans, "above-2")])
    return svg(270, "Weekly eras and their labels", marks)


def folds(title: str, made: Sequence[Fold], count: int) -> str:
    """Folds as rows of eras."""
    marks, left, wide = [], 64.0, (WIDTH - 72.0) / count
    for fold in made:
        y = 8 + (fold.number - 1) * 34
        marks.append(text(8, y + 18, f"fold {fold.number}"))
        for part, colour in PARTS.items():
            marks += [box(left + (era - 1) * wide, y, wide - 1.2, 24, colour, 1) for era in getattr(fold, part)]
    bottom = 8 + len(made) * 34
    marks += [text(left, bottom + 14, "era 1", small=True)]
    marks += [text(WIDTH - 8, bottom + 14, f"era {count}", small=True, anchor="end")]
    shown = {"trains": "train", "purged": "purged", "embargo": "embargoed", "validates": "validation"}
    used = [(words, PARTS[part]) for words, part in shown.items() if any(getattr(fold, part) for fold in made)]
    marks += key(bottom + 44, used)
    return svg(bottom + 56, title, marks)


def purge() -> str:
    """Walk-forward with what the labels purge."""
    made = WalkForward(4, min_train_eras=12).split(spans_from_numbers(range(1, 53), horizon_days=20, extra=0))
    return folds("Walk-forward: each fold trains on the past, and purges what its labels would tell", made, 52)


def embargo() -> str:
    """Blocked folds, purged on both sides."""
    splitter = BlockedKFold(4, embargo=3)
    made = splitter.split(spans_from_numbers(range(1, 53), horizon_days=20, extra=0))
    return folds("Blocked folds: purged on both sides, with an embargo after", made, 52)


def exposure() -> str:
    """How much predictions lean on each feature, before and after neutralisation."""
    draw = np.random.default_rng(SEED)
    features = draw.integers(0, 5, (600, 8)).astype(float)
    leaning = np.array([0.9, -0.6, 0.4, 0.25, 0.15, -0.1, 0.0, 0.0])
    predictions = ((features - 2) @ leaning + draw.normal(0, 1.0, 600))[:, None]
    half, whole = (neutral_to(predictions, features, share) for share in (0.5, 1.0))
    rows = [exposures(each, features)[0] for each in (predictions, half, whole)]
    names = ("as predicted", "half of it taken off", "all of it taken off")
    colours = ("strong", "above-2", "warn")
    marks = [text(8, 18, "correlation of predictions with each of eight features", small=True)]
    zero, scale = 100.0, 90.0
    for at in range(8):
        x = 30 + at * 70
        for n, row in enumerate(rows):
            tall = max(abs(row[at]) * scale, 1.0)
            marks.append(box(x + n * 17, zero - tall if row[at] > 0 else zero, 15, tall, colours[n], 1))
    marks += [line(8, zero, WIDTH - 8, zero, "muted", 1.0)]
    marks += key(182, list(zip(names, colours, strict=True)))
    return svg(194, "Exposure to features before and after neutralisation", marks)


def intervals() -> str:
    """Intervals of means of noise whose labels overlap: naive ones miss the truth too often."""
    draw = np.random.default_rng(SEED)
    marks, overlap, eras_each, rows, step = [], 4, 200, 60, 4
    for side, name in enumerate(("as if eras were independent", "as eraflow reckons")):
        left, missed = 8.0 + side * 300, 0
        marks.append(line(left + 140, 30, left + 140, 34 + rows * step, "muted", 1, dashed=True))
        series = np.random.default_rng(SEED) if side else draw
        for row in range(rows):
            noise = np.convolve(series.normal(0, 1, eras_each + overlap - 1), np.ones(overlap) / overlap, "valid")
            low, high = _naive(noise) if side == 0 else mean_interval(noise, overlap) or (0.0, 0.0)
            misses = not low <= 0 <= high
            missed += misses
            y, (begin, end) = 38.0 + row * step, (left + 140 + bound * 380 for bound in (low, high))
            marks.append(line(begin, y, end, y, "purge" if misses else "above-2", 2))
        marks.append(text(left, 18, name))
        marks.append(text(left, 58 + rows * step, f"{missed} of {rows} miss the true mean, 0", small=True))
    return svg(66 + rows * step, "95 % intervals of 60 means of noise whose labels overlap by four eras", marks)


def _naive(values: np.ndarray) -> tuple[float, float]:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def network() -> str:
    """A graph learned from momentum features of invented tickers in four groups."""
    draw = np.random.default_rng(SEED)
    groups = np.repeat(np.arange(4), 10)
    rows = draw.normal(0, 1.0, (4, 60))[groups] + draw.normal(0, 1.7, (40, 60))
    graph = learn(all_pairs(squared_distances(rows), 12), degree=5)
    places = layout(graph.edges, graph.weights)
    x, y = 20 + (places[:, 0] + 1) * 280, 20 + (places[:, 1] + 1) * 130
    thick = graph.weights / graph.weights.max()
    pairs = list(zip(graph.edges.first, graph.edges.second, thick, strict=True))
    marks = [line(x[a], y[a], x[b], y[b], "bar", 0.4 + 2.4 * weight) for a, b, weight in pairs]
    marks += [dot(x[at], y[at], 6.5, f"series-{(1, 2, 3, 7)[group]}") for at, group in enumerate(groups)]
    within = np.mean([groups[a] == groups[b] for a, b, _ in pairs])
    words = f"40 invented tickers, {len(pairs)} edges, {within:.0%} within a group (colour); chance: 23 %"
    return svg(312, "A learned graph over tickers", [*marks, text(8, 304, words, small=True)])


PICTURES: dict[str, Callable[[], str]] = {
    "flow": flow, "eras": eras, "purge": purge, "embargo": embargo, "exposure": exposure, "intervals": intervals,
    "network": network,
}  # fmt: skip


def main() -> None:
    """Draws all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, picture in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
