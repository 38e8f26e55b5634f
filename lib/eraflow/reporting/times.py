"""What each model took, as a section of the page."""

import pandas as pd

from eraflow.reporting.content import Cell, Group, Section, Table
from eraflow.reporting.text import number

TITLE = "Time"
_HEADS = ("Model", "Fits", "Learning, s", "Predicting, s", "Both, s")
_NOTE = (
    "Seconds on the clock, of all folds and the final model; the first fit of a run holds what Spark compiles for all. "
    "An ensemble learns its weights only."
)


def times_section(times: pd.DataFrame) -> Section:
    """times: model, fits (0 of an ensemble), fit_seconds, predict_seconds; a row for each model and ensemble."""
    heads = tuple(Cell(head, figure=head != "Model") for head in _HEADS)
    found = times[["model", "fits", "fit_seconds", "predict_seconds"]].itertuples(index=False)
    rows = tuple(
        (
            Cell(str(model), figure=False),
            Cell(str(fits) if fits else "", sort=fits),
            *map(_seconds, (fit, predict, fit + predict)),
        )
        for model, fits, fit, predict in found
    )
    return Section(TITLE, tables=(Table(TITLE, heads, (Group(rows),), _NOTE),))


def _seconds(value: float) -> Cell:
    return Cell(number(float(value), 1), sort=float(value))
