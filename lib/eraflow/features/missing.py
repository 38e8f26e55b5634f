"""How much of each feature is missing: live rows may lack no more than the eras that models learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

from eraflow.errors import InputError

COMPARED = 52  # eras before the live one
SPREAD = 0.1  # by which the live rows' share of missing values may be above the largest of theirs
EXAMPLES = 3


def most_missing(rows: DataFrame, names: Sequence[str], missing: int) -> dict[str, float]:
    """By feature the largest share of an era's rows in which it is `missing`; those that never are so are left out.

    `rows` are `era, features` of some eras. A row an era and task, of some bytes a feature, comes to the driver.
    """

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        seen: dict[int, tuple[int, npt.NDArray[np.int64]]] = {}
        for batch in batches:
            eras, lacks = batch.column("era").to_numpy(), _levels(batch) == missing
            for era in np.unique(eras).tolist():
                of_era = lacks[eras == era]
                rows, counts = seen.get(era, (0, np.zeros(lacks.shape[1], dtype=np.int64)))
                seen[era] = rows + len(of_era), counts + of_era.sum(axis=0)
        yield pa.RecordBatch.from_pylist(
            [{"era": era, "rows": rows, "counts": counts.tobytes()} for era, (rows, counts) in seen.items()],
            pa.schema([("era", pa.int32()), ("rows", pa.int64()), ("counts", pa.binary())]),
        )

    rows_of: dict[int, int] = {}
    counts_of: dict[int, npt.NDArray[np.int64]] = {}
    # One row an era and task, with a count for each feature.
    found = rows.select("era", "features").mapInArrow(count, "era int, rows long, counts binary").collect()
    for era, rows_seen, counts in found:
        rows_of[era] = rows_of.get(era, 0) + rows_seen
        counts_of[era] = counts_of.get(era, 0) + np.frombuffer(counts, dtype=np.int64)
    shares = [counts_of[era] / rows_of[era] for era in rows_of]
    most = np.max(shares, axis=0) if shares else np.zeros(len(names))
    return {name: float(share) for name, share in zip(names, most, strict=True) if share}


def _levels(batch: pa.RecordBatch) -> npt.NDArray[np.int8]:
    values: npt.NDArray[np.int8] = batch.column("features").flatten().to_numpy()
    return values.reshape(batch.num_rows, -1)


def refuse_missing(
    levels: npt.NDArray[np.int8], names: Sequence[str], missing: int, most: Mapping[str, float], where: str, mend: str
) -> None:
    """InputError where a feature is missing in more of the live rows than in any era of `most`, by more than SPREAD.

    `levels` are rows x features; `where` and `mend` say of which rows, and what a user can do.
    """
    live = (levels == missing).mean(axis=0)
    before = np.array([most.get(name, 0.0) for name in names])
    worse = np.flatnonzero(live > before + SPREAD)
    if len(worse):
        worst = worse[np.argsort(-live[worse], kind="stable")]
        named = [f"{names[at]} in {live[at]:.0%} (at most {before[at]:.0%} before)" for at in worst[:EXAMPLES]]
        others = f" and {len(worse) - EXAMPLES} more features" if len(worse) > EXAMPLES else ""
        raise InputError(
            f"{where}: more is missing than in the eras that models learn from: {', '.join(named)}{others}; {mend}."
        )
