"""The training table: packed levels and targets of every ticker at every era."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from eraflow.batches import groups, joined, lists, matrix
from eraflow.features import cross_section
from eraflow.features.ranking import Ranking
from eraflow.features.sets import EXPOSURES, columns

# A ticker that did not trade on the very day is taken at its last price of this many sessions; after that its label is
# unknown. So a halt of a day costs no labels, and a delisted ticker has none that reach further past its end.
STALE_SESSIONS = 5
KINDS = ("raw", "sector", "neutral")
ERAS_A_CHUNK = 20  # follow each other in one task


def era_days(spark: SparkSession, days: Sequence[tuple[int, str, date]]) -> DataFrame:
    """`era, country, date`: of each era and country its day; some thousand rows for each country."""
    return spark.createDataFrame(pd.DataFrame(days), "era int, country string, date date")


def on_days(rows: DataFrame, days: DataFrame) -> DataFrame:
    """The rows that are of one of the `era_days`, with its era."""
    return rows.join(F.broadcast(days), on=["country", "date"], how="inner")


def from_date(rows: DataFrame, first: date) -> DataFrame:
    """The rows of this day and of later ones."""
    return rows.where(F.col("date") >= F.lit(first))


def training_table(
    daily: DataFrame,
    prices: DataFrame,
    eras: Sequence[tuple[int, str, date]],
    sessions: Mapping[str, int],
    ranking: Ranking,
    horizons: Sequence[int],
    lag: int,
    exposures: Sequence[str],
    era_block: int,
    others: Sequence[str] = (),
    id_dates: Mapping[tuple[int, str], date] | None = None,
) -> DataFrame:
    """`id, era, era_block, features array<tinyint>, target_KIND_HORIZON float`, and `others`.

    `id` is `TICKER_YYYY-MM-DD`. `features` are the levels 0..4 in the order of `ranking.names`, cross_section.MISSING
    where a value is not known. Rows are the universe's members. `others` are further targets, which `daily` holds as
    columns.

    `eras`: of each era and country its day; of two eras with one day `daily` names the row's. `sessions`: by country
    the number of trading days there are; a label that ends after the last is null. `prices` has `masked`, where neither
    features nor labels over the day are known. `id_dates`: by era and country the date in ids, where it is not the day.
    """
    named = id_dates or {}
    dated = pd.DataFrame([(*row, named.get(row[:2], row[2])) for row in eras])
    days = F.broadcast(daily.sparkSession.createDataFrame(dated, "era int, country string, date date, named date"))
    labels = forward_returns(prices, horizons, lag, sessions).join(days, on=["country", "date"], how="left_semi")
    keys = ["country", "date", *(["era"] if "era" in daily.columns else [])]
    rows = (
        daily.join(days, on=keys, how="inner")
        .join(labels.drop("country"), on=["ticker", "date"], how="left")
        .where(F.coalesce("member", F.lit(True)))
        .select(
            F.floor(F.col("era") / ERAS_A_CHUNK).alias("chunk"),
            "era",
            F.concat_ws("_", "ticker", F.col("named").cast("string")).alias("id"),
            "sector",
            "country",
            F.coalesce("masked", F.lit(False)).alias("masked"),
            "ranked",
            "exposures",
            *map(_forward, horizons),
            *others,
        )
    )
    place = list(columns(EXPOSURES))
    make = Crossed(ranking, tuple(horizons), tuple(place.index(name) for name in exposures), era_block, tuple(others))
    # All rows of an era come to one task, some eras after each other.
    return rows.repartition("chunk").sortWithinPartitions("era").mapInArrow(make, schema(horizons, others))


def schema(horizons: Sequence[int], others: Sequence[str] = ()) -> str:
    """The columns of the training table in Spark's DDL."""
    computed = [f"target_{kind}_{horizon}" for horizon in horizons for kind in KINDS]
    floats = [f"{name} float" for name in (*computed, *others)]
    return ", ".join(["id string", "era int", "era_block int", "features array<tinyint>", *floats])


def forward_returns(prices: DataFrame, horizons: Sequence[int], lag: int, sessions: Mapping[str, int]) -> DataFrame:
    """`ticker, date, country, sector, member, masked` and, for each horizon, the forward return.

    It is the total return from `lag` sessions after the date over as many more as the horizon has. Null where the
    label's last day is not known yet, where the ticker has no price near enough to its ends, or where it reaches over a
    masked day.
    """
    history = Window.partitionBy("ticker").orderBy("session")

    def price_after(days: int, oldest: int) -> Column:
        return F.last("total_return").over(history.rangeBetween(oldest, days))

    def masked_until(days: int) -> Column:
        """How many masked days the ticker has had until so many sessions later: cheaper than to look at each."""
        until = history.rangeBetween(Window.unboundedPreceding, days)
        return F.coalesce(F.sum(F.col("masked").cast("int")).over(until), F.lit(0))

    def label(horizon: int) -> Column:
        has_ended = F.col("session") + lag + horizon < F.col("sessions")
        unmasked = masked_until(lag + horizon) == masked_until(lag - 1)
        last = price_after(lag + horizon, lag + max(1, horizon - STALE_SESSIONS + 1))
        return F.when(has_ended & unmasked, last / entry - 1.0).alias(_forward(horizon))

    entry = price_after(lag, max(0, lag - STALE_SESSIONS + 1))
    return prices.join(_sessions(prices.sparkSession, sessions), on="country", how="inner").select(
        "ticker", "date", "country", "sector", "member", "masked", *(label(horizon) for horizon in horizons)
    )


def _sessions(spark: SparkSession, sessions: Mapping[str, int]) -> DataFrame:
    return F.broadcast(spark.createDataFrame(list(sessions.items()), "country string, sessions int"))


def _forward(horizon: int) -> str:
    return f"forward_{horizon}"


@dataclass(frozen=True)
class Crossed:
    """What is compared across the tickers of an era, in a worker: sorted rows of eras become rows of the table."""

    ranking: Ranking
    horizons: tuple[int, ...]
    exposures: tuple[int, ...]  # places among EXPOSURES of those that targets are neutral to
    era_block: int
    others: tuple[str, ...]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return joined(self._era(rows) for rows in groups(batches, "era"))

    def _era(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        # The order in which Spark brings an era's rows is not fixed; sums below depend on it to the last bit.
        rows = rows.take(pc.sort_indices(rows.column("id")))
        ranked, exposed = (matrix(rows.column(name)) for name in ("ranked", "exposures"))
        ranked[rows.column("masked").to_numpy(zero_copy_only=False)] = np.nan
        groups = {name: rows.column(name).to_numpy(zero_copy_only=False) for name in ("sector", "country")}
        levels = self.ranking.levels(ranked, groups, exposed)
        found = {"id": rows.column("id"), "era": rows.column("era")}
        found["era_block"] = pa.array(rows.column("era").to_numpy() // self.era_block, pa.int32())
        found["features"] = lists(levels)
        for horizon in self.horizons:
            returns = rows.column(_forward(horizon)).to_numpy(zero_copy_only=False)
            targets = cross_section.targets(returns, groups["sector"], exposed[:, self.exposures])
            found |= {f"target_{kind}_{horizon}": _floats(targets[kind]) for kind in KINDS}
        found |= {name: _floats(rows.column(name).to_numpy(zero_copy_only=False)) for name in self.others}
        return pa.record_batch(found)


def _floats(values: npt.NDArray[np.float64]) -> pa.Array:
    """Null where a value is not known."""
    return pa.array(values.astype(np.float32), mask=np.isnan(values))
