"""Packed rows of Numerai Classic hold what the wide files hold, however these are cut and typed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from eraflow.config import ClassicSynthetic
from eraflow.errors import InputError
from eraflow.pipeline.reading import feature_set
from eraflow.sources import classic_files, classic_packing, classic_synthetic
from eraflow.sources.classic_files import Folder

SETTINGS = ClassicSynthetic(
    train_eras=20, validation_eras=14, rows_per_era=60, features=50, signal=0.1, absent="both", seed=3
)
LIVE = 35
SMALL = 42


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classic")
    classic_synthetic.write(SETTINGS, folder)
    catalogue = json.loads((folder / "features.json").read_text())
    names = catalogue["feature_sets"]["all"]
    catalogue["feature_sets"]["medium"] = names[: SMALL + 5]  # so that no block is empty
    (folder / "features.json").write_text(json.dumps(catalogue))
    return folder


def rewritten(
    whole: Path, to: Path, change: Callable[[pa.Table], pa.Table], rows: int, statistics: bool = True
) -> Path:
    to.mkdir()
    (to / "features.json").write_bytes((whole / "features.json").read_bytes())
    for split in classic_files.SPLITS:
        table = change(pq.read_table(whole / f"{split}.parquet"))
        pq.write_table(table, to / f"{split}.parquet", row_group_size=rows, write_statistics=statistics)
    return to


def packed(spark: SparkSession, path: Path) -> pd.DataFrame:
    folder = Folder(str(path))
    known = classic_files.catalogue(folder)
    found = classic_files.splits(folder, known)
    surveyed = classic_packing.survey(spark, folder, found, known)
    absent = {LIVE if part.era == "X" else int(part.era): part.absent for part in surveyed}
    frame = classic_packing.packed(spark, folder, found, known, absent, LIVE, era_block=10).toPandas()
    return frame.sort_values(["era", "id"], ignore_index=True)


def wanted(path: Path) -> pd.DataFrame:
    """By pandas, from the definition: a null is missing, and so is a feature that is 2 in a whole era."""
    frames = [pd.read_parquet(path / f"{split}.parquet").astype({"era": str}) for split in classic_files.SPLITS]
    rows = pd.concat(frames, ignore_index=True)
    names = json.loads((path / "features.json").read_text())["feature_sets"]["all"]
    rows[names] = rows[names].astype(float)
    for _, part in rows.groupby("era"):
        absent = [name for name in names if (part[name] == 2).all()]
        rows.loc[part.index, absent] = np.nan
    rows[names] = rows[names].fillna(-1)
    rows["era"] = rows["era"].replace("X", str(LIVE)).astype(int)
    return rows.sort_values(["era", "id"], ignore_index=True)


def test_what_an_era_lacks_is_written_as_one_is_told(tmp_path: Path) -> None:
    found = {}
    for kind in ("nulls", "twos", "both"):
        settings = SETTINGS.model_copy(update={"absent": kind})
        classic_synthetic.write(settings, tmp_path / kind)
        rows = pd.read_parquet(tmp_path / kind / "train.parquet").query("era == '0001'").filter(like="feature_")
        found[kind] = (set(rows.columns[rows.isna().all()]), set(rows.columns[(rows == 2).all()]))

    absent = found["nulls"][0]
    assert len(absent) >= 2
    assert found["nulls"][1] == set()
    assert found["twos"] == (set(), absent)
    assert found["both"][0] | found["both"][1] == absent
    assert all(found["both"])


def features_of(rows: pd.DataFrame) -> np.ndarray:
    return np.hstack([np.array(rows[f"features_{block}"].tolist()) for block in ("small", "medium", "all")])


def test_packed_rows_hold_what_the_wide_files_hold(spark: SparkSession, whole: Path) -> None:
    ours, theirs = packed(spark, whole), wanted(whole)
    names = json.loads((whole / "features.json").read_text())["feature_sets"]["all"]
    targets = [name for name in theirs if name.startswith("target_")]

    assert ours["id"].tolist() == theirs["id"].tolist()
    assert ours["data_type"].tolist() == theirs["data_type"].tolist()
    assert ours["era_block"].tolist() == (theirs["era"] // 10).tolist()
    assert [len(ours[f"features_{block}"].iloc[0]) for block in ("small", "medium", "all")] == [SMALL, 5, 3]
    np.testing.assert_array_equal(features_of(ours), theirs[names].to_numpy())
    assert (features_of(ours)[(ours["era"] == 1).to_numpy()] == -1).any(axis=0).sum() >= 2
    pd.testing.assert_frame_equal(ours[targets], theirs[targets], check_dtype=False)
    assert ours.loc[ours["era"] == LIVE, targets].isna().all(axis=None)


def test_the_way_files_are_cut_and_typed_changes_nothing(spark: SparkSession, whole: Path, tmp_path: Path) -> None:
    def as_floats(table: pa.Table) -> pa.Table:
        for place, field in enumerate(table.schema):
            if field.name.startswith("feature_"):
                quarters = pa.array(table.column(place).to_numpy() / 4.0, from_pandas=True).cast(pa.float32())
                table = table.set_column(place, field.name, quarters)
        return table

    first = packed(spark, whole)
    for name, change in (("cut", lambda table: table), ("floats", as_floats)):
        again = packed(spark, rewritten(whole, tmp_path / name, change, rows=137))
        np.testing.assert_array_equal(features_of(again), features_of(first))
        pd.testing.assert_frame_equal(again.filter(regex="^(id|era|target)"), first.filter(regex="^(id|era|target)"))


def test_a_value_that_is_no_level_is_refused_where_the_footer_tells_nothing(
    spark: SparkSession, whole: Path, tmp_path: Path
) -> None:
    def with_a_seven(table: pa.Table) -> pa.Table:
        if table.num_rows != train.num_rows:
            return table
        values = table.column(name).to_numpy().copy()
        values[100] = 7
        return table.set_column(table.schema.get_field_index(name), name, pa.array(values))

    train = pq.read_table(whole / "train.parquet")
    name = next(c for c in train.schema.names if c.startswith("feature_") and not train.column(c).null_count)
    damaged = rewritten(whole, tmp_path / "seven", with_a_seven, rows=500, statistics=False)
    folder = Folder(str(damaged))
    known = classic_files.catalogue(folder)

    with pytest.raises(InputError) as refused:
        classic_packing.survey(spark, folder, classic_files.splits(folder, known), known)

    era = train.column("era")[100].as_py()
    assert str(refused.value).startswith(f"{damaged}/train.parquet: column {name!r} holds a value in era {era} that")


def test_a_set_reads_the_blocks_that_hold_it(spark: SparkSession, tmp_path: Path) -> None:
    levels = [[0, 1], [2], [3, 4]]
    columns = ["features_small", "features_medium", "features_all"]
    frame = spark.createDataFrame([tuple(levels)], ", ".join(f"{name} array<tinyint>" for name in columns))
    frame.write.parquet(str(tmp_path / "rows"))
    manifest = {
        "blocks": {"features_small": ["a", "b"], "features_medium": ["c"], "features_all": ["d", "e"]},
        "sets": {"small": [0, 1], "medium": [0, 1, 2], "all": [0, 1, 2, 3, 4], "odd": [1, 4]},
    }
    expected = {"small": ("ab", [0, 1], 1), "medium": ("abc", [0, 1, 2], 2), "all": ("abcde", [0, 1, 2, 3, 4], 3),
                "odd": ("be", [1, 4], 2)}  # fmt: skip

    for name, (names, values, read) in expected.items():
        found, array = feature_set(manifest, name)
        chosen = spark.read.parquet(str(tmp_path / "rows")).select(array.alias("features"))
        assert (found, chosen.first()["features"]) == (tuple(names), values)
        plan = chosen._jdf.queryExecution().executedPlan().toString()
        assert plan.partition("ReadSchema")[2].count("features_") == read
    with pytest.raises(InputError, match=r"there is no feature set 'rain'; choose one of small, medium, all, odd"):
        feature_set(manifest, "rain")
