"""What MLflow is told of a run, and what a user is told where it is missing."""

import importlib.util
import json
from pathlib import Path

import pytest

from eraflow.config.scoring import Tracking
from eraflow.errors import InputError
from eraflow.tracking import flat, metric_values, required, store, track

HAS_MLFLOW = importlib.util.find_spec("mlflow") is not None
EMBEDDED = Tracking(enabled=True, uri=None, experiment="tests")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs/one"
    (folder / "models/m/final").mkdir(parents=True)
    (folder / "models/m/final/model.txt").write_text("tree")
    (folder / "per_era.csv").write_text("model,era,metric,value\nm,7,mmc,0.25\nm,8,mmc,\nm,9,mmc,0.5\n")
    summary = {"m": {"mmc": {"mean": 0.375, "std": 0.125, "sharpe": None, "max_drawdown": 0.0, "interval": None}}}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def test_a_step_is_an_era_and_what_is_undefined_is_left_out(run: Path) -> None:
    assert list(metric_values(run)) == [
        ("m/mmc", 0.25, 7),
        ("m/mmc", 0.5, 9),
        ("m/mmc/mean", 0.375, 0),
        ("m/mmc/std", 0.125, 0),
        ("m/mmc/max_drawdown", 0.0, 0),
    ]


def test_parameters_are_named_as_in_conf() -> None:
    config = {"run": {"seed": 7}, "models": {"a": {"trees": 5}}, "sampling": {}, "folds": [1, 2]}

    assert list(flat(config)) == [("run.seed", 7), ("models.a.trees", 5), ("sampling", {}), ("folds", [1, 2])]


def test_the_embedded_store_is_below_the_runs() -> None:
    assert store(EMBEDDED, Path("/runs")) == "sqlite:////runs/mlflow.db"
    assert store(Tracking(enabled=True, uri="http://host:5000", experiment="x"), Path("/runs")) == "http://host:5000"


@pytest.mark.skipif(HAS_MLFLOW, reason="MLflow is installed")
def test_without_mlflow_one_sentence_says_what_to_install() -> None:
    with pytest.raises(InputError, match=r"MLflow is not installed: pip install 'eraflow\[tracking\]', or set"):
        required()


@pytest.mark.slow
@pytest.mark.skipif(not HAS_MLFLOW, reason="MLflow is not installed: pip install 'eraflow[tracking]'")
def test_a_run_is_found_again_in_an_embedded_store(run: Path) -> None:
    import mlflow

    base = run.parent
    number = track(EMBEDDED, base, run, "one", {"run": {"seed": 7}}, {"git_revision": "abc"})

    client = mlflow.MlflowClient(store(EMBEDDED, base))
    found = client.get_run(number)
    assert found.data.params == {"run.seed": "7"}
    assert found.data.tags["git_revision"] == "abc"
    assert found.info.status == "FINISHED"
    assert [(x.step, x.value) for x in client.get_metric_history(number, "m/mmc")] == [(7, 0.25), (9, 0.5)]
    assert {x.path for x in client.list_artifacts(number)} == {"models", "per_era.csv", "summary.json"}
    assert client.list_artifacts(number, "models/m/final")[0].path == "models/m/final/model.txt"
