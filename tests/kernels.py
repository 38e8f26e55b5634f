"""Series computed by kernels in this process, without Spark."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from eraflow.features.kernels.machine import Rows, run
from eraflow.features.kernels.program import Program, program
from eraflow.features.series import Series

Array = npt.NDArray[np.float64]


def by_kernels(bars: pd.DataFrame, outputs: Mapping[str, Series]) -> pd.DataFrame:
    """`ticker`, `date` and a column for each output; `bars` holds `ticker, date, bar` and the inputs."""
    ordered = bars.sort_values(["ticker", "date"], ignore_index=True)
    found, _ = computed(program(outputs), ordered, rows_of(ordered))
    return pd.concat([ordered[["ticker", "date"]], pd.DataFrame(found)], axis=1)


def rows_of(ordered: pd.DataFrame) -> Rows:
    starts = np.flatnonzero(ordered["ticker"].ne(ordered["ticker"].shift()))
    return Rows.of(np.append(starts, len(ordered)), ordered["bar"].to_numpy(np.int64))


def computed(made: Program, bars: pd.DataFrame, rows: Rows) -> tuple[dict[str, Array], Array]:
    """The outputs by name, and the states that were kept."""
    columns = {name: bars[name].to_numpy(np.float64) for name in made.inputs}
    places = dict(run(made, columns, rows))
    return {name: places[place] for name, place in made.outputs.items()}, places[-1]
