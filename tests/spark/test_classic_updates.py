"""A week later: Numerai Classic's files hold one era more and more targets, and only what is new is written."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from tests.tables import folder_of

from eraflow.config import ClassicSynthetic, Config, load
from eraflow.pipeline import classic, classic_steps
from eraflow.pipeline.cells import Cells
from eraflow.pipeline.fitting import Fitting
from eraflow.pipeline.run import splitter
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.progress import PlainProgress
from eraflow.sources import classic_synthetic
from eraflow.tables import Store

pytestmark = pytest.mark.slow

ROWS, LAST = 40, 24
WAITING = ("0015", "0016", "0017", "0018", "0019")  # eras whose targets of 20 days become known within the week
SETTINGS = ClassicSynthetic(
    train_eras=12, validation_eras=LAST - 12, rows_per_era=ROWS, features=30, metadata=None, signal=0.1, absent="both",
    seed=3,
)  # fmt: skip


FOLDS = ("models={lightgbm: {kind: linear}}", "validation.period=3", "validation.min_train_eras=3",
         "validation.purge=5", "scoring.feature_sets=[]")  # fmt: skip


def configured(folder: Path, tables: Path, *settings: str) -> Config:
    places = (f"classic.path={folder}", "classic.dataset=null", f"tables.root={tables}", *settings)
    return load(["classic.yml"], places)


def built(spark: SparkSession, folder: Path, tables: Path, *settings: str) -> Versions:
    return classic_steps.tables(Site(Store(spark, str(tables)), configured(folder, tables, *settings), PlainProgress()))


def keys(spark: SparkSession, folder: Path, tables: Path) -> dict[str, str]:
    """By the eras that are learned the key of each fit that a run of these files makes."""
    config = configured(folder, tables, *FOLDS)
    data = classic.dataset(Store(spark, str(tables)), config, PlainProgress())
    fitting, (model,) = Fitting(config, data, Cells(folder, PlainProgress())), config.models.values()
    parts = [fitting.parts(model, fold.train) for fold in splitter(config).split(data.eras.spans)]
    parts.append(fitting.parts(model, data.eras.labelled, final=True))
    return {str(part.every): fitting.fit_key(model, part) for part in parts}


def numbers(versions: Versions) -> dict[str, int]:
    return {name: version.number for name, version in versions.items()}


def hide_targets(folder: Path) -> None:
    table = pq.read_table(folder / "validation.parquet")
    waits = pc.is_in(table["era"], pa.array(WAITING))
    for name in table.schema.names:
        if name.endswith("_20"):
            hidden = pc.if_else(waits, pa.scalar(None, pa.float32()), table[name])
            table = table.set_column(table.schema.get_field_index(name), name, hidden)
    pq.write_table(table, folder / "validation.parquet")


@pytest.fixture(scope="module")
def updated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, int]]]:
    """Tables built, then brought up to date a week later; and which versions they had at each step."""
    base = tmp_path_factory.mktemp("weeks")
    folder, tables, steps = base / "round", base / "tables", dict[str, dict[str, int]]()
    classic_synthetic.write(SETTINGS, folder)
    hide_targets(folder)
    steps["first"] = numbers(built(spark, folder, tables))
    fits = [keys(spark, folder, tables)]

    classic_synthetic.write(SETTINGS.model_copy(update={"seed": 4}), base / "other")
    shutil.copy(base / "other/live.parquet", folder / "live.parquet")
    steps["live"] = numbers(built(spark, folder, tables))

    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    steps["copy"] = numbers(built(spark, folder, tables))

    later = SETTINGS.model_copy(update={"validation_eras": LAST - 12 + 1})
    classic_synthetic.write(later, folder)
    steps["week"] = numbers(built(spark, folder, tables))
    fits.append(keys(spark, folder, tables))
    (base / "fits.json").write_text(json.dumps(fits))
    return base, steps


def test_a_new_live_file_writes_nothing(updated: tuple[Path, dict[str, dict[str, int]]]) -> None:
    _, steps = updated

    assert steps["first"] == {"classic_eras": 0, "classic_training": 0, "classic_targets": 0}
    assert steps["live"] == steps["first"]


def test_files_that_are_written_again_as_they_were_change_no_row(
    updated: tuple[Path, dict[str, dict[str, int]]],
) -> None:
    _, steps = updated

    assert steps["copy"] == {"classic_eras": 1, "classic_training": 0, "classic_targets": 0}


def test_a_week_later_what_learned_none_of_its_eras_is_not_fitted_again(
    updated: tuple[Path, dict[str, dict[str, int]]],
) -> None:
    before, after = json.loads((updated[0] / "fits.json").read_text())

    both = before.keys() & after.keys()
    assert both == {str(list(range(1, last + 1))) for last in (3, 6)}
    assert {eras: after[eras] for eras in both} == {eras: before[eras] for eras in both}
    assert not set(before.values()) & {key for eras, key in after.items() if eras not in both}


def commits(spark: SparkSession, path: Path) -> list[dict[str, str]]:
    history = DeltaTable.forPath(spark, str(path)).history().orderBy("version").collect()
    return [dict(row["operationMetrics"]) for row in history]


def test_a_week_later_one_era_is_packed_and_targets_of_the_others_are_written(
    spark: SparkSession, updated: tuple[Path, dict[str, dict[str, int]]]
) -> None:
    base, steps = updated

    assert steps["week"] == {"classic_eras": 2, "classic_training": 1, "classic_targets": 1}
    _, packed = commits(spark, folder_of(base / "tables", "classic_training"))
    assert int(packed["numOutputRows"]) == ROWS
    assert int(packed.get("numDeletedRows", 0)) == int(packed.get("numCopiedRows", 0)) == 0
    targets = str(folder_of(base / "tables", "classic_targets"))
    before, after = (
        spark.read.format("delta").option("versionAsOf", version).load(targets).toPandas() for version in (0, 1)
    )
    both = before.merge(after, on="era", how="outer", suffixes=("", " later"), indicator=True).set_index("era")
    names = [name for name in before if name.endswith("_20")]
    unequal = {
        era
        for era, row in both.iterrows()
        if row["_merge"] != "both"
        or any(pd.Series(row[x]).isna().sum() != pd.Series(row[f"{x} later"]).isna().sum() for x in names)
    }
    # The new era, the five whose targets were waited for, and those that every week brings.
    assert unequal == {*map(int, WAITING), LAST + 1, LAST + 2 - 4}


def rows(spark: SparkSession, tables: Path, name: str) -> pd.DataFrame:
    frame = spark.read.format("delta").load(str(folder_of(tables, name))).toPandas()
    keys = ["era", "id"] if "id" in frame else ["era"]
    return frame.sort_values(keys, ignore_index=True).map(lambda x: list(x) if isinstance(x, bytearray) else x)


def test_tables_of_two_weeks_are_those_of_a_build_at_once(
    spark: SparkSession, updated: tuple[Path, dict[str, dict[str, int]]]
) -> None:
    base, _ = updated
    built(spark, base / "round", base / "at-once")

    for name in ("classic_eras", "classic_training", "classic_targets"):
        found, wanted = rows(spark, base / "tables", name), rows(spark, base / "at-once", name)
        assert len(found.columns) > 2
        pd.testing.assert_frame_equal(found, wanted)


def test_a_set_that_is_read_fast_from_now_on_packs_rows_anew(
    spark: SparkSession, updated: tuple[Path, dict[str, dict[str, int]]]
) -> None:
    base, _ = updated
    before = built(spark, base / "round", base / "at-once")
    after = built(spark, base / "round", base / "at-once", "classic.read_fast=[small]")

    assert before["classic_eras"] == after["classic_eras"]
    assert before["classic_training"].recipe != after["classic_training"].recipe
    assert list(after["classic_training"].manifest["blocks"]) == ["features_small", "features_others"]
