"""Every kind of model passes every check of `model_checks.py`: on a small universe, the demonstration, real prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.fault.test_resume import log_of, submitted
from tests.portable import predicted_without_spark
from tests.spark.model_checks import (
    CHECKS,
    Kind,
    Sample,
    check_what_recent_eras_say_weighs_more,
    predictions,
    universe,
)

from eraflow.config import load
from eraflow.models import Fitted, save
from eraflow.models import load as load_model
from eraflow.models.saved import Blend, save_blend
from eraflow.pipeline import signals
from eraflow.progress import PlainProgress
from eraflow.tables import Store

TREES = {"trees": 20, "max_depth": 4, "num_leaves": 8, "min_data_in_leaf": 20, "feature_fraction": 0.9}
NETWORK = {"length": 3, "width": 8, "epochs": 6, "eras_per_step": 1, "learning_rate": 0.02}
# The universe's tickers have no neighbours whose momentum tells anything: what is planted is each one's own.
GRAPH = {"length": 3, "graph": "none", "epochs": 12, "eras_per_step": 2, "learning_rate": 0.1}
NEED_TORCH = ("lstm", "transformer", "tokens", "l2gmom", "l2gmom_graph")


def kind(name: str, settings: dict[str, Any], seeded: bool = True, names: tuple[str, ...] | None = None) -> Kind:
    """A kind as `conf` would make it."""
    lines = [f"models.{name}.{key}={value}" for key, value in settings.items()]
    return Kind(name, load([], lines).models[name], seeded, names)


KINDS = (
    kind("lightgbm", {"kind": "lightgbm", "learning_rate": 0.2, **TREES}),
    kind("ranking", {"kind": "lightgbm", "objective": "lambdarank", "learning_rate": 0.2, **TREES}),
    kind("several", {"kind": "lightgbm", "seeds": 2, "learning_rate": 0.2, **TREES}),
    kind("random_forest", {"kind": "random_forest", **TREES}),
    kind("linear", {"kind": "linear"}, seeded=False),
    kind("lstm", {"kind": "lstm", **NETWORK}),
    kind("transformer", {"kind": "transformer", **NETWORK}),
    kind("tokens", {"kind": "tokens", **{key: value for key, value in NETWORK.items() if key != "length"}}),
    kind("l2gmom", {"kind": "l2gmom", **GRAPH}),
)
FOREST = kind("spark_forest", {"kind": "spark_forest", **{key: TREES[key] for key in TREES if key != "num_leaves"}})
CHOSEN = kind("chosen", {"kind": "linear", "selection": {"by": "exposure", "keep": 1}}, False, ("momentum",))
LEARNED = kind("l2gmom_graph", {"kind": "l2gmom", **GRAPH, "graph": "learned", "layers": 5, "epochs": 3})


def fit(kind: Kind, data: Sample) -> tuple[Kind, Fitted]:
    if kind.name in NEED_TORCH:
        pytest.importorskip("torch", reason="the extra `torch` is not installed")
    return kind, kind.fit(data, 5)


def named(value: Any) -> str:
    return value.name if isinstance(value, Kind) else value.__name__.removeprefix("check_")


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return universe(spark, tmp_path_factory.mktemp("rows") / "rows")


# Two are LightGBM in another way, Spark ML's forest is no one's first choice, and of the networks one stays.
LONG = ("ranking", "several", "transformer", "spark_forest", "tokens", "l2gmom")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(each, id=each.name, marks=[pytest.mark.slow] if each.name in LONG else [])
        for each in (*KINDS, CHOSEN, FOREST)
    ],
)
def fitted(request: pytest.FixtureRequest, data: Sample) -> tuple[Kind, Fitted]:
    return fit(request.param, data)


@pytest.mark.parametrize("check", [*CHECKS, check_what_recent_eras_say_weighs_more], ids=named)
def test_every_kind_passes(check: Any, fitted: tuple[Kind, Fitted], data: Sample, tmp_path: Path) -> None:
    check(*fitted, data, tmp_path)


FOLLOWERS = """
import json, sys

from eraflow import models
from eraflow.session import session

places, folder = json.loads(sys.argv[1]), sys.argv[2]
spark = session()
table, rows = spark.read.parquet(sys.argv[3]), spark.read.parquet(f"{folder}/later")
for name, place in places.items():
    models.load(place).predict(rows, table).write.parquet(f"{folder}/{name}-predicted")
"""


@pytest.mark.slow
def test_models_that_follow_tickers_predict_the_same_in_a_process_that_did_not_fit_them(
    data: Sample, tmp_path: Path
) -> None:
    kinds = [each for each in KINDS if each.settings.follows_tickers]
    assert {each.name for each in kinds} == {"lstm", "transformer", "l2gmom"}
    fitted = {each.name: fit(each, data)[1] for each in kinds}
    for name, model in fitted.items():
        save(model, tmp_path / name)
    data.rows.write.parquet(f"{tmp_path}/later")
    (tmp_path / "predict.py").write_text(FOLLOWERS)
    places = json.dumps({name: str(tmp_path / name) for name in fitted})
    table = data.training.table.inputFiles()[0].removeprefix("file:").rpartition("/")[0]

    with submitted(tmp_path, str(tmp_path / "predict.py"), [places, str(tmp_path), table]) as process:
        assert process.wait(timeout=400) == 0, log_of(tmp_path)

    for name, model in fitted.items():
        expected = predictions(model, data, data.later).set_index("id")["prediction"]
        found = pd.read_parquet(tmp_path / f"{name}-predicted").set_index("id").loc[expected.index, "prediction"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.slow
def test_all_kinds_and_a_blend_predict_the_same_where_there_is_no_spark(data: Sample, tmp_path: Path) -> None:
    kinds = [each for each in (*KINDS, FOREST, CHOSEN) if not each.settings.follows_tickers]
    places = {each.name: tmp_path / each.name for each in kinds}
    for each in kinds:
        save(fit(each, data)[1], places[each.name])
    every = {**places, "blend": tmp_path / "blend"}
    save_blend(Blend(places, [1.0 + place for place in range(len(places))], proportion=0.5), every["blend"])
    rows = data.rows.select("id", "era", "features").toPandas()
    wide = pd.DataFrame(rows["features"].tolist(), columns=list(data.training.feature_names)).replace(-1, np.nan)
    rows[["id", "era"]].join(wide).to_parquet(tmp_path / "rows.parquet")

    found = predicted_without_spark(every, tmp_path / "rows.parquet", tmp_path)

    assert {each.settings.kind for each in kinds} == {"lightgbm", "random_forest", "linear", "tokens", "spark_forest"}
    for name, place in every.items():
        expected = load_model(place).predict(data.rows, data.training.table).toPandas().set_index("id")["prediction"]
        np.testing.assert_allclose(found.loc[expected.index, name], expected, rtol=0, atol=1e-12, err_msg=name)


def sample(spark: SparkSession, base: Path, overlays: list[str], settings: list[str], least: float | None) -> Sample:
    """The tables that a configuration makes; two years are learned from, the next but few weeks are for later."""
    config = load(overlays, [*settings, f"tables.root={base}/tables"])
    made = signals.dataset(Store(spark, config.tables.root), config, PlainProgress())
    labelled = made.eras.labelled
    return Sample(made.training, labelled[-200:-100], labelled[-92:-76], labelled[-70:], least)


@pytest.fixture(scope="module")
def demo(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample(spark, tmp_path_factory.mktemp("demo"), ["demo.yml"], [], least=0.02)


@pytest.fixture(scope="module")
def real(spark: SparkSession, real_prices: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """60 of the tickers over the last six years; what they tell of the future, nobody knows."""
    base = tmp_path_factory.mktemp("real")
    rows = pd.read_parquet(real_prices)
    rows = rows[pd.to_datetime(rows["date"]) >= "2013-01-01"]
    rows[rows["ticker"].isin(sorted(rows["ticker"].unique())[:60])].to_parquet(base / "prices.parquet")
    return sample(spark, base, ["signals.yml"], [f"prices.path={base}/prices.parquet"], least=None)


# The real prices with the kind that no smaller test learns; the rest is the soak's.
SOME = ("l2gmom_graph",)
ON_PRICES = [
    pytest.param(prices, case, id=f"{prices}-{case.name}",
                 marks=pytest.mark.slow if prices == "real" and case.name in SOME else pytest.mark.soak)
    for prices in ("demo", "real")
    for case in (*KINDS, FOREST, LEARNED)
]  # fmt: skip


@pytest.mark.parametrize(("prices", "case"), ON_PRICES)
def test_every_kind_passes_on_prices(
    prices: str, case: Kind, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = request.getfixturevalue(prices)
    kind, fitted = fit(case, data)
    for check in CHECKS:
        check(kind, fitted, data, tmp_path_factory.mktemp(named(check)))
