"""Frames that were written as CSV, read back."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

NAMES = ("model", "metric", "feature", "part", "source", "target", "kind", "slot", "version")


def read_frame(file: Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    """The frame in a file that `to_csv` wrote, or some of its columns. An empty field is missing, and nothing else is.

    Names (columns of NAMES) stay words: a model may be called NA, NULL or TRUE.
    """
    wanted = None if columns is None else set(columns)
    return pd.read_csv(
        file, usecols=None if wanted is None else wanted.__contains__, dtype=dict.fromkeys(NAMES, "str"),
        keep_default_na=False, na_values=[""],
    )  # fmt: skip
