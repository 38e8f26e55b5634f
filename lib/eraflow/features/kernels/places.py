"""Where the tickers of an era stand among each other."""

from __future__ import annotations

import numpy as np

from eraflow.features.kernels.compiled import Values, kernel


@kernel
def quantiles_of_rows(x: Values, out: Values) -> None:
    """In each row of `x` the (average rank - 1/2) / n of every value among the n that are known, else NaN."""
    values = np.empty(x.shape[1])
    at = np.empty(x.shape[1], np.int64)
    for row in range(x.shape[0]):
        count = 0
        for column in range(x.shape[1]):
            out[row, column] = np.nan
            if x[row, column] == x[row, column]:
                values[count], at[count] = x[row, column], column
                count += 1
        order = np.argsort(values[:count])
        first = 0
        while first < count:
            last = first
            while last + 1 < count and values[order[last + 1]] == values[order[first]]:
                last += 1
            for place in range(first, last + 1):
                out[row, at[order[place]]] = ((first + last + 2) / 2.0 - 0.5) / count
            first = last + 1
