"""Java starts by the archive of classes that set-up has made."""

from pathlib import Path

from pyspark.sql import SparkSession

from eraflow.class_archive import ClassArchive
from eraflow.environment import Machine


def test_spark_takes_its_classes_from_the_archive(spark: SparkSession) -> None:
    machine = Machine.here()
    assert machine.spark is not None
    assert machine.java is not None
    archive = ClassArchive(machine.spark, machine.java, machine.prefix)
    assert archive.is_fresh
    process = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
    assert str(archive.path) in Path(f"/proc/{process}/maps").read_text()
