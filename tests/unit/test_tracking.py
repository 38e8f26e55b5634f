"""What MLflow is told of a run, and what a user is told where it is missing."""

import json
from pathlib import Path

import pytest

from eraflow.config.scoring import Tracking
from eraflow.errors import InputError
from eraflow.tracking import FINGERPRINT, flat, metric_values, required, set_aliases, store, track

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


def test_without_mlflow_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eraflow.tracking.find_spec", lambda name: None)

    with pytest.raises(InputError, match=r"MLflow is not installed: pip install 'eraflow\[tracking\]', or set"):
        required()


def test_a_run_is_found_again_once_in_an_embedded_store(run: Path) -> None:
    from mlflow import MlflowClient

    base, tags = run.parent, {FINGERPRINT: "abc"}
    number = track(EMBEDDED, base, run, "one", {"run": {"seed": 7}}, tags)

    client = MlflowClient(store(EMBEDDED, base))
    found = client.get_run(number)
    assert (found.data.params, found.data.tags[FINGERPRINT], found.info.status) == (
        {"run.seed": "7"},
        "abc",
        "FINISHED",
    )
    assert [(x.step, x.value) for x in client.get_metric_history(number, "m/mmc")] == [(7, 0.25), (9, 0.5)]
    assert {x.path for x in client.list_artifacts(number)} == {"models", "per_era.csv", "summary.json"}
    tree = client.download_artifacts(number, "models/m/final/model.txt", str(base))
    assert Path(tree).read_text() == "tree"
    assert track(EMBEDDED, base, run, "one", {"run": {"seed": 7}}, tags) == number

    client.update_run(number, status="RUNNING")  # as one whose telling was cut short
    anew = track(EMBEDDED, base, run, "one", {"run": {"seed": 7}}, tags)
    assert [x.info.run_id for x in client.search_runs([found.info.experiment_id])] == [anew] != [number]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "sqlite:////proc/none/mlflow.db", "smoke://signals"])
def test_a_store_that_cannot_be_reached_is_a_sentence(run: Path, address: str) -> None:
    unreachable = Tracking(enabled=True, uri=address, experiment="tests")

    with pytest.raises(
        InputError, match=rf"tracking.uri: MLflow at {address} does not take the run \(.+\), which is fin"
    ):
        track(unreachable, run.parent, run, "one", {}, {FINGERPRINT: "abc"})


def test_a_registry_that_does_not_answer_costs_no_decision(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    away = Tracking(enabled=True, uri="http://127.0.0.1:9", experiment="tests")

    with pytest.raises(InputError, match=r"does not take the aliases of main .* the decision stands here"):
        set_aliases(away, tmp_path, "main", {"champion": "1"})
