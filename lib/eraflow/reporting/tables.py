"""Headlines and tables of a report: numbers as text, each score with the eras it rests on and its interval."""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eraflow.reporting.charts import Fold
from eraflow.scoring import CONFIDENCE, MIN_EFFECTIVE_ERAS, mean_interval

HEADLINE_METRIC = "numerai_corr"
NO_INTERVAL = f"no interval: fewer than {MIN_EFFECTIVE_ERAS} effective eras"
NO_VARIATION = "no interval: the eras do not vary"
MISSING = "n/a"

Metrics = Mapping[str, Any]
Summary = Mapping[str, Mapping[str, Metrics]]
Dates = Mapping[int, datetime.date]


@dataclass(frozen=True)
class Cell:
    """A table cell: its text, quieter lines below, and whether it is a figure (aligned right)."""

    text: str
    detail: tuple[str, ...] = ()
    figure: bool = True


@dataclass(frozen=True)
class Group:
    """Rows of a table under an optional heading."""

    rows: tuple[tuple[Cell, ...], ...]
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; its first column names the row, its note says how to read it."""

    label: str
    columns: tuple[Cell, ...]
    groups: tuple[Group, ...]
    note: str = ""


@dataclass(frozen=True)
class Headline:
    """The first figures of one model."""

    model: str
    mean: str
    certainty: str
    rests_on: str
    figures: tuple[tuple[str, str], ...]


def headlines(summary: Summary) -> list[Headline]:
    """The headline metric of every model."""
    return [
        Headline(
            model=str(model),
            mean=number(stats.get("mean")),
            certainty=certainty(stats),
            rests_on=rests_on(stats),
            figures=(
                ("Sharpe", number(stats.get("sharpe"), 2)),
                ("Max drawdown", number(stats.get("max_drawdown"))),
                ("Positive eras", share(stats.get("positive_share"))),
            ),
        )
        for model, stats in ((model, metrics.get(HEADLINE_METRIC, {})) for model, metrics in summary.items())
    ]


def summary_table(summary: Summary, dates: Dates) -> Table | None:
    """Every metric of every model, grouped by model."""
    names = (
        "Mean",
        "Interval of the mean",
        "Std",
        "Sharpe",
        "Max drawdown",
        "Positive",
        "Best era",
        "Worst era",
        "Eras",
    )
    groups = tuple(
        Group(tuple(_summary_row(metric, stats, dates) for metric, stats in metrics.items()), str(model))
        for model, metrics in summary.items()
    )
    note = "Effective eras are eras over the number of eras that one label spans. Sharpe is mean over std, per era."
    columns = (Cell("Metric", figure=False), *map(Cell, names))
    return Table("Metrics by model", columns, groups, note) if groups else None


def fold_table(folds: Sequence[Fold], scores: pd.DataFrame, summary: Summary, dates: Dates) -> Table | None:
    """Eras of every fold, and each model's mean over the validation eras; takes `score_frame` for the means."""
    if not folds:
        return None
    shared = sum(len(fold.validation) for fold in folds) > len({era for fold in folds for era in fold.validation})
    models = [] if shared else list(scores["model"].unique())
    names = ("Train", "Purged", "Embargoed", "Validation")
    columns = (
        Cell("Fold", figure=False),
        *map(Cell, names),
        *(Cell(str(model), (HEADLINE_METRIC,)) for model in models),
    )
    rows = tuple(
        (
            Cell(str(fold.number), figure=False),
            _eras_cell(fold.train, dates),
            _eras_cell(fold.purged, {}),
            _eras_cell(fold.embargoed, {}),
            _eras_cell(fold.validation, dates),
            *(_fold_mean(scores[scores["model"] == model], fold, summary.get(model, {})) for model in models),
        )
        for fold in folds
    )
    note = f"Mean {HEADLINE_METRIC} of a fold with its {100 * CONFIDENCE:g} % interval; {NO_INTERVAL}."
    if shared:
        note = f"Folds share validation eras, so {HEADLINE_METRIC} is not given by fold."
    note = f"Number of eras, first to last. {note}"
    return Table("Folds", columns, (Group(rows),), note)


def quality_table(quality: pd.DataFrame) -> Table | None:
    """Findings of the checks of the raw data."""
    rows = tuple(
        (Cell(str(check), figure=False), Cell(count_text(count)), Cell(_text(detail), figure=False))
        for check, count, detail in quality[["check", "count", "detail"]].itertuples(index=False)
    )
    columns = (Cell("Check", figure=False), Cell("Count"), Cell("Detail", figure=False))
    return Table("Data quality", columns, (Group(rows),)) if rows else None


def facts_table(facts: Mapping[str, str]) -> Table | None:
    """What the run was made from."""
    rows = tuple((Cell(str(name), figure=False), Cell(str(value), figure=False)) for name, value in facts.items())
    return Table("Run", (Cell("Fact", figure=False), Cell("Value", figure=False)), (Group(rows),)) if rows else None


# Numbers as text


def number(value: Any, decimals: int = 4) -> str:
    """Fixed decimals with a true minus sign; n/a for None and what is not finite."""
    if value is None or pd.isna(value) or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") and float(text) else text.removeprefix("-")


def share(value: Any) -> str:
    """A share of 1 as per cent."""
    return MISSING if value is None or pd.isna(value) else f"{100 * value:.1f} %"


def count_text(value: Any) -> str:
    """A whole number with thin groups of three; anything else as it is."""
    if value is None or pd.isna(value):
        return MISSING
    is_whole = not isinstance(value, str) and float(value).is_integer()
    return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if is_whole else str(value)


def eras_text(count: int) -> str:
    """A number of eras in words."""
    return "1 era" if count == 1 else f"{count_text(count)} eras"


def era_text(era: int, dates: Dates) -> str:
    """An era, with its date where it is known."""
    return f"era {era} ({dates[era]:%Y-%m-%d})" if era in dates else f"era {era}"


def certainty(stats: Metrics) -> str:
    """The interval of a mean, or why there is none."""
    if interval := _interval(stats):
        return f"{_confidence(stats)} {interval}"
    effective = stats.get("effective_eras")
    return NO_VARIATION if effective is not None and effective >= MIN_EFFECTIVE_ERAS else NO_INTERVAL


def rests_on(stats: Metrics) -> str:
    """The eras that a score rests on, with those that could not be scored."""
    eras, effective, without = stats.get("eras"), stats.get("effective_eras"), stats.get("eras_without_value")
    text = eras_text(eras or 0)
    text += "" if effective is None else f", {number(effective, 1).removesuffix('.0')} effective"
    return f"{text}, {count_text(without)} more without a value" if without else text


def _interval(stats: Metrics) -> str:
    interval = stats.get("interval")
    if interval is None or any(number(bound) == MISSING for bound in interval):
        return ""
    return f"{number(interval[0])} to {number(interval[1])}"


def _confidence(stats: Metrics) -> str:
    confidence = stats.get("confidence")
    return "interval" if confidence is None else f"{100 * confidence:g} % interval"


def _summary_row(metric: str, stats: Metrics, dates: Dates) -> tuple[Cell, ...]:
    eras, *basis = rests_on(stats).split(", ")
    return (
        Cell(str(metric), figure=False),
        Cell(number(stats.get("mean"))),
        _interval_cell(stats),
        Cell(number(stats.get("std"))),
        Cell(number(stats.get("sharpe"), 2)),
        Cell(number(stats.get("max_drawdown"))),
        Cell(share(stats.get("positive_share"))),
        _era_cell(stats.get("best_era"), dates),
        _era_cell(stats.get("worst_era"), dates),
        Cell(eras.partition(" ")[0], tuple(basis)),
    )


def _interval_cell(stats: Metrics) -> Cell:
    if interval := _interval(stats):
        return Cell(interval, (_confidence(stats),))
    word, _, reason = certainty(stats).partition(": ")
    return Cell(f"{word}:", (reason,))


def _era_cell(era: Any, dates: Dates) -> Cell:
    if era is None or pd.isna(era):
        return Cell(MISSING)
    return Cell(str(era), (f"{dates[era]:%Y-%m-%d}",) if era in dates else ())


def _eras_cell(eras: Sequence[int], dates: Dates) -> Cell:
    """How many eras, and the first and the last of them."""
    if not eras:
        return Cell("0")
    first, last = min(eras), max(eras)
    span = f"{first}" if first == last else f"{first} to {last}"
    if first not in dates or last not in dates:
        return Cell(count_text(len(eras)), (span,))
    return Cell(count_text(len(eras)), (span, f"{dates[first]:%Y-%m-%d} to", f"{dates[last]:%Y-%m-%d}"))


def _fold_mean(scores: pd.DataFrame, fold: Fold, metrics: Mapping[str, Metrics]) -> Cell:
    """Mean over the validation eras; a label's reach in eras, which its interval needs, follows from the summary."""
    values = scores.loc[scores["era"].isin(fold.validation), "value"].to_numpy(dtype=float)
    if not len(values):
        return Cell(MISSING)
    stats = metrics.get(HEADLINE_METRIC, {})
    eras, effective = stats.get("eras"), stats.get("effective_eras")
    interval = mean_interval(values, max(1, round(eras / effective))) if eras and effective else None
    bounds = f"{number(interval[0])} to {number(interval[1])}" if interval else "no interval"
    return Cell(number(values.mean()), (bounds, f"over {eras_text(len(values))}"))


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
