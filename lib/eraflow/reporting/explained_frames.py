"""What is told of one explained model, in small frames, and what its sections share."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from eraflow.reporting import palette
from eraflow.reporting.content import Cell, Entry
from eraflow.reporting.explained_charts import SHADES
from eraflow.reporting.text import number


@dataclass(frozen=True)
class Explained:
    """What is told of one model, in small frames; an empty one leaves no trace.

    prose: how its explanation was made and how faithful it is. unit: of contributions. basis: the eras it rests on.
    error: of what is sampled a column of points, live and importance: standard errors; 0 where values are exact.
    importance, groups, permutation: as `eraflow.explain.summary` has them, with gain and splits where there are trees,
    and with the name and the kind of each unit. by_era: era, feature, size. points: feature, level, contribution.
    curves, pair: dependence of `pair_of`. pairs: first, second, size, mean. verdicts: expected signs. live: id, place,
    feature, level, contribution; live_sums: id, base, sum, by sum. chosen: rows that were asked for; lime:
    of these, as `eraflow.explain.lime` has it.
    """

    model: str
    prose: tuple[str, ...]
    unit: str
    basis: str
    importance: pd.DataFrame = field(default_factory=pd.DataFrame)
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    permutation: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_era: pd.DataFrame = field(default_factory=pd.DataFrame)
    points: pd.DataFrame = field(default_factory=pd.DataFrame)
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    pair_of: tuple[str, str] | None = None
    pair: pd.DataFrame = field(default_factory=pd.DataFrame)
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    live: pd.DataFrame = field(default_factory=pd.DataFrame)
    live_sums: pd.DataFrame = field(default_factory=pd.DataFrame)
    chosen: tuple[str, ...] = ()
    lime: pd.DataFrame = field(default_factory=pd.DataFrame)


def level_legend() -> tuple[Entry, ...]:
    """The shades of levels."""
    middle = len(palette.DIVERGING) // 2
    return tuple(Entry(palette.DIVERGING[middle + shade], f"level {level}") for level, shade in SHADES.items())


def with_interval(row: dict[Any, Any], name: str, bounds: tuple[str, str] | None = None) -> Cell:
    """A mean with its interval below, where there is one."""
    low, high = bounds or (f"{name}_low", f"{name}_high")
    lines = () if pd.isna(row[low]) else (f"{number(row[low])} to {number(row[high])}",)
    return Cell(number(row[name]), lines, sort=order(row[name]))


def with_error(value: Any, error: Any) -> str:
    """A value, and its standard error where it is sampled."""
    is_exact = error is None or pd.isna(error) or error == 0
    return number(value) if is_exact else f"{number(value)} \N{PLUS-MINUS SIGN} {number(error)}"


def value_cell(value: Any) -> Cell:
    """A number; n/a where it is not known."""
    return Cell(number(value), sort=order(value))


def order(value: Any) -> float | None:
    """What a table sorts a number by."""
    return None if value is None or pd.isna(value) else float(value)
