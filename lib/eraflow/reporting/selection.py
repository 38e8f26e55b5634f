"""Which features models have chosen, as a section of the page."""

import pandas as pd

from eraflow.reporting.content import Cell, Group, Section, Table
from eraflow.reporting.text import number, share

SHOWN = 40
_HEADS = ("Feature", "Kept in", "Mean score")
_PROSE = (
    "Features were chosen anew in each training part, by its own rows. What is kept in few of the parts was chosen by "
    "chance, or has changed."
)


def selection_section(kept: pd.DataFrame) -> Section:
    """How often each feature was kept.

    kept: model, fit (a fold's, of one target and seed), feature, score; a row for each feature that a fit kept.
    """
    groups = tuple(
        Group(_rows(rows), f"{model}: {rows['feature'].nunique()} kept in any of {rows['fit'].nunique()} fits")
        for model, rows in kept.groupby("model", sort=False)
    )
    heads = tuple(Cell(head, figure=head != "Feature") for head in _HEADS)
    note = f"The {SHOWN} kept most often; selected_features.csv holds all. The score is what the choice was made by."
    return Section("Selected features", (_PROSE,), tables=(Table("Selected features", heads, groups, note),))


def _rows(kept: pd.DataFrame) -> tuple[tuple[Cell, ...], ...]:
    fits = kept["fit"].nunique()
    counted = kept.groupby("feature", as_index=False).agg(times=("fit", "nunique"), score=("score", "mean"))
    counted = counted.sort_values(["times", "score", "feature"], ascending=[False, False, True]).head(SHOWN)
    return tuple(
        (
            Cell(str(feature), figure=False),
            Cell(share(times / fits), sort=times / fits),
            Cell(number(score, 3), sort=float(score)),
        )
        for feature, times, score in counted[["feature", "times", "score"]].itertuples(index=False)
    )
