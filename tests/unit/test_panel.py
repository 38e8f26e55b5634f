"""Histories of tickers as one array: which weeks a window holds, and what stands where nothing is known."""

import numpy as np
import pyarrow as pa
import pytest

from eraflow.errors import InputError
from eraflow.models.panel import panel

ROWS = pa.table(
    {
        "ticker": ["B", "A", "A", "A", "B"],
        "era": pa.array([7, 5, 6, 7, 4], pa.int32()),
        "features": pa.array([[4, 0], [0, 1], [-1, 2], [3, 4], [1, 1]], pa.list_(pa.int8())),
        "target": pa.array([0.5, None, 0.25, 1.0, 0.75], pa.float32()),
    }
)


def test_a_window_holds_the_weeks_up_to_an_era_the_oldest_first() -> None:
    data = panel(ROWS, range(5, 8), 2, -1)

    assert data.tickers == ("A", "B")
    expected = [
        [[-1, -0.5, 1], [0, 0, 1], [0.5, 1, 1]],  # levels 0 1, unknown 2, 3 4; the last column: there
        [[0, 0, 0], [0, 0, 0], [1, -1, 1]],
    ]
    np.testing.assert_array_equal(data.windows(7, 3, np.array([0, 1])), expected)
    np.testing.assert_array_equal(data.windows(6, 3, np.array([0])), [[[0, 0, 0], *expected[0][:2]]])


def test_the_future_changes_no_window() -> None:
    later = ROWS.set_column(2, "features", pa.array([[0, 0], [0, 1], [-1, 2], [0, 0], [1, 1]], pa.list_(pa.int8())))
    every = np.array([0, 1])

    first, other = panel(ROWS, range(5, 8), 2, -1), panel(later, range(5, 8), 2, -1)
    np.testing.assert_array_equal(first.windows(6, 2, every), other.windows(6, 2, every))
    assert (first.windows(7, 2, every) != other.windows(7, 2, every)).any()


def test_only_known_targets_are_labelled() -> None:
    data = panel(ROWS, range(5, 8), 2, -1)
    labelled = {era: [part.tolist() for part in data.labelled(era)] for era in data.eras}

    assert labelled == {5: [[], []], 6: [[0], [0.25]], 7: [[0, 1], [1.0, 0.5]]}


def test_rows_of_another_table_are_refused() -> None:
    with pytest.raises(InputError, match="rows have 2 features, not 3; use the table the model was fitted on"):
        panel(ROWS, range(5, 8), 3, -1)
