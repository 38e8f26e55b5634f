"""Numerai's own metadata, as v5.0, v5.3 and v4 have them, with invented rows of their columns."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from eraflow.cli import job
from eraflow.config import ClassicSynthetic, load
from eraflow.pipeline import classic_steps
from eraflow.pipeline.site import Site
from eraflow.pipeline.train import train
from eraflow.progress import PlainProgress
from eraflow.sources import classic_synthetic
from eraflow.tables import Store

pytestmark = pytest.mark.slow
SETTINGS = ClassicSynthetic(
    train_eras=3, validation_eras=1, rows_per_era=20, features=1, metadata=None, signal=0.5, absent="both", seed=3
)


def written(folder: Path, metadata: dict[str, Any], **sizes: int) -> Path:
    folder.mkdir()
    (folder / "metadata.json").write_text(json.dumps(metadata))
    settings = SETTINGS.model_copy(update={"metadata": str(folder / "metadata.json"), **sizes})
    classic_synthetic.write(settings, folder / "round")
    return folder / "round"


def as_v53(metadata: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    return metadata | {"feature_sets": metadata["feature_sets"] | {"all": columns}}


def as_v4(metadata: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    """No set of all features, and statistics of some."""
    sets = {name: members for name, members in metadata["feature_sets"].items() if name != "all"}
    statistics = {columns[0]: {"legacy_uniqueness": 0.1}}
    return {"feature_stats": statistics, "feature_sets": sets, "targets": metadata["targets"]}


@pytest.mark.parametrize("shape", [as_v53, as_v4])
def test_sets_of_real_metadata_are_read_from_one_packing(
    spark: SparkSession, real_metadata: Path, real_columns: list[str], tmp_path: Path, shape: Any
) -> None:
    metadata = json.loads(real_metadata.read_text())
    folder = written(tmp_path / "files", shape(metadata, real_columns))
    config = load(["classic.yml"], [f"classic.path={folder}", "classic.dataset=null", f"tables.root={tmp_path}/tables"])
    store = Store(spark, f"{tmp_path}/tables")
    tables = classic_steps.tables(Site(store, config, PlainProgress()))
    packed = tables["classic_training"]
    rows = store.read(packed)
    wide = pd.concat([pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation")])
    wide = wide.set_index("id").filter(like="feature_").astype(float)

    sets = classic_steps.sets(config, tables["classic_eras"])
    assert len(sets.names) == (3555 if shape is as_v53 else 2376)
    assert [len(packed.manifest["blocks"][f"features_{name}"]) for name in ("small_and_medium", "small", "medium")] == [
        11, 31, 694,
    ]  # fmt: skip
    for name in ("small", "medium", "rain"):
        members = metadata["feature_sets"][name]
        found, array = sets.chosen([name])
        assert sorted(found) == sorted(members)
        ours = rows.select("id", array.alias("features")).toPandas().set_index("id")["features"]
        theirs = wide.loc[ours.index, list(found)].to_numpy()
        levels = np.array(ours.tolist())
        present = levels >= 0  # what an era lacks is missing, and null or 2 in the files
        np.testing.assert_array_equal(levels[present], theirs[present])
        assert ((theirs[~present] == 2) | np.isnan(theirs[~present])).all()


def test_small_medium_and_rain_of_v5_are_learned_from_one_packing(
    spark: SparkSession, real_metadata: Path, tmp_path: Path
) -> None:
    folder = written(tmp_path / "files", json.loads(real_metadata.read_text()), train_eras=30, validation_eras=16)
    models = [f"models.{name}={{kind: linear, features: [{name}]}}" for name in ("small", "medium", "rain")]
    settings = (
        "classic.features=[small, medium, rain]", "targets.main=target_cyrusd_20", "validation.min_train_eras=20",
        "models.lightgbm=null", *models, f"classic.path={folder}",
        "classic.dataset=null", f"tables.root={tmp_path}/tables", f"run.dir={tmp_path}/runs",
    )  # fmt: skip
    assert job("", train, ["--config", "classic.yml", *(x for text in settings for x in ("--set", text))]) == 0

    run = tmp_path / "runs/classic"
    manifest = json.loads((run / "run.json").read_text())
    sets = json.loads(real_metadata.read_text())["feature_sets"]
    assert {name: made["version"] for name, made in manifest["tables"].items()} == {
        "classic_eras": 0, "classic_training": 0, "classic_targets": 0,
    }  # fmt: skip
    for name in ("small", "medium", "rain"):
        learned = json.loads((run / f"models/{name}/final/model.json").read_text())["feature_names"]
        assert sorted(learned) == sorted(sets[name])
    assert set(pd.read_csv(run / "per_era.csv")["model"]) == {"small", "medium", "rain"}
    assert (
        "Models are scored on target_cyrusd_20, and Numerai pays on target_ender_20"
        in (run / "report.html").read_text()
    )
    assert len(pd.read_csv(run / "predictions.csv")) == 20
