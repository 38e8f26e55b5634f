"""Features chosen inside a fold: what is steady over the eras is kept, and nothing else of the table decides."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow import registry
from eraflow.config import load
from eraflow.config.models import AnyModel
from eraflow.errors import InputError
from eraflow.features.packing import narrowed
from eraflow.models import load as load_model
from eraflow.models import save
from eraflow.models.base import Training
from eraflow.models.saved import selections
from eraflow.models.selection import exposure_sharpes
from eraflow.models.steps import Chosen

NAMES = ("noise_0", "early", "steady", "noise_1", "turning", "weak", "noise_2", "noise_3")
ROWS, LEARNED, LATER = 250, tuple(range(1, 25)), (30, 31, 32)
SCHEMA = "id string, era int, features array<tinyint>, target float"


def rows_frame() -> pd.DataFrame:
    """`steady` and `weak` always pay, `early` for six eras and much, `turning` much and the other way each era."""
    draw = np.random.default_rng(5)
    parts = []
    for era in (*LEARNED, *LATER):
        levels = draw.integers(0, 5, (ROWS, len(NAMES)))
        x = dict(zip(NAMES, (levels - 2.0).T, strict=True))
        paid = 0.3 * x["steady"] + 0.2 * x["weak"] + (era <= 6) * x["early"] + (-1) ** era * 0.5 * x["turning"]
        target = (paid + draw.normal(size=ROWS)).astype("float32")
        ids = [f"n{era:02}{row:03}" for row in range(ROWS)]
        parts.append(pd.DataFrame({"id": ids, "era": era, "features": levels.tolist(), "target": target}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Training:
    folder = tmp_path_factory.mktemp("rows") / "rows"
    spark.createDataFrame(list(map(tuple, rows_frame().to_numpy().tolist())), SCHEMA).coalesce(1).write.parquet(
        str(folder)
    )
    return Training(spark.read.parquet(str(folder)), NAMES, "target", -1)


def settings(kind: str, by: str, **more: Any) -> AnyModel:
    options = {"kind": kind, "selection": {"by": by, "keep": 2, "blocks": 4, "trees": 20}} | more
    return load([], [f"models.chosen={json.dumps(options)}"]).models["chosen"]


def test_sharpes_of_exposures_are_those_of_correlations_by_era(data: Training) -> None:
    rows = rows_frame().query("era <= 24")
    by_era = [
        [np.corrcoef(of_era["features"].str[place], of_era["target"])[0, 1] for place in range(len(NAMES))]
        for _, of_era in rows.groupby("era")
    ]
    expected = np.abs(np.mean(by_era, axis=0)) / np.std(by_era, axis=0)

    np.testing.assert_allclose(exposure_sharpes(data, LEARNED), expected, rtol=1e-4)


# `early` has the most gain of all rows, but in one block of four; what turns each era cancels out in a block.
@pytest.mark.parametrize("by", ["exposure", "stability", "shap", "permutation"])
def test_what_is_steady_is_learned_from_and_saved_by_name(by: str, data: Training, tmp_path: Path) -> None:
    kept = ("steady", "weak")
    linear = settings("linear", by)
    fitted = registry.build(linear, "target", 3).fit(data, LEARNED)
    save(fitted, tmp_path / "model")

    assert fitted.feature_names == kept
    saved = json.loads((tmp_path / "model/model.json").read_text(encoding="utf-8"))
    assert saved["inputs"] == list(NAMES)
    assert tuple(saved["members"][0]["steps"][0]["kept"]) == kept
    found = fitted.predict(data.rows(LATER)).toPandas().sort_values("id", ignore_index=True)
    few = data.narrowed([name in kept for name in NAMES])
    plain = settings("linear", "all")
    alone = registry.build(plain, "target", 3).fit(few, LEARNED)
    expected = alone.predict(few.rows(LATER)).toPandas().sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected)
    again = load_model(tmp_path / "model")
    assert again.feature_names == kept
    pd.testing.assert_frame_equal(
        again.predict(data.rows(LATER)).toPandas().sort_values("id", ignore_index=True), found, check_exact=True
    )


def test_other_eras_decide_nothing(data: Training) -> None:
    paid = F.when(F.col("era") <= max(LEARNED), F.col("target")).otherwise(F.expr("features[0]")).cast("float")
    poisoned = replace(data, table=data.table.withColumn("target", paid))

    np.testing.assert_array_equal(exposure_sharpes(poisoned, LEARNED), exposure_sharpes(data, LEARNED))


def test_constrained_features_are_kept_and_fits_say_what_they_chose(data: Training) -> None:
    more = {"monotone": {"noise_3": 1}, "trees": 5, "seeds": 2, "feature_fraction": 1.0}
    fitted = registry.build(settings("lightgbm", "exposure", **more), "target", 3).fit(data, LEARNED)

    assert fitted.feature_names == ("steady", "noise_3")


def test_features_are_chosen_once_for_all_seeds(data: Training, tmp_path: Path) -> None:
    both = settings("linear", "stability", seeds=2)
    save(registry.build(both, "target", 3).fit(data, LEARNED), tmp_path / "both")
    one = registry.build(settings("linear", "stability"), "target", 4).fit(data, LEARNED)
    save(one, tmp_path / "one")

    shared, other = selections(tmp_path / "both").values()
    assert shared == other
    assert selections(tmp_path / "one") != {"": other}  # by itself that seed weighs features in another way
    assert load_model(tmp_path / "both").feature_names == ("steady", "weak")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 8}, "selection.keep=8 leaves out none of 8 features; lower it"),
        ({"keep": 0.99}, "selection.keep=0.99 leaves out none of 8 features"),
        ({"blocks": 25}, "selection.blocks is 25, but there are only 24 eras to learn from"),
    ],
)
def test_selections_that_cannot_be_are_told(options: dict[str, Any], message: str, data: Training) -> None:
    wrong = settings("linear", "stability", selection={"by": "stability", "keep": 2, "blocks": 4, **options})
    with pytest.raises(InputError, match=message):
        registry.build(wrong, "target", 3).fit(data, LEARNED)


def test_rows_of_another_table_are_refused(data: Training) -> None:
    chosen = Chosen((2, 5), (1.0, 1.0))
    short = data.table.withColumn("features", F.slice("features", 1, 6))
    with pytest.raises(Exception, match="feature arrays have 6 values, not 8"):
        narrowed(short, chosen.taken(len(NAMES))).collect()
