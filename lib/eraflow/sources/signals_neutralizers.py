"""Numerai Signals' neutralisers and sample weights, which its neutral scores and alpha are made with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from eraflow.config import Signals
from eraflow.errors import InputError
from eraflow.hadoop import shown
from eraflow.sources.columns import DATE_TYPES, as_date
from eraflow.sources.files import SourceFile, listed, opened
from eraflow.sources.lives import name_of
from eraflow.sources.signals_files import era_of

PARTS = ("train", "validation")
NEUTRALIZERS, WEIGHTS = "neutralizers", "sample_weights"
KIND = "neutralizer"  # in the names of files
PREFIX = "neutralizer_"


def files(spark: SparkSession, config: Signals, kind: str) -> list[SourceFile]:
    """`{train,validation}_KIND.parquet` of the folder `signals.path`, as far as they are there."""
    found = []
    if config.path:
        with opened(f"signals.path: {config.path} cannot be opened", "check the path"):
            for part in PARTS:
                found += listed(spark, f"{config.path.rstrip('/')}/{part}_{kind}.parquet")
    return found


def identity(spark: SparkSession, config: Signals) -> list[list[str | int]]:
    """Name, size and time of the files that are there: what tells that one has changed."""
    found = [file for kind in (KIND, WEIGHTS) for file in files(spark, config, kind)]
    return [[file.path.rpartition("/")[2], file.size, file.modified] for file in found]


def neutralizers(
    spark: SparkSession, config: Signals, rows: DataFrame, signals: DataFrame | None, first_week: date | None
) -> tuple[DataFrame, ...]:
    """`id, era, neutralizers array<float>` and `id, era, sample_weights double` of those files that are there.

    `rows`: `id` (TICKER_DATE), `era`; `signals` (`signals_files.read`) says whose rows Numerai's are, `first_week` when
    era 1 begins. Where one neutraliser is empty there is none. InputError: a file without a key or its columns, two
    files with other columns.
    """
    if signals is None or first_week is None:
        return ()
    mapped = signals.where(F.col("ticker").isNotNull())
    names = mapped.select("numerai_ticker", F.col("date").alias("their_date"), F.col("ticker").alias("name"))
    days = rows.select("id", "era", name_of(F.regexp_replace("id", "_[^_]*$", "")).alias("name"))
    parts = []
    weights, factors = files(spark, config, WEIGHTS), files(spark, config, KIND)
    if factors:
        columns = _names(spark, factors)
        array = F.array(*(F.col(f"`{name}`").cast("float") for name in columns))
        value = F.when(~F.exists(array, lambda x: x.isNull() | F.isnan(x)), array)
        parts.append(_of_eras(spark, factors, columns, value.alias(NEUTRALIZERS), names, days, first_week))
    if weights:
        column = F.col(WEIGHTS).cast("double").alias(WEIGHTS)
        parts.append(_of_eras(spark, weights, [WEIGHTS], column, names, days, first_week))
    return tuple(parts)


def _names(spark: SparkSession, found: Sequence[SourceFile]) -> list[str]:
    columns = {file.path: _columns(spark, file, PREFIX) for file in found}
    first = columns[found[0].path]
    for file in found:
        if not columns[file.path] or columns[file.path] != first:
            raise InputError(
                f"{shown(file.path)} has {len(columns[file.path])} columns {PREFIX}*, {shown(found[0].path)} "
                f"{len(first)}; download both files of one version."
            )
    return first


def _columns(spark: SparkSession, file: SourceFile, prefix: str) -> list[str]:
    fields = spark.read.parquet(file.path).schema
    return sorted(x.name for x in fields if x.name.startswith(prefix) and isinstance(x.dataType, T.NumericType))


def _of_eras(
    spark: SparkSession, found: Sequence[SourceFile], needed: Sequence[str], value: Column, names: DataFrame,
    days: DataFrame, first_week: date,
) -> DataFrame:  # fmt: skip
    frames = [_part(spark, file, needed, value) for file in found]
    whole = frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])
    column = whole.columns[-1]
    named = whole.join(names, on=["numerai_ticker", "their_date"], how="inner")
    theirs = named.select("name", era_of(F.col("their_date"), first_week).alias("era"), column)
    return days.join(theirs, on=["name", "era"], how="inner").select("id", "era", column)


def _part(spark: SparkSession, file: SourceFile, needed: Sequence[str], value: Column) -> DataFrame:
    name = shown(file.path)
    with opened(f"{name} cannot be read as a parquet file", "download it again"):
        frame = spark.read.parquet(file.path)
    for column in ("numerai_ticker", "date", *needed):
        if column not in frame.columns:
            raise InputError(f"{name} has no column {column!r}; download it again.")
    kind = frame.schema["date"].dataType.simpleString()
    if kind not in DATE_TYPES:
        raise InputError(f"{name}: column 'date' is of type {kind}, which is no date; download it again.")
    day = as_date(F.col("date"), kind)
    ticker = F.trim(F.col("numerai_ticker").cast("string")).alias("numerai_ticker")
    return frame.select(ticker, day.alias("their_date"), value)
