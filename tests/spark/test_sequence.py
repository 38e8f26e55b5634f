"""Sequence models on Spark: what earlier weeks say is learned and predicted; what cannot be is told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from eraflow import registry
from eraflow.config import load
from eraflow.config.models import Sequences
from eraflow.errors import InputError
from eraflow.explain import eras as passes
from eraflow.explain import histories
from eraflow.explain.additive import Additive
from eraflow.explain.attribution import Sampling
from eraflow.models import Fitted, sequence
from eraflow.models.base import Training
from eraflow.models.sequence import SequenceModel
from eraflow.models.sequence_scores import SequenceScores

NAMES = ("a", "b", "c")
TICKERS, ERAS = 150, 70
DAYS = pd.date_range("2020-01-03", periods=ERAS, freq="W-FRI").strftime("%Y-%m-%d")


def config(**changes: object) -> Sequences:
    settings = {"kind": "lstm", "length": 6, "width": 16, "layers": 1, "epochs": 12, "eras_per_step": 2,
                "learning_rate": 0.02, "weight_decay": 0.0001, "early_stopping_epochs": 3,
                "early_stopping_eras": 10, **changes}  # fmt: skip
    found = load([], [f"models.weeks={json.dumps(settings)}"]).models["weeks"]
    assert isinstance(found, Sequences)
    return found


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The level of `b` three weeks ago tells the target; one ticker comes late, and a tenth of levels is unknown."""
    draw = np.random.default_rng(4)
    levels = draw.integers(0, 5, (TICKERS, ERAS, len(NAMES)))
    target = draw.normal(size=(TICKERS, ERAS))
    target[:, 3:] += 0.7 * (levels[:, :-3, 1] - 2) / np.sqrt(2)
    levels[draw.random(levels.shape) < 0.1] = -1
    rows = [
        (f"T_{ticker}_{DAYS[era]}", era + 1, levels[ticker, era].tolist(), float(target[ticker, era]))
        for ticker in range(TICKERS)
        for era in range(60 if ticker == 0 else 0, ERAS)
    ]
    folder = str(tmp_path_factory.mktemp("rows") / "rows")
    spark.createDataFrame(rows, "id string, era int, features array<tinyint>, target float").write.parquet(folder)
    return Training(spark.read.parquet(folder), NAMES, "target", -1)


def test_without_torch_it_says_what_to_install(data: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"lstm needs torch; say make torch, or else pip install 'eraflow\[torch\]'"):
        SequenceModel(config(), 3).fit(data, range(1, 61))


def fit(data: Training) -> Fitted:
    return registry.build(config(), "target", 3).fit(data, range(1, 50), watched=range(52, 61))


@pytest.fixture(scope="module")
def fitted(data: Training) -> Fitted:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    return fit(data)


def test_a_fit_that_was_cut_short_goes_on_after_its_last_whole_epoch(
    fitted: Fitted, data: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eraflow.models import epochs

    save, saved = epochs._save, list[int]()

    def cut(state: dict[str, Any], place: Path) -> None:
        save(state, place)
        saved.append(state["epoch"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(epochs, "_save", cut)
    model = SequenceModel(config(), seed=3, work=tmp_path / "fit")
    with pytest.raises(KeyboardInterrupt):
        model.fit(data, range(1, 50), watched=range(52, 61))
    found = model.fit(data, range(1, 50), watched=range(52, 61))

    assert saved[:3] == [1, 2, 3]
    assert saved == list(range(1, len(saved) + 1))
    assert not (tmp_path / "fit").exists()
    whole = fitted.members[0].estimator
    assert isinstance(whole, SequenceScores)
    assert found.made == whole.made
    for name, value in whole.state.items():
        np.testing.assert_array_equal(found.state[name], value)


def test_what_an_earlier_week_says_is_predicted_of_every_row(fitted: Fitted, data: Training) -> None:
    found = fitted.predict(data.rows(range(63, 71)), data.table).toPandas()
    both = data.rows(range(63, 71)).toPandas().merge(found, on=["id", "era"], validate="1:1")

    assert len(both) == len(found) == 8 * TICKERS
    correlations = both.groupby("era")[["prediction", "target"]].corr().iloc[0::2, 1]
    assert correlations.mean() > 0.35  # a perfect score would have .7 / sqrt(1.49) = .57, less what is unknown


@pytest.mark.slow
def test_several_processes_learn_what_one_does(fitted: Fitted, data: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "ROWS_PER_PROCESS", 1000)
    shared = fit(data)
    one, other = (
        model.predict(data.rows([65]), data.table).toPandas().set_index("id")["prediction"]
        for model in (fitted, shared)
    )
    assert one.corr(other) > 0.999


def test_rows_are_predicted_alike_alone_and_among_others(fitted: Fitted, data: Training) -> None:
    one = fitted.predict(data.rows([65]).where("id like 'T_7%'"), data.table).toPandas().set_index("id")["prediction"]
    every = fitted.predict(data.rows(range(60, 71)), data.table).toPandas().set_index("id")["prediction"]

    assert len(one) == 11
    np.testing.assert_allclose(one, every.loc[one.index], atol=1e-6)


def test_ids_that_cannot_be_followed_are_told(data: Training) -> None:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    classic = Training(data.table.selectExpr("md5(id) id", "era", "features", "target"), NAMES, "target", -1)
    with pytest.raises(InputError, match="ids are not TICKER_YYYY-MM-DD, so no row can be followed through time"):
        SequenceModel(config(), 3).fit(classic, range(1, 61))


def test_a_networks_history_of_a_feature_is_explained_with_errors_and_sums_that_are_its_predictions(
    fitted: Fitted, data: Training
) -> None:
    """`b` of three weeks ago is what counts: of `b` as a whole that is found, in Spark's workers and on the driver."""
    rows = histories.labelled_rows(data, range(61, 65), config().length)
    seen = rows.toPandas().sort_values(["era", "id"], ignore_index=True)
    levels, eras = np.array(seen["features"].tolist(), dtype=np.int8), seen["era"].to_numpy(dtype=np.int64)
    assert levels.shape == (4 * TICKERS, 6 * len(NAMES))
    model = Additive.of(fitted, levels, eras, sampling=Sampling(pairs=8))

    predicted = fitted.predict(data.rows(range(61, 65)), data.table).toPandas().set_index("id")["prediction"]
    expected = predicted[seen["id"]].to_numpy()
    np.testing.assert_allclose(model.predictions(levels, eras), expected, rtol=0, atol=1e-6)
    values, errors = model.with_errors(levels[:40], eras[:40])
    np.testing.assert_allclose(values.sum(axis=1) + model.bases(eras[:40]), expected[:40], rtol=0, atol=1e-6)
    assert (errors > 0).any(axis=0).all()

    found = passes.measured(rows, {"net": model}, {"net": {"all": NAMES}})["net"]
    b = NAMES.index("b")
    assert (found.size[:, b] > 2 * np.delete(found.size, b, axis=1).max(axis=1)).all()
    assert (found.earned.mean(axis=0) > 0.2).tolist() == [False, True, False]
    assert (found.error > 0).all()
    assert found.error.max() < found.size[:, b].min() / 2
    again = passes.measured(rows.repartition(5), {"net": model}, {"net": {"all": NAMES}})["net"]
    np.testing.assert_array_equal(again.size, found.size)


def test_many_features_are_explained_by_their_families(fitted: Fitted, data: Training) -> None:
    seen = histories.labelled_rows(data, [63], config().length).toPandas()
    levels, eras = np.array(seen["features"].tolist(), dtype=np.int8), seen["era"].to_numpy(dtype=np.int64)
    model = Additive.of(fitted, levels, eras, sampling=Sampling(2, 2, families={"two": ("a", "c")}))
    assert model.names == ("family two", "other features")
    values, _ = model.with_errors(levels[:30], eras[:30])
    np.testing.assert_allclose(
        values.sum(axis=1) + model.bases(eras[:30]), model.predictions(levels[:30], eras[:30]), rtol=0, atol=1e-6
    )
    assert np.abs(values[:, 1]).mean() > 2 * np.abs(values[:, 0]).mean()
