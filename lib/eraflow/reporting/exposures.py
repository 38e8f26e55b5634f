"""Which features predictions lean on most, as a section of the page."""

import pandas as pd

from eraflow.reporting.content import Cell, Group, Section, Table
from eraflow.reporting.text import count_text, eras_text, number

_PREFIX = "max_exposure_"
_HEADS = ("Feature set", "Most often the largest", "In eras", "Mean largest", "Highest")
_NOTE = (
    "The largest exposure of an era is the greatest absolute correlation of predictions with one feature of the set."
)


def exposures_section(exposures: pd.DataFrame) -> tuple[Section, ...]:
    """A row for each model and feature set; no section without any.

    exposures: model, era, metric (`max_exposure_SET`), value, feature.
    """
    rows = tuple(
        _row(str(model), str(metric).removeprefix(_PREFIX), leaned)
        for (model, metric), leaned in exposures.dropna(subset="value").groupby(["model", "metric"], sort=False)
    )
    if not rows:
        return ()
    text = {"Feature set", "Most often the largest"}
    heads = (Cell("Model", figure=False), *(Cell(head, figure=head not in text) for head in _HEADS))
    return (Section("Exposures", (), (), (Table("Largest exposures", heads, (Group(rows),), _NOTE),)),)


def _row(model: str, features: str, rows: pd.DataFrame) -> tuple[Cell, ...]:
    counts = rows["feature"].value_counts(sort=False)
    most, times = max(counts.items(), key=lambda item: item[1])  # the first of equals
    eras, mean = rows["era"].nunique(), float(rows["value"].mean())
    highest = rows.sort_values("value", kind="stable").iloc[-1]
    return (
        Cell(model, figure=False),
        Cell(features, figure=False),
        Cell(str(most), (f"of {count_text(len(counts))} that were the largest",), figure=False),
        Cell(count_text(times), (f"of {eras_text(eras)}",), sort=int(times)),
        Cell(number(mean, 3), sort=mean),
        Cell(
            number(float(highest["value"]), 3),
            (str(highest["feature"]), f"era {highest['era']}"),
            sort=float(highest["value"]),
        ),
    )
