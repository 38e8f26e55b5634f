"""The live rows of Numerai Classic as `live.parquet` has them, read without Spark: some thousand rows of one era."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eraflow.config import fingerprint
from eraflow.errors import InputError
from eraflow.sources.classic_files import LIVE_ERA, Catalogue, Folder, Split, refuse_keys, splits
from eraflow.sources.classic_survey import ABSENT, MISSING, NO_LEVEL, Levels, levels_of

FILE = "live.parquet"
MEND = "download the file again, or wait for one that has them"  # what lacks more than the eras before


@dataclass(frozen=True)
class LiveFile:
    """`ids` in order and `levels`, rows x features; what the era does not have (nulls or 2 throughout) is MISSING."""

    ids: tuple[str, ...]
    levels: Levels
    dtype: str  # of the features in the file: int8 or float

    @cached_property
    def absent(self) -> npt.NDArray[np.bool_]:
        """Of each feature whether the era lacks it."""
        return np.asarray((self.levels == MISSING).all(axis=0))


def contract(folder: Folder, named: Catalogue) -> Split:
    """What live.parquet has, by its footer. InputError as `splits`, or it is not there."""
    if not folder.has(FILE):
        raise InputError(f"{folder.path} holds no {FILE}, which predictions are made for; add it.")
    (split,) = splits(folder, named, ("live",))
    return split


def refuse_dtype(split: Split, dtype: str) -> None:
    """InputError where the features are of another type than those that are learned from."""
    if split.dtype != dtype:
        raise InputError(
            f"{split.path} has features of type {split.dtype}, the other files of {dtype}; take all from one version "
            "of the data."
        )


def read(folder: Folder, split: Split, features: Sequence[str]) -> LiveFile:
    """The rows with these features, in this order.

    InputError: no rows, an id that is empty or there twice, another era or data_type than those of live rows, a value
    that is no level.
    """
    with folder.opened(FILE) as stream:
        table = pq.read_table(stream, columns=["id", "era", "data_type", *features])
    if not table.num_rows:
        raise InputError(f"{split.path} has no rows; download it again.")
    for era in pc.unique(table.column("era").cast(pa.string())).to_pylist():
        refuse_keys(split, era, ())
    refuse_keys(split, LIVE_ERA, [kind for kind in pc.unique(table.column("data_type")).to_pylist() if kind])
    ids = table.column("id").cast(pa.string())
    order = pc.sort_indices(ids)
    ids = ids.take(order).to_pylist()
    _refuse_ids(split, ids)
    levels = levels_of(table.combine_chunks().to_batches()[0], features)
    strange = ((levels < MISSING) | (levels >= NO_LEVEL)).any(axis=1)
    if strange.any():
        raise InputError(
            f"{split.path}: column {features[int(strange.argmax())]!r} holds a value that is none of the five levels "
            "(0 to 4, or 0 to 1 by quarters); download it again."
        )
    levels[((levels == ABSENT) | (levels == MISSING)).all(axis=1)] = MISSING
    return LiveFile(tuple(ids), np.ascontiguousarray(levels[:, order.to_numpy()].T), split.dtype)


def _refuse_ids(split: Split, ids: Sequence[str | None]) -> None:
    """`ids` in order, empty ones last."""
    if ids[-1] is None:
        raise InputError(f"{split.path} has a row without an id; download it again.")
    twice = next((one for one, other in pairwise(ids) if one == other), None)
    if twice is not None:
        raise InputError(f"{split.path}: id {twice!r} has {ids.count(twice)} rows; download it again.")


def catalogue_hash(features: Sequence[str]) -> str:
    """What tells one version of the data from another: the names of all features, in whatever order."""
    return fingerprint(sorted(features))


def is_invented(folder: Folder, names: Sequence[str]) -> bool:
    """Whether one of these files says that it is no file of Numerai's."""
    present = [name for name in names if name.endswith(".parquet") and folder.has(name)]
    return any(b"synthetic" in (folder.footer(name).metadata or {}) for name in present)


def content(folder: Folder) -> str:
    """The SHA-256 of the file."""
    with folder.opened(FILE) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def written(folder: Folder) -> date:
    """The day (UTC) on which the file was written, today where its store does not tell: Numerai's rows name no date."""
    ((_, _, nanoseconds),) = folder.identity([FILE])
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC) if nanoseconds else datetime.now(UTC)
    return moment.date()
