"""What every model of the library must do; `test_models.py` runs each check on each kind.

A check takes a kind, a model of it that was fitted to `TRAINED` eras, the training table, and an empty folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow import registry
from eraflow.config.models import AnyModel
from eraflow.errors import InputError
from eraflow.models.base import Fitted, Training

NAMES = ("momentum", "value", "size", "absent")
TICKERS, ERAS = 200, 24
TRAINED, WATCHED = range(1, 15), range(16, 19)
LATER = range(20, 25)
SCHEMA = "id string, era int, features array<tinyint>, target float"


@dataclass(frozen=True)
class Kind:
    """A kind of model with its settings; `seeded`: whether its seed changes it; `names`: what it learns from."""

    name: str
    settings: AnyModel
    seeded: bool = True
    names: tuple[str, ...] = NAMES

    def fit(self, data: Training, seed: int) -> Fitted:
        watched = WATCHED if self.settings.watched_eras else ()
        return registry.build(self.settings, "target", seed).fit(data, TRAINED, watched)

    def load(self, folder: Path, data: Training) -> Fitted:
        return registry.load(self.settings, folder, data)


def universe(spark: SparkSession, folder: Path) -> Training:
    """200 tickers over 24 weeks; `momentum` tells the target.

    A tenth of levels and targets is unknown, every level of `absent`, and every level of ticker T000.
    """
    draw = np.random.default_rng(11)
    days = pd.date_range("2021-01-01", periods=ERAS, freq="W-FRI").strftime("%Y-%m-%d")
    levels = draw.integers(0, 5, (ERAS, TICKERS, len(NAMES)))
    target = np.digitize(levels[..., 0] - 2 + draw.normal(size=(ERAS, TICKERS)), [-2.0, -0.7, 0.7, 2.0]) / 4
    levels[draw.random(levels.shape) < 0.1] = -1
    levels[..., 3] = -1
    levels[:, 0] = -1
    unknown = draw.random(target.shape) < 0.1
    rows = [
        (f"T{ticker:03}_{days[era]}", era + 1, levels[era, ticker].tolist(),
         None if unknown[era, ticker] else float(target[era, ticker]))
        for era in range(ERAS)
        for ticker in range(TICKERS)
    ]  # fmt: skip
    spark.createDataFrame(rows, SCHEMA).repartition(2).write.parquet(str(folder))
    return Training(spark.read.parquet(str(folder)), NAMES, "target", -1)


def predictions(fitted: Fitted, rows: DataFrame) -> pd.DataFrame:
    return fitted.predict(rows).toPandas().sort_values("id", ignore_index=True)


def check_every_row_is_predicted_known_or_not(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    found = predictions(fitted, data.table)
    expected = data.table.select("id", "era").toPandas().sort_values("id", ignore_index=True)

    assert list(found.columns) == ["id", "era", "prediction"]
    pd.testing.assert_frame_equal(found[["id", "era"]], expected, check_dtype=False)
    assert np.isfinite(found["prediction"]).all()


def check_what_was_planted_is_found_in_later_eras(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    known = data.rows(LATER).toPandas().merge(predictions(fitted, data.rows(LATER)), on=["id", "era"])
    assert known["prediction"].corr(known["target"], method="spearman") > 0.4


def check_nothing_is_learned_from_other_eras(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    poisoned = F.when(F.col("era").isin([*TRAINED, *WATCHED]), F.col("target")).otherwise(F.lit(0.25)).cast("float")
    other = replace(data, table=data.table.withColumn("target", poisoned))
    assert_same(fitted, kind.fit(other, 5), data)


def check_what_recent_eras_say_weighs_more(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    turned = F.when(F.col("era") <= 9, 1 - F.col("target")).otherwise(F.col("target")).cast("float")  # most eras
    weighted = replace(data, table=data.table.withColumn("target", turned), half_life=1.0)
    known = data.rows(LATER).toPandas().merge(predictions(kind.fit(weighted, 5), data.rows(LATER)), on=["id", "era"])

    assert known["prediction"].corr(known["target"], method="spearman") > 0.3


def check_a_seed_decides_the_model(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    assert_same(fitted, kind.fit(data, 5), data)
    if kind.seeded:
        other = predictions(kind.fit(data, 6), data.rows(LATER))
        assert (predictions(fitted, data.rows(LATER))["prediction"] != other["prediction"]).any()


def check_a_saved_model_predicts_as_before(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    fitted.save(folder / "saved")
    loaded = kind.load(folder / "saved", data)
    assert_same(fitted, loaded, data)
    assert (loaded.feature_names, loaded.target) == (fitted.feature_names, fitted.target)


def check_it_names_what_it_was_trained_on(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    assert fitted.feature_names == kind.names
    assert fitted.target == "target"


def check_features_that_it_does_not_know_are_refused(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    fitted.save(folder / "saved")
    for names, told in {
        ("momentum", "worth", "size", "absent"): "trained on features 'value', which the training table does not have",
        ("value", "momentum", "size", "absent"): "trained on features in another number or order",
        (*NAMES, "more"): "trained on features in another number or order",
    }.items():
        with pytest.raises(InputError, match=told):
            kind.load(folder / "saved", replace(data, feature_names=names))


def check_eras_without_a_known_target_are_refused(kind: Kind, fitted: Fitted, data: Training, folder: Path) -> None:
    nothing = replace(data, table=data.table.withColumn("target", F.lit(None).cast("float")))
    with pytest.raises(InputError, match="target"):
        kind.fit(nothing, 5)


CHECKS: Sequence[Callable[[Kind, Fitted, Training, Path], None]] = (
    check_every_row_is_predicted_known_or_not,
    check_what_was_planted_is_found_in_later_eras,
    check_nothing_is_learned_from_other_eras,
    check_what_recent_eras_say_weighs_more,
    check_a_seed_decides_the_model,
    check_a_saved_model_predicts_as_before,
    check_it_names_what_it_was_trained_on,
    check_features_that_it_does_not_know_are_refused,
    check_eras_without_a_known_target_are_refused,
)


def assert_same(one: Fitted, other: Fitted, data: Training) -> None:
    pd.testing.assert_frame_equal(
        predictions(one, data.rows(LATER)), predictions(other, data.rows(LATER)), check_exact=True
    )
