"""Places of any store that Spark writes to, by Hadoop's file systems."""

from __future__ import annotations

import re
from typing import Any, cast

from pyspark.sql import SparkSession


def located(spark: SparkSession, place: str) -> tuple[Any, Any]:
    """A path, and its file system."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(place)
    return path, path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())


def inside(spark: SparkSession, folder: str) -> list[Any]:
    """The status of each entry of a folder; of none where it is not there."""
    path, system = located(spark, folder)
    return list(system.listStatus(path)) if system.exists(path) else []


def read_text(spark: SparkSession, place: str) -> str | None:
    """What a file holds; None where there is none."""
    path, system = located(spark, place)
    if not system.exists(path):
        return None
    stream = system.open(path)
    try:
        return bytes(stream.readAllBytes()).decode("utf-8")
    finally:
        stream.close()


def write_text(spark: SparkSession, place: str, text: str) -> None:
    """Writes a file whole or not at all: one of its name is there until the other takes its place."""
    path, system = located(spark, place)
    part = path.suffix(".part")
    stream = system.create(part, True)
    stream.write(bytearray(text, "utf-8"))
    stream.close()
    jvm, gateway = cast(Any, spark.sparkContext._jvm), cast(Any, spark.sparkContext._gateway)
    rename = jvm.org.apache.hadoop.fs.Options.Rename
    options = gateway.new_array(rename, 1)
    options[0] = rename.OVERWRITE
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    jvm.org.apache.hadoop.fs.FileContext.getFileContext(path.toUri(), configuration).rename(part, path, options)


def remove(spark: SparkSession, place: str, folder: bool = False) -> None:
    """Removes a file, or a folder with all that is in it, if it is there."""
    path, system = located(spark, place)
    system.delete(path, folder)


def shown(path: str) -> str:
    """A path as the user wrote it: without a scheme for local files."""
    return re.sub("^file:/+", "/", path)
