"""Every kind of model passes every check of `model_checks.py`."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.spark.model_checks import CHECKS, NAMES, Kind, universe

from eraflow.config import load
from eraflow.models.base import Fitted, Training

TREES = {"trees": 20, "max_depth": 4, "num_leaves": 8, "min_data_in_leaf": 20, "feature_fraction": 0.9}
NETWORK = {"length": 3, "width": 8, "epochs": 6, "eras_per_step": 1, "learning_rate": 0.02}
# The universe's tickers have no neighbours whose momentum tells anything: what is planted is each one's own.
GRAPH = {"length": 3, "graph": "none", "epochs": 12, "eras_per_step": 2, "learning_rate": 0.1}


def kind(name: str, settings: dict[str, Any], seeded: bool = True, names: tuple[str, ...] = NAMES) -> Kind:
    """A kind as `conf` would make it."""
    told = [f"models.{name}.{key}={value}" for key, value in settings.items()]
    return Kind(name, load([], told).models[name], seeded, names)


KINDS = (
    kind("lightgbm", {"kind": "lightgbm", "learning_rate": 0.2, **TREES}),
    kind("ranking", {"kind": "lightgbm", "objective": "lambdarank", "learning_rate": 0.2, **TREES}),
    kind("several", {"kind": "lightgbm", "seeds": 2, "learning_rate": 0.2, **TREES}),
    kind("random_forest", {"kind": "random_forest", **TREES}),
    kind("linear", {"kind": "linear"}, seeded=False),
    kind("chosen", {"kind": "linear", "selection": {"by": "exposure", "keep": 1}}, False, ("momentum",)),
    kind("lstm", {"kind": "lstm", **NETWORK}),
    kind("transformer", {"kind": "transformer", **NETWORK}),
    kind("l2gmom", {"kind": "l2gmom", **GRAPH}),
)


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return universe(spark, tmp_path_factory.mktemp("rows") / "rows")


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def fitted(request: pytest.FixtureRequest, data: Training) -> tuple[Kind, Fitted]:
    kind: Kind = request.param
    if kind.name in ("lstm", "transformer", "l2gmom"):
        pytest.importorskip("torch", reason="the extra `torch` is not installed")
    return kind, kind.fit(data, 5)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_every_kind_passes(check: Any, fitted: tuple[Kind, Fitted], data: Training, tmp_path: Path) -> None:
    check(*fitted, data, tmp_path)
