"""The contract of Numerai Classic's files, on invented files of v5.3's shape that are damaged on purpose."""

import json
import shutil
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
from eraflow.sources import classic_files, classic_synthetic
from eraflow.sources.classic_files import Folder

SETTINGS = ClassicSynthetic(
    train_eras=20, validation_eras=18, rows_per_era=60, features=50, metadata=None, signal=0.1, absent="both", seed=3
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classic")
    classic_synthetic.write(SETTINGS, folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "v5.3"))


def found(folder: Path) -> tuple[classic_files.Split, ...]:
    place = Folder(str(folder))
    return classic_files.splits(place, classic_files.catalogue(place))


def labelled(folder: Path) -> list[classic_files.Split]:
    return [split for split in found(folder) if split.name in classic_files.LABELLED]


def changed(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    frame = change(pd.read_parquet(folder / f"{name}.parquet", dtype_backend="numpy_nullable"))
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{name}.parquet")


def test_a_round_is_what_its_files_say(spark: SparkSession, whole: Path) -> None:
    splits = found(whole)
    contents = classic_files.contents(spark, labelled(whole))

    assert [(split.name, split.rows, split.dtype) for split in splits] == [
        ("train", 1200, "int8"), ("validation", 1080, "int8"), ("live", 60, "int8"),
    ]  # fmt: skip
    assert contents.alias == "target_ender_60"
    assert contents.eras == {"train": tuple(range(1, 21)), "validation": tuple(range(21, 39))}
    assert contents.unknown["target_ender_20"] == (36, 37, 38)
    assert contents.unknown["target_ender_60"] == tuple(range(28, 39))
    assert contents.gaps == ()


def test_targets_of_neighbouring_eras_overlap_by_as_many_weeks_as_numerais(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"rows_per_era": 2000, "train_eras": 40, "signal": 0.0})
    _, returns = zip(*((era, coming) for era, _, coming in classic_synthetic.eras(settings)), strict=True)

    for era, coming in enumerate(returns[:40]):
        assert len(coming) == 12
        assert all(np.array_equal(one, other) for one, other in zip(coming[1:], returns[era + 1], strict=False))
    assert [len(coming) for coming in returns[-13:]] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0][:13]


def members(catalogue: classic_files.Catalogue) -> dict[str, list[str]]:
    return {name: [catalogue.features[place] for place in places] for name, places in catalogue.sets.items()}


def test_sets_overlap_and_keep_their_order(whole: Path) -> None:
    named = json.loads((whole / "features.json").read_text())["feature_sets"]
    catalogue = classic_files.catalogue(Folder(str(whole)))

    assert members(catalogue) == named
    assert catalogue.features == tuple(named["all"])
    small, medium = set(named["small"]), set(named["medium"])
    assert len(small & medium) == 3 < len(small) == 10
    assert any(places != tuple(sorted(places)) for places in catalogue.sets.values())


def test_metadata_without_a_set_of_all_features_take_it_from_the_columns(folder: Path) -> None:
    metadata = json.loads((folder / "features.json").read_text())
    every = metadata["feature_sets"].pop("all")
    (folder / "features.json").write_text(json.dumps(metadata | {"feature_stats": {every[0]: {"min": 0.1}}}))

    catalogue = classic_files.catalogue(Folder(str(folder)))

    assert members(catalogue) == metadata["feature_sets"] | {"all": every}
    assert {split.name for split in found(folder)} == {"train", "validation", "live"}


def test_a_set_with_a_feature_twice_is_refused(folder: Path) -> None:
    path = folder / "features.json"
    metadata = json.loads(path.read_text())
    metadata["feature_sets"]["small"].append(metadata["feature_sets"]["small"][0])
    path.write_text(json.dumps(metadata))

    with pytest.raises(InputError) as refused:
        found(folder)
    assert str(refused.value) == f"{path}: the set 'small' names a feature twice; download it again."


def test_real_metadata_are_taken_as_they_are(real_metadata: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"metadata": str(real_metadata), "train_eras": 2, "validation_eras": 1, "rows_per_era": 20}
    )
    classic_synthetic.write(settings, tmp_path)
    named = json.loads(real_metadata.read_text())

    catalogue = classic_files.catalogue(Folder(str(tmp_path)))
    assert members(catalogue) == named["feature_sets"]
    assert [len(catalogue.sets[name]) for name in ("small", "medium", "rain", "all")] == [42, 705, 666, 2376]
    assert {*found(tmp_path)[0].targets, "target"} == set(named["targets"])
    train = pd.read_parquet(tmp_path / "train.parquet")
    assert (train["target"].dropna() == train.loc[train["target"].notna(), "target_cyrusd_20"]).all()


def test_the_planted_signal_is_in_the_targets_and_in_the_benchmarks(tmp_path: Path) -> None:
    correlations = {}
    for signal in (0.0, 0.5):
        settings = SETTINGS.model_copy(update={"signal": signal, "rows_per_era": 400})
        classic_synthetic.write(settings, tmp_path / str(signal))
        train = pd.read_parquet(tmp_path / str(signal) / "train.parquet")
        benchmarks = pd.read_parquet(tmp_path / str(signal) / "train_benchmark_models.parquet")
        both = train.merge(benchmarks, on=["id", "era"], validate="one_to_one")
        name = classic_synthetic.BENCHMARKS[0]
        correlations[signal] = np.mean(
            [rows[name].corr(rows["target_ender_20"], method="spearman") for _, rows in both.groupby("era")]
        )

    assert abs(correlations[0.0]) < 0.03
    assert correlations[0.5] > 0.2


def test_the_same_settings_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    classic_synthetic.write(SETTINGS, tmp_path)

    for path in whole.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_bins_have_numerais_shares_and_late_features_are_missing_in_both_ways(whole: Path) -> None:
    train = pd.read_parquet(whole / "train.parquet")
    features = [name for name in train if name.startswith("feature_")]
    first, later = (train.loc[chosen, features] for chosen in (train["era"] == "0001", train["era"] > "0002"))

    shares = train["target"].value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(shares, [0.05, 0.2, 0.5, 0.2, 0.05], atol=0.01)
    assert later.notna().all(axis=None)
    assert first.isna().all().any()
    assert (first == 2).all().any()
    assert not (later == 2).all().any()


def truncated(folder: Path) -> None:
    path = folder / "train.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def other_catalogue(folder: Path) -> None:
    path = folder / "features.json"
    metadata = json.loads(path.read_text())
    metadata["feature_sets"]["all"].append("feature_rain_9999")
    path.write_text(json.dumps(metadata))


def strange_set(folder: Path) -> None:
    path = folder / "features.json"
    metadata = json.loads(path.read_text())
    metadata["feature_sets"]["small"].append("feature_nowhere")
    path.write_text(json.dumps(metadata))


def smaller_catalogue(folder: Path) -> None:
    path = folder / "features.json"
    metadata = json.loads(path.read_text())
    left_out = metadata["feature_sets"]["all"][-1]
    metadata["feature_sets"] = {
        name: [member for member in members if member != left_out] for name, members in metadata["feature_sets"].items()
    }
    path.write_text(json.dumps(metadata))


def seven(folder: Path) -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        last = [column for column in frame if column.startswith("feature_")][-1]
        return frame.assign(**{last: frame[last].where(frame.index != 100, 7)})

    changed(folder, "validation", change)


def twice(folder: Path) -> None:
    changed(folder, "train", lambda frame: frame.assign(id=frame["id"].where(frame.index != 5, frame["id"].iloc[4])))


def strange_era(folder: Path) -> None:
    changed(folder, "train", lambda frame: frame.assign(era=frame["era"].replace("0007", "seven")))


def strange_target(folder: Path) -> None:
    changed(folder, "train", lambda frame: frame.assign(target_bravo_20=frame["target_bravo_20"] * 4))


def shared_era(folder: Path) -> None:
    changed(folder, "validation", lambda frame: frame.assign(era=frame["era"].replace("0021", "0020")))


FAULTS = {
    truncated: "train.parquet has no readable parquet footer: it is not whole; download it again.",
    other_catalogue: "train.parquet has no column 'feature_rain_9999', which features.json names",
    strange_set: "train.parquet has no column 'feature_nowhere', which features.json names; take both from one",
    smaller_catalogue: "that features.json does not name; take both from one version.",
    seven: "holds 7 in row group 0, where features are from 0 to 4",
    twice: "has 2 rows; download the files of one round again.",
    strange_era: "train.parquet holds era 'seven', which is no number such as 0001",
    strange_target: "column 'target_bravo_20' holds",
    shared_era: "era 0020 is in train.parquet and in validation.parquet",
}


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: str(damage.__name__))
def test_a_fault_is_named(spark: SparkSession, folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)

    with pytest.raises(InputError) as raised:
        classic_files.contents(spark, labelled(folder))
    assert FAULTS[damage] in str(raised.value)
