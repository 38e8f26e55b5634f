"""Daily price files, parquet or CSV, as one typed frame whose faults can still be named by file and column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
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
    "country": "string", "currency": "string", "file": "string", "unreadable": "struct<column:string,value:string>",
}  # fmt: skip
# The types of a file's columns, without their parameters, that are read as ours.
_WHOLE = ("tinyint", "smallint", "int", "bigint")
TAKEN: Mapping[str, tuple[str, ...]] = {
    "double": ("string", *_WHOLE, "float", "double", "decimal"),
    "date": ("string", "date", "timestamp", "timestamp_ntz", "bigint"),
    "string": ("string", *_WHOLE),
}
_KINDS: Mapping[str, str] = {"double": "number", "date": "date", "string": "name"}
_CSV = (".csv", ".csv.gz")
# A smaller number is no time in nanoseconds since 1970 that prices could have, but a date like 20200131.
_LEAST_NANOSECONDS = 10**15
# Where Spark puts a CSV line whose values are fewer or more than the header's names.
_BROKEN = "_broken_line"


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
    with opened(f"prices.path: {config.path} cannot be opened", "check the path"):
        found = listed(spark, config.path)
    if not found:
        raise InputError(f"prices.path: there is no parquet or CSV file at {config.path}; check the path.")
    kinds = {_is_csv(file.path) for file in found}
    if len(kinds) > 1:
        raise InputError(f"prices.path: {config.path} holds parquet and CSV files; name one kind, e.g. by *.parquet.")
    return sorted(found, key=lambda file: file.path)


def listed(spark: SparkSession, pattern: str) -> list[SourceFile]:
    """The parquet and CSV files that a path, folder or glob names; none where there is nothing."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(pattern)
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    found = []
    for status in system.globStatus(path) or []:
        if not status.isDirectory():
            found.append(SourceFile(status.getPath().toString(), status.getLen(), status.getModificationTime()))
            continue
        listing = system.listFiles(status.getPath(), True)
        while listing.hasNext():
            entry = listing.next()
            below = entry.getPath().toString().removeprefix(status.getPath().toString()).split("/")
            hidden = any(part.startswith(("_", ".")) for part in below)  # unfinished writes, logs of a table format
            if not hidden and below[-1].endswith((".parquet", *_CSV)):
                found.append(SourceFile(entry.getPath().toString(), entry.getLen(), entry.getModificationTime()))
    return found


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
    return path.endswith(_CSV)


def _layout(spark: SparkSession, path: str) -> tuple[tuple[str, str], ...]:
    """The file's own columns and types, in its order; CSV columns are all text."""
    kind = "CSV" if _is_csv(path) else "parquet"
    with opened(f"{shown(path)} cannot be read as a {kind} file", "replace it or leave it out"):
        frame = spark.read.csv(path, header=True) if _is_csv(path) else spark.read.parquet(path)
    if not frame.columns:
        raise InputError(f"{shown(path)} is empty; replace it or leave it out.")
    return tuple((field.name, field.dataType.simpleString()) for field in frame.schema)


def _frame(spark: SparkSession, layout: tuple[tuple[str, str], ...], paths: list[str]) -> DataFrame:
    if not _is_csv(paths[0]):
        return spark.read.parquet(*paths)
    schema = T.StructType([T.StructField(name, T.StringType()) for name, _ in layout])
    schema = schema.add(_BROKEN, T.StringType())
    return spark.read.csv(
        paths, schema=schema, header=True, enforceSchema=False, mode="PERMISSIVE", columnNameOfCorruptRecord=_BROKEN
    )


def _typed(frame: DataFrame, types: Mapping[str, str], path: str, config: Prices) -> DataFrame:
    names = config.columns.model_dump()
    for ours, theirs in names.items():
        if theirs is not None and theirs not in types:
            raise InputError(
                f"{shown(path)} has no column {theirs!r} (prices.columns.{ours}), only {', '.join(types)}; "
                f"map it with --set prices.columns.{ours}=NAME."
            )
        if theirs is not None and types[theirs].partition("(")[0] not in TAKEN[SCHEMA[ours]]:
            raise InputError(
                f"{shown(path)}: column {theirs!r} is of type {types[theirs]}, which is no {_KINDS[SCHEMA[ours]]}; "
                "write it as one."
            )
    source = {ours: F.col(f"`{theirs}`") for ours, theirs in names.items() if theirs is not None}
    typed = {ours: as_type(column, types[names[ours]], SCHEMA[ours]) for ours, column in source.items()}
    typed = {"sector": F.lit("all"), "country": F.lit(""), "currency": F.lit("")} | typed
    broken = F.col(_BROKEN) if _BROKEN in frame.columns else F.lit(None).cast("string")
    unreadable = F.coalesce(
        F.when(broken.isNotNull(), F.struct(F.lit("line").alias("column"), broken.alias("value"))),
        *(
            F.when(column.isNotNull() & (F.trim(column.cast("string")) != "") & typed[ours].isNull(),
                   F.struct(F.lit(ours).alias("column"), column.cast("string").alias("value")))
            for ours, column in source.items()
        ),
    )  # fmt: skip
    typed |= {"file": F.col("_metadata.file_path"), "unreadable": unreadable}
    # The file's own names go with the columns, for messages.
    return frame.select(
        *(typed[name].cast(kind).alias(name, metadata={"named": names.get(name)}) for name, kind in SCHEMA.items())
    )


def as_type(column: Column, given: str, wanted: str) -> Column:
    """The column as a type of ours, null where its value is none; `given` is one of TAKEN[wanted]."""
    if wanted == "date" and given == "bigint":
        # pandas' datetime64[ns], which the session reads as whole nanoseconds since 1970
        days = F.timestamp_seconds(F.floor(column / 1_000_000_000)).cast("date")
        return F.when(F.abs(column) >= _LEAST_NANOSECONDS, days)
    return (F.trim(column) if given == "string" else column).cast(wanted)


def shown(path: str) -> str:
    """A path as the user wrote it: no scheme for local files, none of the escapes in which Spark tells a row's file."""
    return unquote(re.sub("^file:/+", "/", path))


@contextmanager
def reading() -> Iterator[None]:
    """Turns the failure of a Spark job on a damaged file into an InputError that names the file."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        found = re.search(r"Encountered error while reading file (.+?)\. Details", str(error))
        if found is None:
            raise
        raise InputError(
            f"{shown(found[1])} cannot be read to its end: it is damaged, or was changed meanwhile; "
            "replace it or leave it out."
        ) from None


@contextmanager
def opened(what: str, mend: str) -> Iterator[None]:
    """Turns the failure to open a path into an InputError: what, why, and how to mend it."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise InputError(f"{what} ({_cause(error)}); {mend}.") from None


def _cause(error: PySparkException | Py4JJavaError) -> str:
    """The first sentence of the innermost reason, which says what a person can use."""
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while java is not None and java.getCause() is not None:
        java = java.getCause()
    text = str(error) if java is None else java.getMessage() or java.toString()
    return re.sub(r"file:/\S+", "the file", re.split(r"\.\s|\n", text.strip())[0][:200].rstrip("."))
