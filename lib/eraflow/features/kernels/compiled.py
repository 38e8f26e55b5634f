"""How kernels are compiled: by numba to native loops, once for a machine.

Native code is kept in `__pycache__` beside the module, or where that cannot be written in the user's cache folder
(`NUMBA_CACHE_DIR` names another); the next process loads it in milliseconds. A worker that may write nowhere compiles
for itself. The arithmetic is that of IEEE doubles in the order in which it is written: no fastmath.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """The function as a native loop, compiled for the types of the first call."""
    try:
        compiled: Callable[..., None] = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # there is no folder to keep it in
        compiled = numba.njit(error_model="numpy")(function)
    return compiled
