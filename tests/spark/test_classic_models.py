"""The meta model and the benchmark models of Numerai Classic's files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from eraflow.errors import InputError
from eraflow.sources.classic_files import Folder
from eraflow.sources.classic_models import OtherModels, other_models

META = {"id": ["a", "b"], "era": ["0007", "0007"], "data_type": ["test"] * 2, "numerai_meta_model": [0.25, None]}
TRAIN = {"id": ["x"], "era": ["0001"], "v5_one": [0.1], "v5_two": [0.2]}
VALIDATION = {"id": ["a", "b"], "era": ["0007", "0007"], "v5_one": [0.3, 0.4], "v5_two": [0.5, 0.6]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, columns in (
        ("meta_model", META),
        ("train_benchmark_models", TRAIN),
        ("validation_benchmark_models", VALIDATION),
    ):
        write(tmp_path, name, columns)
    return tmp_path


def write(folder: Path, name: str, columns: dict[str, list[object]]) -> None:
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def rows(found: OtherModels) -> list[list[tuple[object, ...]]]:
    return [sorted((tuple(row) for row in part.collect()), key=str) for part in found.parts]


def test_all_that_is_there_is_read_by_id_and_era_number(spark: SparkSession, folder: Path) -> None:
    found = other_models(spark, Folder(str(folder)), None)

    assert (found.meta_model, found.benchmarks) == ("numerai_meta_model", ("v5_one", "v5_two"))
    assert rows(found) == [
        [("a", 7, 0.25), ("b", 7, None)],
        [("a", 7, 0.3, 0.5), ("b", 7, 0.4, 0.6), ("x", 1, 0.1, 0.2)],
    ]


def test_example_predictions_need_no_era(spark: SparkSession, folder: Path) -> None:
    assert other_models(spark, Folder(str(folder)), []).example is None
    write(folder, "validation_example_preds", {"id": ["a", "b"], "prediction": [0.5, None]})

    example = other_models(spark, Folder(str(folder)), []).example
    assert example is not None
    assert sorted(tuple(row) for row in example.collect()) == [("a", 0.5), ("b", None)]


def test_only_chosen_benchmarks_are_read_and_none_at_all_where_no_file_is(spark: SparkSession, folder: Path) -> None:
    assert rows(other_models(spark, Folder(str(folder)), ["v5_two"]))[1][0] == ("a", 7, 0.5)
    assert len(other_models(spark, Folder(str(folder)), []).parts) == 1
    for path in folder.glob("*.parquet"):
        path.unlink()
    assert other_models(spark, Folder(str(folder)), None) == OtherModels((), None, ())


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("meta_model", META | {"era": ["0007", "X"]}, "meta_model.parquet holds era 'X', which is no number"),
        ("meta_model", {"id": ["a"], "era": ["0001"]}, "meta_model.parquet has no column 'numerai_meta_model'"),
        (
            "meta_model",
            META | {"numerai_meta_model": ["a", "b"]},
            "'numerai_meta_model' is of type string, no prediction",
        ),
        ("train_benchmark_models", {"id": ["x"], "era": ["0001"], "v5_one": [0.1]}, "has no benchmark 'v5_two'"),
    ],
    ids=["era", "no meta model", "type", "benchmark"],
)
def test_a_broken_file_is_told_in_a_sentence(
    spark: SparkSession, folder: Path, name: str, columns: dict[str, list[object]], message: str
) -> None:
    write(folder, name, columns)
    benchmarks = ["v5_one", "v5_two"]

    with pytest.raises(InputError, match=message):
        other_models(spark, Folder(str(folder)), benchmarks)


def test_a_benchmark_that_is_wanted_but_not_there_is_told(spark: SparkSession, folder: Path) -> None:
    with pytest.raises(InputError, match=r"has no benchmark 'v6'; .* others in scoring.benchmarks: v5_one, v5_two"):
        other_models(spark, Folder(str(folder)), ["v6"])
    (folder / "train_benchmark_models.parquet").write_bytes(b"half")
    with pytest.raises(InputError, match="no readable parquet footer"):
        other_models(spark, Folder(str(folder)), None)
