"""The training table: packed levels and targets of every ticker at every era."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.batches import groups, joined, lists, matrix
from eraflow.features import cross_section
from eraflow.features.cross_section import Groups
from eraflow.features.ranking import Ranking
from eraflow.features.sets import EXPOSURES, columns
from eraflow.packages import Batches, Source, brought_together, by_bucket, parts
from eraflow.ticker_rows import TickerRows

# A ticker that did not trade on the very day is taken at its last price of this many sessions; after that its label is
# unknown. So a halt of a day costs no labels, and a delisted ticker has none that reach further past its end.
STALE_SESSIONS = 5
LABELLED = ("ticker", "date", "country", "sector", "member", "masked")
KEYS = ["era", "country", "ticker"]
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
    spark, named = daily.sparkSession, id_dates or {}
    dated = pd.DataFrame([(*row, named.get(row[:2], row[2])) for row in eras])
    days = F.broadcast(spark.createDataFrame(dated, "era int, country string, date date, named date"))
    keys = ["country", "date", *(["era"] if "era" in daily.columns else [])]
    rows = daily.join(days, on=keys, how="inner").select(
        "era", "ticker", F.concat_ws("_", "ticker", F.col("named").cast("string")).alias("id"), "country", "ranked",
        "exposures", *others,
    )  # fmt: skip
    labelled = forward_returns(prices, horizons, lag, sessions).then(OnDays.of(eras))
    place = list(columns(EXPOSURES))
    make = Crossed(ranking, tuple(horizons), tuple(place.index(name) for name in exposures), era_block, tuple(others))
    # No more parts than chunks, whatever Spark takes the size of joined features to be.
    most = len({era // ERAS_A_CHUNK for era, _, _ in eras})
    together = brought_together(_chunk, min(parts(daily), most), Source(rows), labelled.source(joined))
    return together.mapInArrow(make, schema(horizons, others))


def _chunk(rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
    chunk: npt.NDArray[np.int64] = rows.column("era").to_numpy().astype(np.int64) // ERAS_A_CHUNK
    return chunk


def schema(horizons: Sequence[int], others: Sequence[str] = ()) -> str:
    """The columns of the training table in Spark's DDL."""
    computed = [f"target_{kind}_{horizon}" for horizon in horizons for kind in KINDS]
    floats = [f"{name} float" for name in (*computed, *others)]
    return ", ".join(["id string", "era int", "era_block int", "features array<tinyint>", *floats])


def forward_returns(prices: DataFrame, horizons: Sequence[int], lag: int, sessions: Mapping[str, int]) -> TickerRows:
    """Of each ticker the columns LABELLED of its bars and, for each horizon, `forward_HORIZON`: its forward return.

    A return is the total return from `lag` sessions after the date over as many more as the horizon has. Null where the
    label's last day is not known yet, where the ticker has no price near enough to its ends, or where it reaches over a
    masked day.
    """
    bars = prices.select(*LABELLED, "session", "total_return").where(F.col("country").isin([*sessions]))
    return TickerRows.of(parts(prices, are_some_days=True), Source(bars)).then(
        by_country, _Labels(tuple(horizons), lag, dict(sessions))
    )


def by_country(rows: pa.RecordBatch) -> list[pa.RecordBatch]:
    """A step: a ticker that moves to another exchange ends on the first, since their sessions are counted apart."""
    return [rows.filter(pc.equal(rows.column("country"), name)) for name in pc.unique(rows.column("country"))]


@dataclass(frozen=True)
class _Labels:
    """The step of `forward_returns`."""

    horizons: tuple[int, ...]
    lag: int
    sessions: Mapping[str, int]

    def __call__(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
        session, level = (rows.column(name).to_numpy(zero_copy_only=False) for name in ("session", "total_return"))
        masked = np.append(0, np.cumsum(rows.column("masked").to_numpy(zero_copy_only=False)))
        ends = self.sessions[rows.column("country")[0].as_py()]

        def until(days: int) -> npt.NDArray[np.intp]:
            """How many bars the ticker has had until so many sessions later."""
            count: npt.NDArray[np.intp] = np.searchsorted(session, session + days, side="right")
            return count

        def price_after(days: int, oldest: int) -> npt.NDArray[np.float64]:
            last = until(days) - 1
            return np.where((last >= 0) & (session[last] >= session + oldest), level[last], np.nan)

        lag, found = self.lag, {name: rows.column(name) for name in LABELLED}
        entry, masked_before = price_after(lag, max(0, lag - STALE_SESSIONS + 1)), masked[until(lag - 1)]
        for horizon in self.horizons:
            has_ended = session + lag + horizon < ends
            unmasked = masked[until(lag + horizon)] == masked_before
            last = price_after(lag + horizon, lag + max(1, horizon - STALE_SESSIONS + 1))
            label = np.where(has_ended & unmasked, last / entry - 1.0, np.nan)
            found[_forward(horizon)] = pa.array(label, from_pandas=True)
        return (pa.record_batch(found),)


@dataclass(frozen=True)
class OnDays:
    """A step that leaves of a ticker's rows in one country those on its days of eras, once for each `era`."""

    eras: Mapping[str, npt.NDArray[np.int32]]
    days: Mapping[str, npt.NDArray[np.datetime64]]  # of these eras, by country, ascending

    @classmethod
    def of(cls, eras: Sequence[tuple[int, str, date]]) -> OnDays:
        """`eras`: of each era and country its day."""
        table = pd.DataFrame(eras, columns=["era", "country", "date"]).sort_values(["date", "era"])
        found = {str(name): its for name, its in table.groupby("country")}
        days = {name: its["date"].to_numpy("datetime64[D]") for name, its in found.items()}
        return cls({name: its["era"].to_numpy(np.int32) for name, its in found.items()}, days)

    def __call__(self, rows: pa.RecordBatch) -> list[pa.RecordBatch]:
        country, dates = rows.column("country")[0].as_py(), rows.column("date").to_numpy(zero_copy_only=False)
        if country not in self.days:
            return []
        days, eras = self.days[country], self.eras[country]
        at = np.minimum(np.searchsorted(dates, days), len(dates) - 1)
        held = dates[at] == days
        return [rows.take(pa.array(at[held])).append_column("era", pa.array(eras[held]))]


def _forward(horizon: int) -> str:
    return f"forward_{horizon}"


@dataclass(frozen=True)
class Crossed:
    """What is compared across the tickers of an era, in a worker: packages of some eras become rows of the table.

    Of a chunk of eras some packages hold daily features, others labels.
    """

    ranking: Ranking
    horizons: tuple[int, ...]
    exposures: tuple[int, ...]  # places among EXPOSURES of those that targets are neutral to
    era_block: int
    others: tuple[str, ...]

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        for _, tables in by_bucket(batches):
            sides: tuple[list[pa.Table], list[pa.Table]] = ([], [])
            for table in tables:
                sides["ranked" not in table.column_names].append(table)
            if sides[0]:  # a label may be of a ticker without features that day
                yield from self._chunk(_labelled(*sides))

    def _chunk(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        # The order in which Spark brings an era's rows is not fixed; sums below depend on it to the last bit.
        rows = rows.take(pc.sort_indices(rows, [("era", "ascending"), ("id", "ascending")])).combine_chunks()
        return joined(self._era(era) for era in groups(rows.to_batches(), "era"))

    def _era(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        ranked, exposed = (matrix(rows.column(name)) for name in ("ranked", "exposures"))
        ranked[rows.column("masked").to_numpy(zero_copy_only=False)] = np.nan
        groups = {name: _numbered(rows.column(name)) for name in ("sector", "country")}
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


def _labelled(daily: list[pa.Table], labels: list[pa.Table]) -> pa.Table:
    """The members' daily features with what `labels` hold of their era, country and ticker."""
    rows = pa.concat_tables(daily, promote_options="default")
    theirs = pa.concat_tables([rows.select(KEYS).slice(0, 0), *labels], promote_options="default")
    keys, their_keys = (pd.MultiIndex.from_frame(side.select(KEYS).to_pandas()) for side in (rows, theirs))
    place = their_keys.get_indexer(keys)
    if (place < 0).any():
        raise RuntimeError("daily features have no bar of their day: they were made from other prices")
    theirs = theirs.take(pa.array(place))
    for name in theirs.column_names:
        if name not in rows.column_names:
            rows = rows.append_column(name, theirs[name])
    return rows.filter(pc.fill_null(rows["member"], True))


def _numbered(names: pa.Array) -> Groups:
    """A number for each name, from 0 in the order in which they appear; none is null."""
    numbers: Groups = names.dictionary_encode().indices.to_numpy()
    return numbers


def _floats(values: npt.NDArray[np.float64]) -> pa.Array:
    """Null where a value is not known."""
    return pa.array(values.astype(np.float32), mask=np.isnan(values))
