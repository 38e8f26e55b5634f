"""Rows with what their tickers showed in the weeks before: what models that follow tickers are explained by.

Such a row's levels are those of its weeks side by side, the oldest first: of one week the row's own features alone. A
feature is its whole history there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.batches import lists
from eraflow.models.base import Training
from eraflow.models.blend import FittedBlend
from eraflow.models.fitted import Fitted
from eraflow.models.levels import Eras, Levels, Vector
from eraflow.models.member import Follower, Member, RowEstimator, by_era
from eraflow.models.panel import panel
from eraflow.models.sequence_scores import held, ticker


def weeks_of(model: Fitted | FittedBlend) -> int:
    """How many weeks a row must hold for all members of a model to be told what they read."""
    return max(_weeks(member) for member in _members(model))


def reads_whole_eras(model: Fitted | FittedBlend) -> bool:
    """Whether a row's prediction depends on the other rows of its era."""
    return any(is_whole(member) for member in _members(model))


def columns(member: Member, levels: Levels, eras: Eras, width: int) -> Levels:
    """Rows x (the weeks that it reads x its columns), of rows whose weeks have `width` features each."""
    weeks = []
    for back in range(_weeks(member) - 1, -1, -1):
        end = levels.shape[1] - back * width
        weeks.append(member.columns(levels[:, end - width : end], eras - back))
    return weeks[0] if len(weeks) == 1 else np.hstack(weeks)


def scores(member: Member, read: Levels, missing: int) -> Vector:
    """Predictions of rows of one era by the columns that the member reads."""
    estimator = member.estimator
    if isinstance(estimator, Follower):
        return estimator.scores(read.reshape(len(read), estimator.weeks, -1), missing)
    assert isinstance(estimator, RowEstimator)
    return estimator.values(read, missing)


def values(member: Member, levels: Levels, eras: Eras, missing: int, width: int) -> Vector:
    """Predictions of rows: of whole eras where it reads whole eras."""
    read = columns(member, levels, eras, width)
    if is_whole(member):
        return by_era(lambda rows: scores(member, read[rows], missing), eras)
    return scores(member, read, missing)


def windows(history: DataFrame, eras: Sequence[int], weeks: int, width: int, missing: int) -> DataFrame:
    """The rows of these eras, with `features` of `weeks` weeks; their other columns are as they were.

    `history` is `id, era, features` and others of all weeks; what a ticker did not show there is `missing`.
    """
    wanted = sorted(eras)
    span = range(wanted[0] - weeks + 1, wanted[-1] + 1)
    past = history.where(F.col("era").between(span.start, span.stop - 1)).withColumn("ticker", ticker())
    by_ticker = past.repartition("ticker")
    return by_ticker.mapInArrow(_worker(wanted, span, weeks, width, missing), history.schema)


def labelled_rows(training: Training, eras: Sequence[int], weeks: int) -> DataFrame:
    """`id, era, features, target` of these eras, with features of so many weeks; the target is null where unknown."""
    if weeks == 1 or not eras:
        return _of_week(training.rows(eras), training)
    rows = _of_week(training.table, training)
    return windows(rows, eras, weeks, len(training.feature_names), training.missing)


def _of_week(rows: DataFrame, training: Training) -> DataFrame:
    return rows.select("id", "era", "features", F.col(training.target).alias("target"))


def _worker(
    wanted: Sequence[int], span: range, weeks: int, width: int, missing: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What a worker does with all rows of its tickers."""

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = held(batches)
        if rows is None:
            return
        data = panel(rows.drop_columns([name for name in rows.column_names if name == "target"]), span, width, missing)
        place, every = {name: at for at, name in enumerate(data.tickers)}, rows.column("era").to_numpy()
        for era in wanted:
            of_era = rows.filter(pa.array(every == era))
            if len(of_era):
                at = [place[name] for name in of_era.column("ticker").to_pylist()]
                last = era - span.start + 1
                seen = data.levels[at, last - weeks : last].reshape(len(of_era), -1)
                names = [name for name in of_era.column_names if name != "ticker"]
                arrays = [lists(seen) if name == "features" else of_era.column(name).combine_chunks() for name in names]
                yield pa.RecordBatch.from_arrays(arrays, names)

    return make


def _members(model: Fitted | FittedBlend) -> list[Member]:
    models = model.models.values() if isinstance(model, FittedBlend) else [model]
    return [member for one in models for member in one.members]


def _weeks(member: Member) -> int:
    return member.estimator.weeks if isinstance(member.estimator, Follower) else 1


def is_whole(member: Member) -> bool:
    """Whether its prediction of a row depends on the other rows of the era."""
    return isinstance(member.estimator, Follower) and member.estimator.reads_whole_eras
