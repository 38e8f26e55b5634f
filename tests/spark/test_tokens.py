"""Features as tokens: what two of them say together is learned, of rows that cannot be followed through time."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from eraflow import registry
from eraflow.config import load
from eraflow.config.models import AnyModel, Tokens
from eraflow.errors import InputError
from eraflow.models import Fitted, sequence
from eraflow.models.base import Training
from eraflow.models.tokens import TokensModel
from eraflow.models.tokens_scores import TokensScores

NAMES = ("a", "b", "c", "d")
ROWS, ERAS = 200, 50


def config(**changes: object) -> Tokens:
    settings = {"kind": "tokens", "width": 16, "layers": 1, "epochs": 15, "eras_per_step": 2, "learning_rate": 0.01,
                "weight_decay": 0.0001, "early_stopping_epochs": 5, "early_stopping_eras": 8, **changes}  # fmt: skip
    found = load([], [f"models.tokens={json.dumps(settings)}"]).models["tokens"]
    assert isinstance(found, Tokens)
    return found


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The product of `b` and `d`, each less its middle, tells the target; a tenth of levels is unknown."""
    draw = np.random.default_rng(6)
    levels = draw.integers(0, 5, (ROWS * ERAS, len(NAMES)))
    target = draw.normal(size=len(levels)) + 0.5 * (levels[:, 1] - 2) * (levels[:, 3] - 2)
    levels[draw.random(levels.shape) < 0.1] = -1
    rows = [
        (f"n{hashlib.md5(str(at).encode()).hexdigest()[:15]}", at // ROWS + 1, levels[at].tolist(), float(target[at]))
        for at in range(len(levels))
    ]
    folder = str(tmp_path_factory.mktemp("rows") / "rows")
    spark.createDataFrame(rows, "id string, era int, features array<tinyint>, target float").write.parquet(folder)
    return Training(spark.read.parquet(folder), NAMES, "target", -1)


def fit(settings: AnyModel, data: Training, eras: Sequence[int] = range(1, 33), **options: Any) -> Fitted:
    return registry.build(settings, "target", 3).fit(data, eras, **options)


@pytest.fixture(scope="module")
def fitted(data: Training) -> Fitted:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    return fit(config(), data, watched=range(35, 41))


def correlation(model: Fitted, data: Training) -> float:
    """The mean of later eras."""
    found = model.predict(data.rows(range(43, ERAS + 1))).toPandas()
    both = data.rows(range(43, ERAS + 1)).toPandas().merge(found, on=["id", "era"], validate="1:1")
    assert len(both) == len(found) == (ERAS - 42) * ROWS
    return float(both.groupby("era")[["prediction", "target"]].corr().iloc[0::2, 1].mean())


def test_what_two_features_say_together_is_learned(fitted: Fitted, data: Training) -> None:
    ridge = load([], ["models.linear.kind=linear"]).models["linear"]

    assert correlation(fitted, data) > 0.5  # a perfect score would have 1 / sqrt(2) = .71, less what is unknown
    assert abs(correlation(fit(ridge, data, range(1, 41)), data)) < 0.15


def test_rows_are_predicted_alike_alone_and_among_others(fitted: Fitted, data: Training) -> None:
    one = fitted.predict(data.rows([45]).where("id like 'n7%'")).toPandas().set_index("id")["prediction"]
    every = fitted.predict(data.rows(range(40, ERAS + 1))).toPandas().set_index("id")["prediction"]

    assert len(one) >= 3
    np.testing.assert_allclose(one, every.loc[one.index], atol=1e-12)


def test_a_final_network_learns_the_watched_eras_too_for_as_long(
    fitted: Fitted, data: Training, tmp_path: Path
) -> None:
    few = config(epochs=3)
    final = registry.build(few, "target", 3, tmp_path / "work")
    found = final.fit(data, range(1, 33), range(35, 41), every=range(1, 41)).members[0].estimator
    stopped = fit(few, data, watched=range(35, 41)).members[0].estimator.epoch
    whole = fit(config(epochs=stopped), data, range(1, 41)).members[0].estimator

    assert isinstance(found, TokensScores)
    assert isinstance(whole, TokensScores)
    assert found.epoch == stopped
    for name, value in whole.state.items():
        np.testing.assert_array_equal(found.state[name], value)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["target-3-epochs.json"]


@pytest.mark.soak
def test_several_processes_learn_what_one_does(data: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    few = config(epochs=3)  # rounding, which differs, grows with epochs
    alone = fit(few, data, watched=range(35, 41))
    monkeypatch.setattr(sequence, "ROWS_PER_PROCESS", 1000)
    shared = fit(few, data, watched=range(35, 41))
    one, other = (found.predict(data.rows([45])).toPandas().set_index("id")["prediction"] for found in (alone, shared))
    assert one.corr(other) > 0.999


def test_pieces_of_rows_change_neither_scores_nor_gradients() -> None:
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    from eraflow.models.networks import TokensNetwork

    torch.manual_seed(2)
    network = TokensNetwork(5, 1, 8, 2).double()
    rows = torch.randint(0, 6, (40, 5))
    found = []
    for piece in (40, 7):
        network.zero_grad()
        network.piece = piece
        scores = network(rows)
        (scores * torch.arange(40)).sum().backward()
        found.append([scores.detach(), *(parameter.grad.clone() for parameter in network.parameters())])

    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_rows_of_another_width_are_told(fitted: Fitted, data: Training) -> None:
    rows = data.rows([45]).selectExpr("id", "era", "slice(features, 1, 3) features")
    with pytest.raises(Exception, match="rows have 3 features, not 4"):
        fitted.predict(rows).toPandas()


def test_without_torch_it_says_what_to_install(data: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"tokens needs torch; say make torch, or else pip install 'eraflow\[torch\]'"):
        TokensModel(config(), 3).fit(data, range(1, 33))
