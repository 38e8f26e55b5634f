"""Headlines and tables of a report, each score with the eras it rests on and its interval."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eraflow.reporting import palette
from eraflow.reporting.content import Cell, Dates, Group, Metrics, Summary, Table
from eraflow.reporting.frames import Fold
from eraflow.reporting.text import (
    MISSING,
    NO_INTERVAL,
    certainty,
    confidence,
    count_text,
    eras_text,
    interval_text,
    is_number,
    metric_words,
    number,
    rests_on,
    share,
    window_text,
)
from eraflow.scoring import CONFIDENCE, mean_interval

# Keys of a summary that stand beside another or in a column of their own kind.
_ELSEWHERE = {"mean", "interval", "confidence", "eras", "effective_eras", "eras_without_value", "folds"}
_ELSEWHERE |= {"best_era", "worst_era", "max_drawdown", "drawdown_eras"}
_FORMS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "std": ("Std", number),
    "sharpe": ("Sharpe", lambda value: number(value, 2)),
    "smart_sharpe": ("Smart Sharpe", lambda value: number(value, 2)),
    "sortino": ("Sortino", lambda value: number(value, 2)),
    "calmar": ("Calmar", lambda value: number(value, 2)),
    "autocorrelation": ("Autocorrelation", lambda value: number(value, 2)),
    "positive_share": ("Positive", share),
    "apy": ("APY", share),
    "payout": ("Payout", share),
}
_HEADLINES = ("sharpe", "max_drawdown", "positive_share")


@dataclass(frozen=True)
class Headline:
    """The first figures of one model, and the colour of its lines."""

    model: str
    colour: str
    mean: str
    certainty: str
    rests_on: str
    figures: tuple[tuple[str, str], ...]


def headlines(summary: Summary, metric: str) -> list[Headline]:
    """The headline metric of every model."""
    return [
        Headline(
            model=str(model),
            colour=palette.series(place)[0],
            mean=number(stats.get("mean")),
            certainty=certainty(stats),
            rests_on=rests_on(stats),
            figures=(
                ("Sharpe", number(stats.get("sharpe"), 2)),
                ("Max drawdown", number(stats.get("max_drawdown"))),
                ("Positive eras", share(stats.get("positive_share"))),
            ),
        )
        for place, (model, stats) in enumerate((model, held.get(metric, {})) for model, held in summary.items())
    ]


def leader_table(summary: Summary, metric: str, dates: Dates) -> Table:
    """The headline metric of many models, a row for each, best mean first."""
    stats = {model: metrics.get(metric, {}) for model, metrics in summary.items()}
    ranked = sorted(stats, key=lambda model: -_order(stats[model].get("mean"), -1e9))
    return _metric_rows(
        f"Models by mean {metric}", "Model", {"": {model: stats[model] for model in ranked}}, dates, _HEADLINES
    )


def summary_table(summary: Summary, dates: Dates, first: str) -> Table | None:
    """Every metric: a row for each if there is one model, else a group for each with a row for every model."""
    by_metric = _by_metric(summary, first)
    if not by_metric:
        return None
    if len(summary) == 1:
        only = {metric: next(iter(models.values())) for metric, models in by_metric.items()}
        return _metric_rows("Metrics", "Metric", {"": only}, dates)
    return _metric_rows("Metrics by model", "Model", by_metric, dates)


def window_table(summary: Summary, first: str) -> Table | None:
    """Mean over the last eras and by fold, where the summary has them, beside the mean over all."""
    by_metric = _by_metric(summary, first)
    every = [stats for models in by_metric.values() for stats in models.values()]
    windows = list(dict.fromkeys(key for stats in every for key in stats if window_text(key)))
    windows.sort(key=lambda key: int(key.split("_")[1]))
    folds = list(dict.fromkeys(fold for stats in every for fold in stats.get("folds") or {}))
    if not windows and not folds:
        return None
    columns = ["All eras", *map(window_text, windows), *(f"Fold {fold}" for fold in folds)]

    def cells(stats: Metrics) -> tuple[Cell, ...]:
        parts = [stats, *(stats.get(key) or {} for key in windows)]
        parts += [(stats.get("folds") or {}).get(fold) or {} for fold in folds]
        return tuple(map(_mean_cell, parts))

    single = len(summary) == 1
    groups = {
        metric: tuple((Cell(model, figure=False), *cells(stats)) for model, stats in models.items())
        for metric, models in by_metric.items()
    }
    if single:
        rows = tuple((Cell(metric, figure=False), *row[1:]) for metric, (row,) in groups.items())
        parts: tuple[Group, ...] = (Group(rows),)
    else:
        parts = tuple(Group(rows, metric) for metric, rows in groups.items())
    heads = (Cell("Metric" if single else "Model", figure=False), *map(Cell, columns))
    note = f"Mean of the eras with its {100 * CONFIDENCE:g} % interval and the number of eras; {NO_INTERVAL}."
    return Table("Means over the last eras and by fold", heads, parts, note)


def fold_table(
    folds: Sequence[Fold], scores: pd.DataFrame, summary: Summary, dates: Dates, metric: str
) -> Table | None:
    """Eras of every fold, and the mean of each of few models over the validation eras; takes `score_frame`."""
    if not folds:
        return None
    shared = sum(len(fold.validation) for fold in folds) > len({era for fold in folds for era in fold.validation})
    models = list(scores["model"].unique())
    given = any((stats.get(metric) or {}).get("folds") for stats in summary.values())
    shown = [] if shared or given or len(models) > 4 else models
    heads = (
        Cell("Fold", figure=False),
        *map(Cell, ("Train", "Purged", "Embargoed", "Validation")),
        *(Cell(str(model), (metric,)) for model in shown),
    )
    rows = tuple(
        (
            Cell(str(fold.number), figure=False, sort=fold.number),
            _eras_cell(fold.train, dates),
            _eras_cell(fold.purged, {}),
            _eras_cell(fold.embargoed, {}),
            _eras_cell(fold.validation, dates),
            *(_fold_mean(scores[scores["model"] == m], fold, summary.get(m, {}).get(metric, {})) for m in shown),
        )
        for fold in folds
    )
    note = "Number of eras, first to last."
    if shown:
        note += f" Mean {metric} of a fold with its {100 * CONFIDENCE:g} % interval; {NO_INTERVAL}."
    elif shared:
        note += f" Folds share validation eras, so {metric} is not given by fold."
    return Table("Folds", heads, (Group(rows),), note)


def comparison_table(comparison: pd.DataFrame) -> Table | None:
    """Paired differences of models: a group for each metric and baseline; takes `both_ways`."""
    has_share = "better_share" in comparison
    groups = tuple(
        Group(
            tuple(_comparison_row(row, has_share) for row in part.to_dict(orient="records")), f"{metric}, less {other}"
        )
        for (metric, other), part in comparison.groupby(["metric", "other"], sort=False)
    )
    names = ("Difference", f"{100 * CONFIDENCE:g} % interval", *(["Better in"] * has_share), "Eras")
    heads = (Cell("Model", figure=False), *map(Cell, names))
    note = "Mean of the difference within the eras that both models have; an interval that spans 0 decides nothing."
    return Table("Paired differences", heads, groups, note) if groups else None


def quality_table(quality: pd.DataFrame) -> Table | None:
    """Findings of the checks of the raw data."""
    rows = tuple(
        (
            Cell(str(check), figure=False),
            Cell(count_text(count), sort=_order(count, None)),
            Cell("" if pd.isna(detail) else str(detail), figure=False),
        )
        for check, count, detail in quality[["check", "count", "detail"]].itertuples(index=False)
    )
    heads = (Cell("Check", figure=False), Cell("Count"), Cell("Detail", figure=False))
    return Table("Data quality", heads, (Group(rows),)) if rows else None


def facts_table(facts: Mapping[str, str]) -> Table | None:
    """What the run was made from."""
    rows = tuple((Cell(str(name), figure=False), Cell(str(value), figure=False)) for name, value in facts.items())
    return Table("Run", (Cell("Fact", figure=False), Cell("Value", figure=False)), (Group(rows),)) if rows else None


def _by_metric(summary: Summary, first: str) -> dict[str, dict[str, Metrics]]:
    """The summary turned round: metric → model → measures, the metric `first` first."""
    names = dict.fromkeys(metric for metrics in summary.values() for metric in metrics)
    ordered = sorted(names, key=lambda metric: metric != first)
    return {
        metric: {str(model): metrics[metric] for model, metrics in summary.items() if metric in metrics}
        for metric in ordered
    }


def _metric_rows(
    label: str,
    head: str,
    groups: Mapping[str, Mapping[str, Metrics]],
    dates: Dates,
    only: Sequence[str] | None = None,
) -> Table:
    """A row of measures for each entry; measures that no entry has are left out."""
    every = [stats for group in groups.values() for stats in group.values()]
    held = {key for stats in every for key, value in stats.items() if is_number(value)}
    keys = [*(key for key in _FORMS if key in held), *sorted(held - set(_FORMS) - _ELSEWHERE)]
    keys = [key for key in keys if only is None or key in only]
    has_drawdown = "max_drawdown" in held
    eras = [key for key in ("best_era", "worst_era") if only is None and key in held]
    names = ["Mean", _interval_head(every), *(_form(key)[0] for key in keys)]
    names += ["Max drawdown"] * has_drawdown + [key.replace("_", " ").capitalize() for key in eras]
    names += ["Eras", "Effective"]

    def cells(name: str, stats: Metrics) -> tuple[Cell, ...]:
        words = metric_words(name) if head == "Metric" else ""
        row = [Cell(name, (words,) if words else (), figure=False), _value("mean", stats), _interval_cell(stats)]
        row += [_value(key, stats) for key in keys]
        row += [_drawdown_cell(stats, dates)] * has_drawdown
        row += [_era_cell(stats.get(key), dates) for key in eras]
        return (*row, *_basis_cells(stats))

    parts = tuple(
        Group(tuple(cells(str(name), stats) for name, stats in group.items()), heading)
        for heading, group in groups.items()
    )
    note = "Effective eras are eras over the number of eras that one label spans. Sharpe is mean over std, per era."
    return Table(label, (Cell(head, figure=False), *map(Cell, names)), parts, note)


def _form(key: str) -> tuple[str, Callable[[Any], str]]:
    return _FORMS.get(key, (key.replace("_", " ").capitalize(), number))


def _value(key: str, stats: Metrics) -> Cell:
    value = stats.get(key)
    return Cell(_form(key)[1](value), sort=_order(value, None))


def _order(value: Any, without: Any) -> Any:
    return value if is_number(value) else without


def _interval_head(every: Sequence[Metrics]) -> str:
    return next((confidence(stats) for stats in every if interval_text(stats)), "Interval").capitalize()


def _interval_cell(stats: Metrics) -> Cell:
    if interval := interval_text(stats):
        return Cell(interval, sort=stats["interval"][0])
    word, _, reason = certainty(stats).partition(": ")
    return Cell(f"{word}:", (reason,))


def _basis_cells(stats: Metrics) -> tuple[Cell, Cell]:
    """Eras, with those that have no value, and effective eras."""
    eras, effective, without = stats.get("eras"), stats.get("effective_eras"), stats.get("eras_without_value")
    more = (f"{count_text(without)} more without a value",) if without else ()
    shown = number(effective, 1).removesuffix(".0")
    return Cell(count_text(eras or 0), more, sort=eras or 0), Cell(shown, sort=_order(effective, None))


def _drawdown_cell(stats: Metrics, dates: Dates) -> Cell:
    depth, (high, low) = stats.get("max_drawdown"), stats.get("drawdown_eras") or (None, None)
    span = () if low is None else (f"{'start' if high is None else high} to {low}",)
    return Cell(number(depth), span, sort=_order(depth, None))


def _era_cell(era: Any, dates: Dates) -> Cell:
    if era is None or pd.isna(era):
        return Cell(MISSING)
    return Cell(str(era), (f"{dates[era]:%Y-%m-%d}",) if era in dates else (), sort=era)


def _eras_cell(eras: Sequence[int], dates: Dates) -> Cell:
    """How many eras, and the first and the last of them."""
    if not eras:
        return Cell("0", sort=0)
    first, last = min(eras), max(eras)
    span = [f"{first}" if first == last else f"{first} to {last}"]
    if first in dates and last in dates:
        span += [f"{dates[first]:%Y-%m-%d} to", f"{dates[last]:%Y-%m-%d}"]
    return Cell(count_text(len(eras)), tuple(span), sort=len(eras))


def _mean_cell(stats: Metrics) -> Cell:
    """A mean, its interval where there is one, and its eras."""
    if not stats.get("eras"):
        return Cell(MISSING)
    mean, lines = stats.get("mean"), (interval_text(stats), eras_text(stats["eras"]))
    return Cell(number(mean), tuple(filter(None, lines)), sort=_order(mean, None))


def _comparison_row(row: Mapping[Hashable, Any], has_share: bool) -> tuple[Cell, ...]:
    interval = MISSING if pd.isna(row["low"]) else f"{number(row['low'])} to {number(row['high'])}"
    cells = [Cell(str(row["model"]), figure=False), Cell(number(row["mean"]), sort=_order(row["mean"], None))]
    cells += [Cell(interval, sort=_order(row["low"], None))]
    if has_share:
        cells += [Cell(share(row["better_share"]), sort=_order(row["better_share"], None))]
    return (*cells, Cell(count_text(row["eras"]), sort=row["eras"]))


def _fold_mean(scores: pd.DataFrame, fold: Fold, stats: Metrics) -> Cell:
    """Mean over the validation eras; a label's reach in eras, which its interval needs, follows from the summary."""
    values = scores.loc[scores["era"].isin(fold.validation), "value"].to_numpy(dtype=float)
    if not len(values):
        return Cell(MISSING)
    eras, effective = stats.get("eras"), stats.get("effective_eras")
    interval = mean_interval(values, max(1, round(eras / effective))) if eras and effective else None
    bounds = f"{number(interval[0])} to {number(interval[1])}" if interval else "no interval"
    mean = float(values.mean())
    return Cell(number(mean), (bounds, f"over {eras_text(len(values))}"), sort=mean)
