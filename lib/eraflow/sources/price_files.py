"""Daily price files, parquet or CSV, as one typed frame whose faults can still be named by file and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from eraflow.config import Prices
from eraflow.errors import InputError

PRICES = ("open", "high", "low", "close", "adjusted_close")
NUMBERS = (*PRICES, "volume")
# The frame that every price source gives: these columns, the file of the row, and what could not be read as its type.
SCHEMA: Mapping[str, str] = {
    "ticker": "string", "date": "date", **dict.fromkeys(NUMBERS, "double"), "sector": "string",
    "file": "string", "unreadable": "struct<column:string,value:string>",
}  # fmt: skip


@dataclass(frozen=True)
class SourceFile:
    """A file of raw data, and what tells that it has changed."""

    path: str
    size: int
    modified: int  # milliseconds


def files(spark: SparkSession, config: Prices) -> list[SourceFile]:
    """The files that `prices.path` names (a file, a folder, a glob; any store that Spark reads), sorted by path."""
    if not config.path:
        raise InputError("prices.path is not set: name a parquet or CSV file with --set prices.path=FILE.")
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(config.path)
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    found: list[SourceFile] = []
    for status in system.globStatus(path) or []:
        if not status.isDirectory():
            found.append(SourceFile(status.getPath().toString(), status.getLen(), status.getModificationTime()))
            continue
        listing = system.listFiles(status.getPath(), True)
        while listing.hasNext():
            entry = listing.next()
            if entry.getPath().getName().endswith((".parquet", ".csv", ".csv.gz")):
                found.append(SourceFile(entry.getPath().toString(), entry.getLen(), entry.getModificationTime()))
    if not found:
        raise InputError(f"prices.path: there is no parquet or CSV file at {config.path}; check the path.")
    kinds = {_is_csv(file.path) for file in found}
    if len(kinds) > 1:
        raise InputError(f"prices.path: {config.path} holds parquet and CSV files; name one kind, e.g. by *.parquet.")
    return sorted(found, key=lambda file: file.path)


def read(spark: SparkSession, config: Prices) -> DataFrame:
    """The rows of all files with the columns of SCHEMA. Raises InputError for a file or a column that is missing.

    Files may order their columns differently: each group with one layout is read by itself.
    """
    layouts: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for file in files(spark, config):
        layouts.setdefault(_layout(spark, file.path), []).append(file.path)
    frames = [_typed(_frame(spark, layout, paths), dict(layout), paths[0], config) for layout, paths in layouts.items()]
    joined = frames[0]
    for frame in frames[1:]:
        joined = joined.unionByName(frame)
    return joined


def _is_csv(path: str) -> bool:
    return path.endswith((".csv", ".csv.gz"))


def _layout(spark: SparkSession, path: str) -> tuple[tuple[str, str], ...]:
    """The file's own columns and types, in its order; CSV columns are all text."""
    try:
        frame = spark.read.csv(path, header=True) if _is_csv(path) else spark.read.parquet(path)
    except (AnalysisException, Py4JJavaError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"{shown(path)} cannot be read ({first[:160]}); replace it or leave it out.") from None
    return tuple((field.name, field.dataType.simpleString()) for field in frame.schema)


def _frame(spark: SparkSession, layout: tuple[tuple[str, str], ...], paths: list[str]) -> DataFrame:
    if not _is_csv(paths[0]):
        return spark.read.parquet(*paths)
    schema = T.StructType([T.StructField(name, T.StringType()) for name, _ in layout])
    return spark.read.csv(paths, schema=schema, header=True, enforceSchema=False, mode="FAILFAST")


def _typed(frame: DataFrame, types: Mapping[str, str], path: str, config: Prices) -> DataFrame:
    names = config.columns.model_dump()
    for ours, theirs in names.items():
        if theirs is not None and theirs not in types:
            raise InputError(
                f"{shown(path)} has no column {theirs!r} for {ours}: it has {', '.join(types)}; "
                f"map it with --set prices.columns.{ours}=NAME."
            )
    source = {ours: F.col(f"`{theirs}`") for ours, theirs in names.items() if theirs is not None}
    typed = {ours: _cast(column, types[names[ours]], SCHEMA[ours]) for ours, column in source.items()}
    typed.setdefault("sector", F.lit("all"))
    unreadable = F.coalesce(
        *(
            F.when(column.isNotNull() & (F.trim(column.cast("string")) != "") & typed[ours].isNull(),
                   F.struct(F.lit(names[ours]).alias("column"), column.cast("string").alias("value")))
            for ours, column in source.items()
        )
    )  # fmt: skip
    typed |= {"file": F.col("_metadata.file_path"), "unreadable": unreadable}
    return frame.select(*(typed[name].cast(kind).alias(name) for name, kind in SCHEMA.items()))


def _cast(column: Column, given: str, wanted: str) -> Column:
    if wanted == "date" and given == "bigint":
        # pandas' datetime64[ns], which the session reads as whole nanoseconds since 1970
        return F.timestamp_seconds(F.floor(column / 1_000_000_000)).cast("date")
    return (F.trim(column) if given == "string" else column).cast(wanted)


def shown(path: str) -> str:
    """A path as the user wrote it: no scheme for local files."""
    return path.removeprefix("file:").replace("//", "/") if path.startswith("file:") else path
