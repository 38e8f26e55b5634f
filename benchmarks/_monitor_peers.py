"""Charts and drift tests of others, by their defaults, on the streams and rows of benchmarks/monitor.py."""

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import pandas as pd

from eraflow.monitoring.streams import Kind

NEVER = 10**9
ALLOWANCE, THRESHOLD = 0.5, 5.0  # of a CUSUM, as textbooks have them


def page_cusum(deviations: np.ndarray, _: Kind, since: int = 0) -> int | None:
    """The first round, from `since` on, at which Page's CUSUM of independent values alarms; NEVER without one.

    An alarm before that begins the chart anew, as river's does by itself.
    """
    total = 0.0
    for place, value in enumerate(deviations):
        total = max(0.0, total - float(value) - ALLOWANCE)
        if total > THRESHOLD:
            if place >= since:
                return place
            total = 0.0
    return NEVER


def page_hinkley(deviations: np.ndarray, _: Kind, since: int = 0) -> int | None:
    """The same of river's PageHinkley by its defaults; None where river is not installed."""
    if find_spec("river") is None:
        return None
    from river.drift import PageHinkley

    chart = PageHinkley()
    for place, value in enumerate(deviations):
        chart.update(float(value))
        if chart.drift_detected and place >= since:
            return place
    return NEVER


def evidently_drift(names: Sequence[str], before: np.ndarray, now: np.ndarray) -> str:
    """How many features evidently's preset calls drifted."""
    if find_spec("evidently") is None:
        return "not installed"
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=list(names))
    frames = [
        Dataset.from_pandas(pd.DataFrame(values, columns=list(names)).astype(float).replace(-1.0, np.nan), definition)
        for values in (now, before)
    ]
    try:
        found = Report([DataDriftPreset()]).run(frames[0], frames[1]).dict()
    except ValueError as error:
        return f"refused: {error}"[:60]
    (counted,) = [one["value"] for one in found["metrics"] if "DriftedColumnsCount" in str(one)]
    return f"{int(counted['count'])} of {len(names)}"
