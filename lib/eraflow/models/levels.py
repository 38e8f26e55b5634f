"""Packed levels as workers and files have them: rows x features, a byte each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eraflow.errors import InputError

Eras = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]
Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

CENTRE = 2  # of the levels 0 to 4; an unknown level counts as this one where nothing better is known


def matrix(features: pa.Array | pa.ChunkedArray, width: int) -> Levels:
    """Rows x features of a packed column, without a copy. InputError where a row has another number of them."""
    packed = features.combine_chunks() if isinstance(features, pa.ChunkedArray) else features
    if lengths := set(pc.unique(pc.list_value_length(packed)).to_pylist()) - {width}:
        raise InputError(f"rows have {lengths.pop()} features, not {width}; use the table the model was fitted on.")
    levels: Levels = packed.flatten().to_numpy().reshape(-1, width)
    return levels


def centred(levels: Levels, missing: int) -> npt.NDArray[np.float32]:
    """Levels less the middle one; what is missing is the middle."""
    return np.where(levels == missing, np.int8(0), levels - np.int8(CENTRE)).astype(np.float32)


def whole(weights: Vector) -> Vector:
    """The weights rounded so that any sum of them times centred levels is free of rounding, and so of their order."""
    largest = np.abs(weights).max()
    if largest == 0:
        return weights
    places = _WHOLE_BITS - np.ceil(np.log2(CENTRE * len(weights))) - np.ceil(np.log2(largest))
    return np.asarray(np.ldexp(np.rint(np.ldexp(weights, int(places))), -int(places)), dtype=np.float64)


_WHOLE_BITS = 52  # whole numbers of so many bits add up in floating point without rounding
