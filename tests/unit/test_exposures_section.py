"""The features that predictions lean on most, on the page."""

import dataclasses

import pandas as pd
from tests.unit.test_reporting import a_report, text_of

from eraflow.reporting import Page, exposures_section

COLUMNS = ["model", "era", "fold", "metric", "value", "feature"]


def test_the_feature_that_is_most_often_the_largest_is_named_with_its_eras() -> None:
    rows = [
        ("gbm", 1, 1, "max_exposure_own", 0.25, "rsi"),
        ("gbm", 2, 1, "max_exposure_own", 0.75, "beta"),
        ("gbm", 3, 1, "max_exposure_own", 0.5, "rsi"),
        ("gbm", 4, 1, "max_exposure_own", float("nan"), "size"),
    ]
    sections = exposures_section(pd.DataFrame(rows, columns=COLUMNS))

    words = text_of(Page(dataclasses.replace(a_report(models=("gbm",)), sections=sections)).html())

    assert "gbm own rsi of 2 that were the largest 2 of 3 eras 0.500 0.750 beta era 2" in words


def test_without_exposures_there_is_no_section() -> None:
    assert exposures_section(pd.DataFrame(columns=COLUMNS)) == ()
