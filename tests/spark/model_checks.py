"""What every model of the library must do; `test_models.py` runs each check on each kind.

A check takes a kind, a model of it that was fitted to the sample's `trained` eras, the sample, and an empty folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow import registry
from eraflow.config.models import AnyModel
from eraflow.errors import InputError
from eraflow.models import Fitted, load, save
from eraflow.models.base import Training

NAMES = ("momentum", "value", "size", "absent")
TICKERS, ERAS = 200, 24
SCHEMA = "id string, era int, features array<tinyint>, target float"


@dataclass(frozen=True)
class Sample:
    """A training table, and the eras of it that checks learn from, watch, and predict.

    `least` is the correlation of ranks that every kind must reach in the later eras; None where nobody knows one.
    """

    training: Training
    trained: Sequence[int]
    watched: Sequence[int]
    later: Sequence[int]
    least: float | None = None

    @property
    def rows(self) -> DataFrame:
        """Those of the later eras."""
        return self.training.rows(self.later)

    def changed(self, **changes: Any) -> Sample:
        return replace(self, training=replace(self.training, **changes))

    def with_target(self, target: Any) -> Sample:
        """The same with other values of what is learned."""
        return self.changed(table=self.training.table.withColumn(self.training.target, target.cast("float")))

    def correlation(self, fitted: Fitted) -> float:
        """Of the ranks of prediction and target, of all later rows together."""
        target = self.rows.select("id", F.col(self.training.target).alias("target")).toPandas()
        both = target.merge(predictions(fitted, self, self.later), on="id", validate="1:1")
        return float(both["prediction"].corr(both["target"], method="spearman"))


@dataclass(frozen=True)
class Kind:
    """A kind of model with its settings; `seeded`: whether its seed changes it; `names`: what it learns from.

    Without `names` it learns from all features.
    """

    name: str
    settings: AnyModel
    seeded: bool = True
    names: tuple[str, ...] | None = None

    def fit(self, data: Sample, seed: int) -> Fitted:
        watched = data.watched if self.settings.watched_eras else ()
        return registry.build(self.settings, data.training.target, seed).fit(data.training, data.trained, watched)


def universe(spark: SparkSession, folder: Path) -> Sample:
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
    training = Training(spark.read.parquet(str(folder)), NAMES, "target", -1)
    return Sample(training, range(1, 15), range(16, 19), range(20, 25), least=0.4)


def check_every_row_is_predicted_known_or_not(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    rows = data.training.rows([*data.trained, *data.later])
    found = predictions(fitted, data, [*data.trained, *data.later])
    expected = rows.select("id", "era").toPandas().sort_values("id", ignore_index=True)

    assert list(found.columns) == ["id", "era", "prediction"]
    pd.testing.assert_frame_equal(found[["id", "era"]], expected, check_dtype=False)
    assert np.isfinite(found["prediction"]).all()


def check_what_was_planted_is_found_in_later_eras(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    if data.least is not None:
        assert data.correlation(fitted) > data.least


def check_nothing_is_learned_from_other_eras(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    learned = F.col("era").isin([*data.trained, *data.watched])
    poisoned = data.with_target(F.when(learned, F.col(data.training.target)).otherwise(F.lit(0.25)))
    assert_same(fitted, kind.fit(poisoned, 5), data)


def check_a_seed_decides_the_model(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    assert_same(fitted, kind.fit(data, 5), data)
    if kind.seeded:
        other = predictions(kind.fit(data, 6), data, data.later)
        assert (predictions(fitted, data, data.later)["prediction"] != other["prediction"]).any()


def check_a_saved_model_predicts_as_before(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    save(fitted, folder / "saved")
    loaded = load(folder / "saved")
    assert isinstance(loaded, Fitted)
    assert_same(fitted, loaded, data)
    assert (loaded.feature_names, loaded.target) == (fitted.feature_names, fitted.target)


def check_without_spark_it_predicts_the_same(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    if kind.settings.kind in ("lstm", "transformer", "l2gmom"):
        with pytest.raises(InputError, match="follows tickers through time"):
            fitted.portable()
        return
    rows = data.rows.select("id", "era", "features").toPandas().set_index("id")
    wide = pd.DataFrame(rows["features"].tolist(), rows.index, list(data.training.feature_names)).replace(-1, np.nan)
    found = fitted.portable().predict(wide.assign(era=rows["era"]))

    expected = predictions(fitted, data, data.later).set_index("id")["prediction"]
    np.testing.assert_allclose(found[expected.index], expected, rtol=0, atol=1e-12)


def check_it_names_what_it_was_trained_on(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    assert fitted.feature_names == (kind.names or data.training.feature_names)
    assert fitted.target == data.training.target


def check_features_that_it_does_not_know_are_refused(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    one, two, *others = data.training.feature_names
    for names, message in {
        (one, "worth", *others): f"trained on features '{two}', which the training table does not have",
        (two, one, *others): "trained on features in another number or order",
        (one, two, *others, "more"): "trained on features in another number or order",
    }.items():
        with pytest.raises(InputError, match=message):
            fitted.refuse_others(names, "saved")


def check_eras_without_a_known_target_are_refused(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    with pytest.raises(InputError, match="target"):
        kind.fit(data.with_target(F.lit(None)), 5)


def check_what_recent_eras_say_weighs_more(kind: Kind, fitted: Fitted, data: Sample, folder: Path) -> None:
    """For the universe of this file, whose effect a few eras show."""
    target = F.col(data.training.target)
    turned = data.with_target(F.when(F.col("era") <= 9, 1 - target).otherwise(target))  # most eras
    assert data.correlation(kind.fit(turned.changed(half_life=1.0), 5)) > 0.3


Check = Callable[[Kind, Fitted, Sample, Path], None]
CHECKS: Sequence[Check] = (
    check_every_row_is_predicted_known_or_not,
    check_what_was_planted_is_found_in_later_eras,
    check_nothing_is_learned_from_other_eras,
    check_a_seed_decides_the_model,
    check_a_saved_model_predicts_as_before,
    check_without_spark_it_predicts_the_same,
    check_it_names_what_it_was_trained_on,
    check_features_that_it_does_not_know_are_refused,
    check_eras_without_a_known_target_are_refused,
)


def predictions(fitted: Fitted, data: Sample, eras: Sequence[int]) -> pd.DataFrame:
    rows = data.training.rows(eras).select("id", "era", "features")
    return fitted.predict(rows, data.training.table).toPandas().sort_values("id", ignore_index=True)


def assert_same(one: Fitted, other: Fitted, data: Sample) -> None:
    found = (predictions(fitted, data, data.later) for fitted in (one, other))
    pd.testing.assert_frame_equal(*found, check_exact=True)
