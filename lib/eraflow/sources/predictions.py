"""Predictions that eraflow did not make: a file of `id[, era], prediction`."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from eraflow.errors import InputError
from eraflow.sources.files import opened, reading

KEY, ERA, VALUE = "id", "era", "prediction"
MEND = "give a CSV or parquet file of id, prediction, and era if ids are of several"


def foreign(spark: SparkSession, path: str) -> DataFrame:
    """`id string, prediction double`, and `era int` where the file has it; a row an id (and era).

    InputError: no such file, a column that is missing or no number, an empty value, an id twice.
    """
    with opened(f"--predictions {path} cannot be read", MEND):
        reader = spark.read.option("header", "true") if path.endswith(".csv") else spark.read
        frame = reader.csv(path) if path.endswith(".csv") else reader.parquet(path)
    kinds = {field.name: field.dataType for field in frame.schema}
    for column in (KEY, VALUE):
        if column not in kinds:
            raise InputError(f"--predictions {path} has no column {column!r}; {MEND}.")
    if not isinstance(kinds[VALUE], T.NumericType | T.StringType):
        raise InputError(f"--predictions {path}: column {VALUE!r} is of type {kinds[VALUE].simpleString()}; {MEND}.")
    eras = [F.col(ERA).cast("int").alias(ERA)] if ERA in kinds else []
    found = frame.select(F.col(KEY).cast("string").alias(KEY), *eras, F.col(VALUE).cast("double").alias(VALUE))
    with reading():
        _refuse(found, path)
    return found


def _refuse(found: DataFrame, path: str) -> None:
    wrong = [F.col(name).isNull() for name in found.columns]
    bad = found.where(wrong[0] | wrong[-1] | F.isnan(VALUE) | (wrong[1] if len(wrong) == 3 else F.lit(False))).first()
    if bad:
        raise InputError(
            f"--predictions {path}: the row of id {bad[KEY]!r} has a value that is empty or no number; {MEND}."
        )
    keys = found.columns[:-1]
    twice = found.groupBy(*keys).count().where("count > 1").orderBy(*keys).first()
    if twice:
        raise InputError(f"--predictions {path}: id {twice[KEY]!r} has {twice['count']} rows; keep one for each id.")
