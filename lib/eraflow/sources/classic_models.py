"""Other models' predictions that come with Numerai Classic: the meta model, benchmark models, example predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.sources.classic_files import Folder

META_MODEL = "numerai_meta_model"
META_FILE = "meta_model.parquet"
BENCHMARK_FILES = ("train_benchmark_models.parquet", "validation_benchmark_models.parquet")
EXAMPLE = "example_preds"
EXAMPLE_FILE = "validation_example_preds.parquet"
MODEL_FILES = (META_FILE, *BENCHMARK_FILES, EXAMPLE_FILE)
KEYS = ("id", "era", "data_type")


@dataclass(frozen=True)
class OtherModels:
    """Each part has `id string, era int` and predictions `double`: `meta_model` in one, `benchmarks` in others.

    `example` is of `id, example_preds` alone: Numerai's file need not tell eras, and an id is of one era only.
    """

    parts: tuple[DataFrame, ...]
    meta_model: str | None
    benchmarks: tuple[str, ...]
    example: DataFrame | None = None


def other_models(spark: SparkSession, folder: Folder, chosen: Sequence[str] | None) -> OtherModels:
    """The models of those of MODEL_FILES that are there; `chosen` benchmarks, or all of them (None).

    InputError: a file without footer, key or predictions; an era that is no number; a benchmark that no file has, or
    only one of two.
    """
    meta = [_part(spark, folder, META_FILE, (META_MODEL,))] if folder.has(META_FILE) else []
    files = [name for name in BENCHMARK_FILES if folder.has(name)]
    names = _benchmarks(folder, files, chosen)
    parts = [_part(spark, folder, name, names) for name in files] if names else []
    if len(parts) > 1:
        parts = [parts[0].unionByName(parts[1])]
    example = _example(spark, folder) if folder.has(EXAMPLE_FILE) else None
    return OtherModels((*meta, *parts), META_MODEL if meta else None, names if parts else (), example)


def _benchmarks(folder: Folder, files: Sequence[str], chosen: Sequence[str] | None) -> tuple[str, ...]:
    """The wanted columns, in the order of the first file."""
    columns = {name: [x for x in folder.footer(name).schema.to_arrow_schema().names if x not in KEYS] for name in files}
    available = columns[files[0]] if files else []
    wanted = available if chosen is None else list(chosen)
    for name in files:
        if missing := [column for column in wanted if column not in columns[name]]:
            raise InputError(
                f"{folder.path}/{name} has no benchmark {missing[0]!r}; download both files of one version, or name "
                f"others in scoring.benchmarks: {', '.join(columns[name])}."
            )
    if chosen and not files:
        raise InputError(
            f"scoring.benchmarks names {chosen[0]!r}, but {folder.path} holds none of {', '.join(BENCHMARK_FILES)}; "
            "download them, or set scoring.benchmarks=null."
        )
    return tuple(wanted)


def _example(spark: SparkSession, folder: Folder) -> DataFrame:
    path = _checked(folder, EXAMPLE_FILE, ("id",), ("prediction",))
    return spark.read.parquet(path).select(
        F.col("id").cast("string"), F.col("prediction").cast("double").alias(EXAMPLE)
    )


def _part(spark: SparkSession, folder: Folder, name: str, predictions: Sequence[str]) -> DataFrame:
    path, footer = _checked(folder, name, ("id", "era"), predictions), folder.footer(name)
    place = footer.schema.to_arrow_schema().names.index("era")
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(place).statistics
        for era in (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else ():
            if not str(era).isdigit():
                raise InputError(f"{path} holds era {era!r}, which is no number such as 0001; download it again.")
    values = [F.col(f"`{column}`").cast("double").alias(column) for column in predictions]
    return spark.read.parquet(path).select(F.col("id").cast("string"), F.col("era").cast("int").alias("era"), *values)


def _checked(folder: Folder, name: str, keys: Sequence[str], predictions: Sequence[str]) -> str:
    """The file's path. InputError where it lacks a column, or a prediction is no number."""
    path, schema = f"{folder.path}/{name}", folder.footer(name).schema.to_arrow_schema()
    for column in (*keys, *predictions):
        if column not in schema.names:
            raise InputError(f"{path} has no column {column!r}; download it again.")
    for column in predictions:
        if not pa.types.is_floating(schema.field(column).type):
            raise InputError(
                f"{path}: column {column!r} is of type {schema.field(column).type}, no prediction; download it again."
            )
    return path


def repeated(predictions: DataFrame) -> str | None:
    """An id that occurs twice."""
    found = predictions.groupBy("id").count().where("count > 1").head()
    return str(found["id"]) if found else None
