"""The sections that every report has, as far as its content holds what they show."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import pandas as pd

from eraflow.reporting import charts, frames, palette, spreads, tables
from eraflow.reporting.content import Chart, Entry, Figure, Metrics, Panel, ReportContent, Section, Table, figure
from eraflow.reporting.frames import ROLLING_ERAS
from eraflow.reporting.text import certainty, count_text, era_text, eras_text, metric_words, number, rests_on

HEADLINE_METRIC = "numerai_corr"
FEW_MODELS = 3


def headline_metric(content: ReportContent) -> str:
    """Numerai's correlation where it was scored, else the first metric."""
    metrics = list(dict.fromkeys(content.per_era["metric"]))
    return HEADLINE_METRIC if HEADLINE_METRIC in metrics or not metrics else str(metrics[0])


def sections(content: ReportContent) -> tuple[Section, ...]:
    """All sections in the order of the page."""
    metric = headline_metric(content)
    scores = frames.score_frame(_in_summary_order(content), metric)
    return (
        _scores(content, scores, metric),
        _metrics(content, metric),
        *_comparison(content, metric),
        *content.sections,
        *_folds(content, scores, metric),
        *_predictions(content),
        *_quality(content),
        *_run(content),
    )


def overview(content: ReportContent) -> tuple[tuple[Figure, ...], Table | None]:
    """What stands before the sections where there are too many models for cards: means in a chart and in a table."""
    metric = headline_metric(content)
    if len(content.summary) <= FEW_MODELS:
        return (), None
    return _means(content, metric), tables.leader_table(content.summary, metric, content.era_dates)


def _in_summary_order(content: ReportContent) -> pd.DataFrame:
    place = {model: number for number, model in enumerate(content.summary)}
    return content.per_era.sort_values("model", key=lambda models: models.map(place), kind="stable")


def _stats(content: ReportContent, model: str, metric: str) -> Metrics:
    return content.summary.get(model, {}).get(metric, {})


def _panels(scores: pd.DataFrame, draw: Callable[[pd.DataFrame], Chart]) -> tuple[Panel, ...]:
    """A chart for each model."""
    return tuple(Panel(str(model), draw(part)) for model, part in scores.groupby("model", sort=False))


def _models(content: ReportContent) -> list[str]:
    """All scored models; their order gives each its colour."""
    return list(dict.fromkeys(_in_summary_order(content)["model"]))


def _legend(models: list[str], shown: Iterable[str]) -> tuple[Entry, ...]:
    """Look of each shown model, if there are several."""
    if len(models) < 2:
        return ()
    held = set(shown)
    looks = [(number, model, *palette.series(number)) for number, model in enumerate(models) if model in held]
    return tuple(Entry(colour, str(model), dash, frames.field(number)) for number, model, colour, dash in looks)


# Scores


def _scores(content: ReportContent, scores: pd.DataFrame, metric: str) -> Section:
    if scores.empty:
        return Section("Scores by era", (f"No era has a {metric}.",))
    models = list(scores["model"].unique())
    words = metric_words(metric)
    prose = (f"{metric}: {words}, era by era.",) if words else ()
    drawn = (_bars(content, scores, metric), *_lines(content, scores, metric, models), _heat(content, scores, metric))
    return Section("Scores by era", prose, (*drawn, *_distributions(content, scores, metric)))


def _basis(content: ReportContent, models: Iterable[str], metric: str) -> str:
    """What a figure rests on: once where all models have the same eras."""
    bases = {str(model): rests_on(_stats(content, model, metric)) for model in models}
    distinct = list(dict.fromkeys(bases.values()))
    if len(distinct) == 1:
        return f"Rests on {distinct[0]}."
    if len(distinct) > FEW_MODELS:
        eras = [_stats(content, model, metric).get("eras") or 0 for model in bases]
        return (
            f"Rests on {count_text(min(eras))} to {eras_text(max(eras))} by model; the tables say which are effective."
        )
    return f"Rests on, by model: {'; '.join(f'{model} {basis}' for model, basis in bases.items())}."


def _bars(content: ReportContent, scores: pd.DataFrame, metric: str) -> Figure:
    extent = (float(scores["value"].min()), float(scores["value"].max()))
    models = list(scores["model"].unique())
    caption = f"A bar is an era; the line is the mean of the last {ROLLING_ERAS} scored eras."
    if scores.groupby("model").size().max() < ROLLING_ERAS:
        caption = f"A bar is an era. No rolling mean: it needs {ROLLING_ERAS} eras."
    if len(models) == 1:
        stats = _stats(content, models[0], metric)
        caption += f" Mean {number(stats.get('mean'))}, {certainty(stats)}."
    panels = _panels(scores, lambda part: charts.era_bars(part, metric, extent))
    return Figure("eras", f"{metric} by era", caption, panels, scores, _basis(content, models, metric))


def _lines(content: ReportContent, scores: pd.DataFrame, metric: str, models: list[str]) -> tuple[Figure, Figure]:
    every = _models(content)
    legend, basis = _legend(every, models), _basis(content, models, metric)
    ends = scores.groupby("model", sort=False)["cumulative"].last()
    depths = scores.groupby("model", sort=False)["drawdown"].min()
    cumulative = figure(
        "cumulative",
        f"Cumulative {metric}",
        f"Running sum over the eras; {_extremes(ends, 'at the end')}.",
        charts.model_lines(scores, "cumulative", every, height=260),
        scores[["model", "era", "date", "cumulative"]],
        basis=basis,
        legend=legend,
    )
    drawdown = figure(
        "drawdown",
        "Drawdown",
        f"Cumulative {metric} less its highest value so far; {_extremes(depths, 'deepest')}.",
        charts.model_lines(scores, "drawdown", every, height=130),
        scores[["model", "era", "date", "drawdown"]],
        basis=basis,
    )
    return cumulative, drawdown


def _extremes(values: pd.Series, word: str) -> str:
    """The value of a single model, one for each of few, the lowest and the highest of many."""
    if len(values) == 1:
        return f"{word} {number(values.iloc[0])}"
    if len(values) <= FEW_MODELS:
        return f"{word} {', '.join(f'{model} {number(value)}' for model, value in values.items())}"
    low, high = (f"{number(end)} ({model})" for model, end in values.sort_values().iloc[[0, -1]].items())
    return f"{word} between {low} and {high}"


def _heat(content: ReportContent, scores: pd.DataFrame, metric: str) -> Figure:
    cells = frames.heat_frame(scores)
    bounds = frames.heat_bounds(cells["value"])
    shape = "A row is a year, a cell the week of an era"
    if not (cells["date"].notna().all() and (cells["row"].str.len() == 4).all()):
        shape = f"A row is {frames.BLOCK} eras, a cell an era"
    decimals = max(2, next(d for d in range(2, 13) if all(abs(b - round(b, d)) < 1e-9 for b in bounds)))
    named = [number(bound, decimals) for bound in bounds]
    labels = (
        f"below {named[0]}",
        *(f"{a} to {b}" for a, b in pairwise(named)),
        f"above {named[-1]}",
    )
    return Figure(
        "heat",
        f"{metric} {'by year' if shape.startswith('A row is a year') else 'by blocks of eras'}",
        f"{shape}; the number beside a row is its mean.",
        _panels(cells, lambda part: charts.heat_map(part, bounds, metric)),
        cells,
        _basis(content, cells["model"].unique(), metric),
        tuple(Entry(colour, label) for colour, label in zip(palette.DIVERGING, labels, strict=True)),
        stacked=1,
    )


def _distributions(content: ReportContent, scores: pd.DataFrame, metric: str) -> tuple[Figure, ...]:
    bins = frames.bin_frame(scores)
    means = scores.groupby("model", sort=False)["value"].mean()
    extent = (float(bins["low"].min()), float(bins["high"].max()))
    top = float(bins["eras"].max())
    models = list(scores["model"].unique())
    basis = _basis(content, models, metric)
    panels = _panels(_with_mean(bins, means), lambda part: spreads.histogram(part, "eras", metric, extent, top))
    shape = Figure(
        "distribution", f"Distribution of {metric}", "Number of eras by their score; the line is the mean.",
        panels, bins, basis, is_grid=True,
    )  # fmt: skip
    if len(models) == 1:
        return (shape,)
    spread = frames.spread_frame(scores)
    words = "Box: the middle half of the eras and the median; whiskers: 5 to 95 %; dot: mean."
    rows = figure("spread", f"Spread of {metric}", words, spreads.spread_rows(spread, "model"), spread, basis=basis)
    return shape, rows


def _with_mean(bins: pd.DataFrame, means: pd.Series) -> pd.DataFrame:
    """Bins with the model's mean on its first row, where its chart reads it."""
    first = ~bins.duplicated("model")
    return bins.assign(mean=bins["model"].map(means).where(first))


# Metrics and comparison


def _means(content: ReportContent, metric: str) -> tuple[Figure, ...]:
    rows = [
        (model, stats["mean"], *(stats.get("interval") or (None, None)))
        for model, stats in ((str(model), _stats(content, model, metric)) for model in content.summary)
        if stats.get("mean") is not None
    ]
    if len(rows) < 2:
        return ()
    frame = pd.DataFrame(rows, columns=["model", "mean", "low", "high"]).astype({"low": float, "high": float})
    frame = frame.sort_values("mean", ascending=False, kind="stable")
    words = "Dot: mean over the eras; bar: its interval, which allows for overlapping labels."
    if frame["low"].isna().any():
        words += " A model without a bar has too few effective eras for one."
    chart = spreads.interval_rows(frame, "model", f"mean {metric}")
    basis = _basis(content, frame["model"], metric)
    return (figure("means", f"Mean {metric} of each model", words, chart, frame, basis=basis),)


def _metrics(content: ReportContent, metric: str) -> Section:
    table = tables.summary_table(content.summary, content.era_dates, metric)
    windows = tables.window_table(content.summary, metric)
    means = _means(content, metric) if len(content.summary) <= FEW_MODELS else ()
    shown = tuple(part for part in (table, windows) if part)
    prose = () if shown else ("No model was scored.",)
    return Section("Metrics", prose, (*means, *_every_metric(content, metric)), shown)


def _every_metric(content: ReportContent, headline: str) -> tuple[Figure, ...]:
    """The rolling mean of every other metric, by model."""
    ordered = _in_summary_order(content)
    models = _models(content)
    parts, panels = [], []
    for metric in dict.fromkeys(ordered["metric"]):
        scores = frames.score_frame(ordered, metric)
        if metric == headline or scores["rolling"].notna().sum() < 2:
            continue
        rolling = scores[scores["rolling"].notna()]
        parts.append(rolling.assign(metric=metric)[["metric", "model", "era", "date", "rolling"]])
        panels.append(Panel(str(metric), charts.model_lines(rolling, "rolling", models, height=180)))
    if not panels:
        return ()
    words = f"Mean of the last {ROLLING_ERAS} scored eras, each metric on its own scale."
    basis = _basis(content, models, headline)
    legend = _legend(models, models)
    return (
        Figure("rolling", "Other metrics over time", words, tuple(panels), pd.concat(parts), basis, legend, stacked=1),
    )


def _comparison(content: ReportContent, metric: str) -> tuple[Section, ...]:
    comparison = frames.both_ways(content.comparison)
    table = tables.comparison_table(comparison)
    if table is None:
        return ()
    shown = comparison[comparison["metric"] == metric] if (comparison["metric"] == metric).any() else comparison
    panels = tuple(
        Panel(
            f"{name}, less {other}",
            spreads.interval_rows(part.sort_values("mean", ascending=False, kind="stable"), "model", "difference"),
        )
        for (name, other), part in shown.groupby(["metric", "other"], sort=False)
    )
    drawn = Figure(
        "comparison",
        "Paired differences",
        f"Mean of a model's score less another's in the same era{_only(panels)}. "
        "An interval that spans 0 decides nothing.",
        panels,
        content.comparison,
        f"Rests on {_at_least(shown['eras'])} that both models have.",
        stacked=1,
    )
    return (Section("Comparison", (), (drawn,), (table,)),)


def _only(panels: tuple[Panel, ...]) -> str:
    return f": {panels[0].label}" if len(panels) == 1 else ""


def _at_least(eras: pd.Series) -> str:
    least = eras_text(int(eras.min()))
    return least if eras.nunique() == 1 else f"at least {least}"


# What the run was made from


def _folds(content: ReportContent, scores: pd.DataFrame, metric: str) -> tuple[Section, ...]:
    if content.folds is None:
        return ()
    runs = frames.fold_frame(content.folds, content.era_dates)
    table = tables.fold_table(content.folds, scores, content.summary, content.era_dates, metric)
    if runs.empty or table is None:
        return (Section("Folds", ("This run has no folds.",)),)
    first, last = (era_text(era, content.era_dates) for era in (int(runs["first"].min()), int(runs["last"].max())))
    caption = (
        f"{len(content.folds)} folds, one a row, from {first} to {last}: what each era is used for. "
        "Purged and embargoed eras are in neither training nor validation."
    )
    held = set(runs["part"])
    legend = tuple(
        Entry(colour, part) for part, colour in zip(palette.FOLD_PARTS, palette.FOLDS, strict=True) if part in held
    )
    diagram = figure(
        "folds", "Folds over eras", caption, charts.fold_diagram(runs, content.era_dates), runs, legend=legend
    )
    return (Section("Folds", (), (diagram,), (table,)),)


def _predictions(content: ReportContent) -> tuple[Section, ...]:
    bins = content.predictions
    if bins.empty:
        return ()
    totals = bins.groupby("model", sort=False)["rows"].sum()
    means = (bins["rows"] * (bins["low"] + bins["high"]) / 2).groupby(bins["model"], sort=False).sum() / totals

    def drawn_for(part: pd.DataFrame) -> Chart:
        if part["low"].min() == part["high"].max():  # a constant has no width to draw
            part = part.assign(low=part["low"] - 0.01, high=part["high"] + 0.01)
        extent = float(part["low"].min()), float(part["high"].max())
        return spreads.histogram(part, "rows", "prediction", extent, float(part["rows"].max()))

    panels = _panels(_with_mean(bins, means), drawn_for)
    counts = ", ".join(f"{model} {count_text(count)}" for model, count in totals.items())
    if totals.nunique() == 1:
        counts = count_text(totals.iloc[0])
    drawn = Figure(
        "predictions", "Out-of-fold predictions", "Number of rows by their prediction; the line is the mean.",
        panels, bins, f"Rests on rows: {counts}.", is_grid=True,
    )  # fmt: skip
    return (Section("Predictions", (), (drawn,)),)


def _quality(content: ReportContent) -> tuple[Section, ...]:
    if content.quality is None:
        return ()
    table = tables.quality_table(content.quality)
    if table is None:
        return (Section("Data quality", ("The checks of the raw data found nothing.",)),)
    return (Section("Data quality", (), (), (table,)),)


def _run(content: ReportContent) -> tuple[Section, ...]:
    table = tables.facts_table(content.facts)
    return (Section("Run", (), (), (table,)),) if table else ()
