"""Rows of a Spark frame predicted by models that have learned: in Python workers, by the arithmetic of `fitted`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructField, StructType

from eraflow.errors import InputError
from eraflow.features.packing import narrowed
from eraflow.models.levels import matrix
from eraflow.models.member import Follower, Member, Names, RowEstimator, mean_rank
from eraflow.models.steps import Chosen

KEY = ("id", "era")
PREDICTION = StructField("prediction", DoubleType())
VALUES_AT_ONCE = 4_000_000  # that a worker predicts: as many doubles are 32 MB


def predicted(
    members: Sequence[Member],
    inputs: Names,
    missing: int,
    rows: DataFrame,
    history: DataFrame | None,
    carried: Sequence[str],
) -> DataFrame:
    """What `Fitted.predict` says."""
    selected = rows.select(*KEY, "features", *carried)
    parts = {member.name: _by_member(member, inputs, missing, selected, history) for member in members}
    if len(parts) == 1:
        return next(iter(parts.values()))
    together = reduce(DataFrame.unionByName, (part.withColumn("member", F.lit(name)) for name, part in parts.items()))
    return together.groupBy("era").applyInPandas(_blended, together.drop("member").schema)


def _by_member(member: Member, inputs: Names, missing: int, rows: DataFrame, history: DataFrame | None) -> DataFrame:
    others = rows.columns[len(KEY) + 1 :]
    estimator = member.estimator
    if isinstance(estimator, RowEstimator):
        schema = StructType([*rows.select(*KEY).schema, PREDICTION, *rows.select(*others).schema])
        return rows.mapInArrow(_worker(member, len(inputs), missing, others), schema)
    assert isinstance(estimator, Follower)
    if history is None:
        raise InputError("model: it follows tickers through time; give it the rows of the weeks before, too.")
    present, past, names = rows.select(*KEY, "features"), history.select(*KEY, "features"), inputs
    for step in member.steps:
        assert isinstance(step, Chosen)  # the config gives followers no graph over features
        taken = step.taken(len(names))
        present, past, names = narrowed(present, taken), narrowed(past, taken), step.names(names)
    found = estimator.predict(present, past, len(names), missing).select("id", "prediction")
    # A row that the history lacks has no prediction, which every check of a submission refuses.
    return rows.select(*KEY, *others).join(found, on="id", how="left").select(*KEY, "prediction", *others)


def _worker(
    member: Member, width: int, missing: int, others: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What a worker does with batches of rows."""
    names, at_once = [*KEY, "prediction", *others], max(1, VALUES_AT_ONCE // width)

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for begin in range(0, batch.num_rows, at_once):
                part = batch.slice(begin, at_once)
                levels, eras = matrix(part.column("features"), width), part.column("era").to_numpy(zero_copy_only=False)
                values = pa.array(member.values(levels, eras, missing))
                given = {name: part.column(name) for name in part.schema.names} | {"prediction": values}
                yield pa.RecordBatch.from_arrays([given[name] for name in names], names)

    return make


def _blended(rows: pd.DataFrame) -> pd.DataFrame:
    """One era: the rows of all members, in any order."""
    wide = rows.pivot(index="id", columns="member", values="prediction").sort_index()
    first = rows[rows["member"] == wide.columns[0]].set_index("id").loc[wide.index].reset_index().drop(columns="member")
    return first.assign(prediction=mean_rank(wide.to_numpy()))[[name for name in rows.columns if name != "member"]]
