"""Packed rows of Numerai Classic hold what the wide files hold, however these are cut and typed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from eraflow.config import ClassicSynthetic
from eraflow.errors import InputError
from eraflow.features.packing import PackedSets
from eraflow.sources import classic_files, classic_labels, classic_packing, classic_survey, classic_synthetic
from eraflow.sources.classic_files import LABELLED, Catalogue, Folder
from eraflow.sources.classic_packing import Wanted

SETTINGS = ClassicSynthetic(
    train_eras=20, validation_eras=14, rows_per_era=60, features=50, metadata=None, signal=0.1, absent="both", seed=3
)
LAST = 34
FAST = ("small", "medium")
BLOCKS = {"features_small_and_medium": 3, "features_small": 7, "features_medium": 37, "features_others": 3}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classic")
    classic_synthetic.write(SETTINGS, folder)
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


def surveyed(spark: SparkSession, path: Path) -> list[classic_survey.EraSurvey]:
    folder = Folder(str(path))
    catalogue = classic_files.catalogue(folder)
    files = classic_files.splits(folder, catalogue, LABELLED)
    return classic_survey.survey(spark, folder, files, catalogue.features, files[0].targets)


def packed(
    spark: SparkSession, path: Path, found: list[classic_survey.EraSurvey], eras: range = range(1, LAST + 1)
) -> pd.DataFrame:
    """The rows of these eras with their targets."""
    folder = Folder(str(path))
    catalogue = classic_files.catalogue(folder)
    files = classic_files.splits(folder, catalogue, LABELLED)
    wanted = Wanted({int(part.era): part.absent for part in found if int(part.era) in eras}, 10)
    columns = classic_packing.blocks(catalogue, FAST)
    rows = classic_packing.packed(spark, folder, files, catalogue.features, columns, wanted)
    targets = list(files[0].targets)
    labels = classic_labels.of_files(spark, files, rows, targets, list(eras))
    joined = classic_labels.with_labels(rows, classic_labels.by_era(labels, targets, 10), targets)
    return joined.toPandas().sort_values(["era", "id"], ignore_index=True)


def wanted_rows(path: Path) -> pd.DataFrame:
    """By pandas, from the definition: a null is missing, and so is a feature that is 2 in a whole era."""
    frames = [pd.read_parquet(path / f"{split}.parquet").astype({"era": str}) for split in LABELLED]
    rows = pd.concat(frames, ignore_index=True)
    names = json.loads((path / "features.json").read_text())["feature_sets"]["all"]
    rows[names] = rows[names].astype(float)
    for _, part in rows.groupby("era"):
        absent = [name for name in names if (part[name] == 2).all()]
        rows.loc[part.index, absent] = np.nan
    rows[names] = rows[names].fillna(-1)
    rows["era"] = rows["era"].astype(int)
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


def test_blocks_are_what_the_fast_sets_cut_each_other_into() -> None:
    catalogue = Catalogue(
        tuple("abcdef"), {"small": (4, 1), "medium": (1, 2), "odd set": (0, 4), "all": tuple(range(6))}
    )

    assert classic_packing.blocks(catalogue, ("small", "medium")) == {
        "features_small_and_medium": (1,), "features_small": (4,),
        "features_medium": (2,), "features_others": (0, 3, 5),
    }  # fmt: skip
    assert classic_packing.blocks(catalogue, ("odd set",)) == {
        "features_odd_set": (0, 4), "features_others": (1, 2, 3, 5),
    }  # fmt: skip
    assert classic_packing.blocks(catalogue, ()) == {"features_others": tuple(range(6))}
    with pytest.raises(
        InputError, match=r"classic.read_fast: there is no feature set 'rain'; choose from small, medium"
    ):
        classic_packing.blocks(catalogue, ("small", "rain"))


def features_of(rows: pd.DataFrame, path: Path) -> np.ndarray:
    """Rows x features, in the order of the files."""
    catalogue = classic_files.catalogue(Folder(str(path)))
    columns = classic_packing.blocks(catalogue, FAST)
    levels = np.empty((len(rows), len(catalogue.features)))
    for name, places in columns.items():
        levels[:, list(places)] = np.array(rows[name].tolist())
    return levels


def test_packed_rows_hold_what_the_wide_files_hold(spark: SparkSession, whole: Path) -> None:
    ours, theirs = packed(spark, whole, surveyed(spark, whole)), wanted_rows(whole)
    names = json.loads((whole / "features.json").read_text())["feature_sets"]["all"]
    targets = [name for name in theirs if name.startswith("target_")]

    assert ours["id"].tolist() == theirs["id"].tolist()
    assert ours["era_block"].tolist() == (theirs["era"] // 10).tolist()
    assert {name: len(ours[name].iloc[0]) for name in ours if name.startswith("features_")} == BLOCKS
    np.testing.assert_array_equal(features_of(ours, whole), theirs[names].to_numpy())
    assert (features_of(ours, whole)[(ours["era"] == 1).to_numpy()] == -1).any(axis=0).sum() >= 2
    pd.testing.assert_frame_equal(ours[targets], theirs[targets], check_dtype=False)
    for _, part in ours.groupby("era"):
        assert sorted(part["row"]) == list(range(60))


@pytest.mark.slow
def test_the_way_files_are_cut_and_typed_changes_nothing(spark: SparkSession, whole: Path, tmp_path: Path) -> None:
    def as_floats(table: pa.Table) -> pa.Table:
        for place, field in enumerate(table.schema):
            if field.name.startswith("feature_"):
                quarters = pa.array(table.column(place).to_numpy() / 4.0, from_pandas=True).cast(pa.float32())
                table = table.set_column(place, field.name, quarters)
        return table

    def shuffled(table: pa.Table) -> pa.Table:
        return table.take(np.random.default_rng(1).permutation(len(table)))

    hashes = surveyed(spark, whole)
    first = packed(spark, whole, hashes)
    for name, change in (("floats", as_floats), ("shuffled", shuffled)):
        place = rewritten(whole, tmp_path / name, change, rows=437)
        found = surveyed(spark, place)
        again = packed(spark, place, found)
        np.testing.assert_array_equal(features_of(again, place), features_of(first, whole))
        pd.testing.assert_frame_equal(again.filter(regex="^(id|era|target)"), first.filter(regex="^(id|era|target)"))
        assert [era.levels_hash for era in found] == [era.levels_hash for era in hashes]
        assert [era.targets_hash for era in found] == [era.targets_hash for era in hashes]


def test_hashes_tell_which_era_has_changed_and_in_what(spark: SparkSession, whole: Path, tmp_path: Path) -> None:
    train = pq.read_table(whole / "train.parquet")
    name = next(c for c in train.schema.names if c.startswith("feature_") and not train.column(c).null_count)

    def changed(table: pa.Table) -> pa.Table:
        if table.num_rows != train.num_rows:
            return table
        values, labels = table.column(name).to_numpy().copy(), table.column("target_bravo_20").to_numpy().copy()
        values[7 * 60] = (values[7 * 60] + 1) % 5  # era 8
        labels[9 * 60] = 1.0 - labels[9 * 60] if labels[9 * 60] != 0.5 else 0.25  # era 10
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
        return table.set_column(table.schema.get_field_index("target_bravo_20"), "target_bravo_20", pa.array(labels))

    before = surveyed(spark, whole)
    after = surveyed(spark, rewritten(whole, tmp_path / "changed", changed, rows=500))
    pairs = list(zip(before, after, strict=True))

    assert [one.era for one, other in pairs if one.levels_hash != other.levels_hash] == ["0008"]
    assert [one.era for one, other in pairs if one.targets_hash != other.targets_hash] == ["0010"]


def test_only_row_groups_with_wanted_eras_are_packed(spark: SparkSession, whole: Path, tmp_path: Path) -> None:
    # A row group of other eras whose feature cannot be read would end the job.
    place = rewritten(whole, tmp_path / "groups", lambda table: table, rows=250)
    data = bytearray((place / "train.parquet").read_bytes())
    group = pq.read_metadata(place / "train.parquet").row_group(0)
    column = next(
        group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema.startswith("feature_")
    )
    begin = column.dictionary_page_offset or column.data_page_offset
    data[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    found = surveyed(spark, whole)
    first = packed(spark, whole, found, range(8, 21))
    (place / "train.parquet").write_bytes(bytes(data))

    folder = Folder(str(place))
    catalogue = classic_files.catalogue(folder)
    files = classic_files.splits(folder, catalogue, LABELLED)
    absent = {int(part.era): part.absent for part in found if "0008" <= part.era <= "0020"}
    columns = classic_packing.blocks(catalogue, FAST)
    rows = classic_packing.packed(spark, folder, files, catalogue.features, columns, Wanted(absent, 10)).toPandas()
    rows = rows.sort_values(["era", "id"], ignore_index=True)

    np.testing.assert_array_equal(features_of(rows, whole), features_of(first, whole))
    assert rows["row"].tolist() == first["row"].tolist()


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

    with pytest.raises(InputError) as refused:
        surveyed(spark, damaged)

    era = train.column("era")[100].as_py()
    assert str(refused.value).startswith(f"{damaged}/train.parquet: column {name!r} holds a value in era {era} that")


SETS = PackedSets(
    tuple("abcdef"),
    {"small": (4, 1), "medium": (1, 2), "odd": (3, 0), "all": tuple(range(6)), "none": ()},
    {"both": (1,), "small_only": (4,), "medium_only": (2,), "others": (0, 3, 5)},
)


def columns_read(frame: DataFrame) -> int:
    """How many of the blocks' columns the plan reads."""
    schema = frame._jdf.queryExecution().executedPlan().toString().partition("ReadSchema")[2]
    return sum(schema.count(f"{name}:") for name in SETS.blocks)


def test_a_set_reads_the_blocks_that_hold_it(spark: SparkSession, tmp_path: Path) -> None:
    row = tuple([place * 10 for place in places] for places in SETS.blocks.values())
    spark.createDataFrame([row], ", ".join(f"{name} array<tinyint>" for name in SETS.blocks)).write.parquet(
        str(tmp_path / "rows")
    )
    expected = {("small",): ("be", 2), ("medium",): ("bc", 2), ("all",): ("becadf", 4), ("odd",): ("ad", 1),
                ("small", "medium"): ("bec", 3), ("odd", "small"): ("bead", 3)}  # fmt: skip

    for wanted, (names, read) in expected.items():
        found, array = SETS.chosen(wanted)
        chosen = spark.read.parquet(str(tmp_path / "rows")).select(array.alias("features"))
        assert (found, chosen.first()["features"]) == (tuple(names), ["abcdef".index(name) * 10 for name in names])
        assert columns_read(chosen) == read
    assert SETS.within("abce") == {"small": ("e", "b"), "medium": ("b", "c")}
    with pytest.raises(InputError, match=r"there is no feature set 'rain'; choose one of small, medium, odd, all"):
        SETS.chosen(["small", "rain"])
    with pytest.raises(InputError, match=r"classic.features: the feature set 'none' has no features; choose another"):
        SETS.chosen(["none"])


def bytes_read(frame: DataFrame) -> int:
    """What a query has read from disk, by the file system's own count."""

    def so_far() -> int:
        return sum(part.getBytesRead() for part in system.getAllStatistics())

    system = frame.sparkSession._jvm.org.apache.hadoop.fs.FileSystem
    before = so_far()
    frame.write.format("noop").mode("overwrite").save()
    return so_far() - before


def test_reading_small_of_a_wide_table_reads_no_other_block(spark: SparkSession, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    widths = {"both": 11, "small_only": 31, "medium_only": 700, "others": 2000}
    columns = {
        name: pa.ListArray.from_arrays(
            pa.array(np.arange(3001, dtype=np.int32) * width),
            pa.array(draw.integers(0, 5, 3000 * width, dtype=np.int8)),
        )
        for name, width in widths.items()
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet", compression="zstd")
    footer = pq.read_metadata(tmp_path / "rows.parquet")
    sizes = dict.fromkeys(widths, 0)
    for group in range(footer.num_row_groups):
        for place in range(footer.num_columns):
            chunk = footer.row_group(group).column(place)
            sizes[chunk.path_in_schema.partition(".")[0]] += chunk.total_compressed_size
    first = [0]
    for width in widths.values():
        first.append(first[-1] + width)
    places = {name: range(first[at], first[at + 1]) for at, name in enumerate(widths)}
    sets = {"small": [*places["both"], *places["small_only"]], "medium": [*places["both"], *places["medium_only"]],
            "all": range(first[-1])}  # fmt: skip
    wide = PackedSets(tuple(map(str, range(first[-1]))), sets, places)

    rows = spark.read.parquet(str(tmp_path / "rows.parquet"))
    read = {name: bytes_read(rows.select(wide.chosen([name])[1].alias("features"))) for name in sets}

    needed = sizes["both"] + sizes["small_only"]
    assert needed <= read["small"] < 1.2 * needed + 200_000 < sizes["medium_only"]
    assert read["medium"] >= sizes["both"] + sizes["medium_only"]
    assert read["all"] >= sum(sizes.values())
