"""L2GMOM on Spark: what neighbours say is predicted of every row, alike in any blocks, alone and among others."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow import registry
from eraflow.config import load
from eraflow.explain import histories
from eraflow.explain.additive import Additive
from eraflow.explain.attribution import Sampling
from eraflow.models import Fitted, l2gmom_scores
from eraflow.models.base import Training

NAMES = ("a", "b")
TICKERS, ERAS, GROUP = 45, 60, 3
DAYS = pd.date_range("2020-01-03", periods=ERAS, freq="W-FRI").strftime("%Y-%m-%d")
SETTINGS = {"kind": "l2gmom", "length": 6, "degree": 4, "layers": 6, "epochs": 6, "eras_per_step": 4,
            "learning_rate": 0.05}  # fmt: skip


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Groups of three move together, and the other two's `b` tells a ticker's target; one ticker comes late."""
    draw = np.random.default_rng(4)
    shared = np.repeat(draw.normal(size=(TICKERS // GROUP, ERAS, 2)), GROUP, axis=0)
    values = 0.8 * shared + 0.6 * draw.normal(size=(TICKERS, ERAS, 2))
    levels = np.digitize(values, [-0.84, -0.25, 0.25, 0.84])
    mine = (levels[..., 1] - 2.0).reshape(-1, GROUP, ERAS)
    target = 0.4 * (mine.sum(axis=1, keepdims=True) - mine).reshape(TICKERS, ERAS) + draw.normal(size=(TICKERS, ERAS))
    levels[draw.random(levels.shape) < 0.1] = -1
    rows = [
        (f"T_{ticker}_{DAYS[era]}", era + 1, levels[ticker, era].tolist(), float(target[ticker, era]))
        for ticker in range(TICKERS)
        for era in range(50 if ticker == 0 else 0, ERAS)
    ]
    folder = str(tmp_path_factory.mktemp("rows") / "rows")
    spark.createDataFrame(rows, "id string, era int, features array<tinyint>, target float").write.parquet(folder)
    return Training(spark.read.parquet(folder), NAMES, "target", -1)


@pytest.fixture(scope="module")
def fitted(data: Training) -> Fitted:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    settings = load([], [f"models.net.{key}={value}" for key, value in SETTINGS.items()]).models["net"]
    return registry.build(settings, "target", 3).fit(data, range(6, 40), watched=range(42, 48))


def predicted(fitted: Fitted, data: Training, eras: range) -> pd.Series:
    return fitted.predict(data.rows(eras), data.table).toPandas().set_index("id")["prediction"].sort_index()


def test_what_neighbours_say_is_predicted_of_every_row(fitted: Fitted, data: Training) -> None:
    rows = data.rows(range(50, 61)).toPandas().set_index("id")
    rows["prediction"] = predicted(fitted, data, range(50, 61))

    assert np.isfinite(rows["prediction"]).all()
    assert rows.groupby("era")[["prediction", "target"]].corr().iloc[0::2, 1].mean() > 0.2


def test_blocks_of_eras_change_nothing(fitted: Fitted, data: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predicted(fitted, data, range(44, 57))
    monkeypatch.setattr(l2gmom_scores, "BLOCK", 4)
    pd.testing.assert_series_equal(predicted(fitted, data, range(44, 57)), whole, check_exact=True)


def test_rows_are_predicted_alike_alone_and_among_others(fitted: Fitted, data: Training) -> None:
    one = fitted.predict(data.rows([55]).where("id like 'T_7%'"), data.table).toPandas().set_index("id")["prediction"]
    pd.testing.assert_series_equal(one, predicted(fitted, data, range(55, 56)).loc[one.index], check_exact=True)
    assert len(one) == 1


def test_later_eras_change_no_prediction(fitted: Fitted, data: Training) -> None:
    poisoned = F.when(F.col("era") > 55, F.expr("array(4Y, 4Y)")).otherwise(F.col("features"))
    later = replace(data, table=data.table.withColumn("features", poisoned))
    pd.testing.assert_series_equal(
        predicted(fitted, later, range(50, 56)), predicted(fitted, data, range(50, 56)), check_exact=True
    )


def test_what_all_tickers_showed_is_explained_era_by_era(fitted: Fitted, data: Training) -> None:
    seen = histories.labelled_rows(data, range(50, 54), histories.weeks_of(fitted)).toPandas()
    seen = seen.sort_values(["era", "id"], ignore_index=True)
    levels, eras = np.array(seen["features"].tolist(), dtype=np.int8), seen["era"].to_numpy(dtype=np.int64)
    model = Additive.of(fitted, levels, eras, sampling=Sampling(pairs=8))
    assert model.reads_whole_eras

    expected = predicted(fitted, data, range(50, 54))[seen["id"]].to_numpy()
    np.testing.assert_allclose(model.predictions(levels, eras), expected, rtol=0, atol=1e-4)  # tickers in another order
    values, errors = model.with_errors(levels, eras)
    found = values.sum(axis=1) + model.bases(eras)
    np.testing.assert_allclose(found, model.predictions(levels, eras), rtol=0, atol=1e-6)
    assert (errors > 0).any(axis=0).all()
    assert np.abs(values[:, 1]).mean() > 2 * np.abs(values[:, 0]).mean()  # `b` tells the target, `a` the graph at most
