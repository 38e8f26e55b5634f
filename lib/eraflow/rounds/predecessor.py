"""How much the predictions of two runs have in common, as their validation eras show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.dataset as ds

MOST_ERAS = 100  # that are looked at, spread over all
LEAST_ERAS = 20  # for a band
ENDS = (0.01, 0.99)


def band(run: Path, model: str, before: Path, model_before: str) -> tuple[float, float] | None:
    """1 and 99 % of the eras' rank correlations of two runs' out-of-fold predictions; None where too few are common."""
    folders = [each / "oof.parquet" / f"model={name}" for each, name in ((run, model), (before, model_before))]
    if not all(folder.is_dir() for folder in folders):
        return None
    tables = [ds.dataset(folder, format="parquet", exclude_invalid_files=True) for folder in folders]
    present = [set(table.to_table(columns=["era"])["era"].unique().to_pylist()) for table in tables]
    eras = sorted(set.intersection(*present))
    if len(eras) < LEAST_ERAS:
        return None
    chosen = [eras[place] for place in np.unique(np.linspace(0, len(eras) - 1, MOST_ERAS).astype(int))]
    mine, theirs = [
        table.to_table(columns=["id", "era", "prediction"], filter=ds.field("era").isin(chosen)).to_pandas()
        for table in tables
    ]
    both = mine.merge(theirs, on=["era", "id"], how="inner", suffixes=("", "_before")).groupby("era")
    found = [group["prediction"].corr(group["prediction_before"], method="spearman") for _, group in both]
    finite = np.array([each for each in found if np.isfinite(each)])
    if len(finite) < LEAST_ERAS:
        return None
    low, high = np.quantile(finite, ENDS)
    return float(low), float(high)
