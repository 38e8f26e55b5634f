"""The main job on a tiny invented universe: what it leaves, and the same content every time."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from pyspark.sql import SparkSession

from eraflow.cli import job
from eraflow.models.base import Training
from eraflow.models.lightgbm import LightGbmModel
from eraflow.pipeline.train import train

# Numerai Signals takes no fewer than 100 tickers, so that is what the universe has.
TINY = (
    "synthetic.days=360", "synthetic.sectors=3", "synthetic.tickers_per_sector=40", "kinds.lightgbm.trees=10",
    "kinds.lightgbm.min_data_in_leaf=50", "validation.folds=3", "validation.min_train_eras=20", "targets.horizons=[20]",
)  # fmt: skip


def arguments(base: Path, *settings: str) -> list[str]:
    every = [*TINY, f"tables.root={base}/tables", f"run.dir={base}/runs", *settings]
    return [part for text in every for part in ("--set", text)]


def finished(base: Path) -> Path:
    assert job("", train, arguments(base)) == 0
    return base / "runs/demo"


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("first"))


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def without_times(run: Path) -> str:
    page, times = re.subn(r'<section id="time">.*?</section>', "", (run / "report.html").read_text(), flags=re.DOTALL)
    assert times == 1
    return page


def out_of_fold(run: Path) -> pd.DataFrame:
    rows = pd.read_parquet(run / "oof.parquet")
    rows = rows.astype({"model": str, "fold": int})
    return rows.sort_values(["model", "fold", "era", "id"], ignore_index=True)


def assert_same_run(run: Path, expected: Path) -> None:
    """Two runs of one command have the same content: models and scores to the byte, page and manifest but for clocks.

    `tests/fault/test_resume.py` holds a run that was stopped at every turn to one that was not.
    """
    models = sorted(str(path.relative_to(expected)) for path in expected.rglob("model.txt"))
    assert models == sorted(str(path.relative_to(run)) for path in run.rglob("model.txt"))
    for name in ("predictions.csv", "per_era.csv", "summary.json", *models):
        assert (run / name).read_bytes() == (expected / name).read_bytes(), name
    assert_frame_equal(out_of_fold(run), out_of_fold(expected), check_exact=True)
    manifests = [read_json(folder / "run.json") for folder in (run, expected)]
    for manifest, folder in zip(manifests, (run, expected), strict=True):
        assert set(manifest.pop("clock")) == {"finished", "seconds", "models", "fits"}
        assert manifest["config"]["run"].pop("dir") == str(folder.parent)
        assert manifest["config"]["tables"].pop("root") == str(folder.parents[1] / "tables")
    assert manifests[0] == manifests[1]
    assert without_times(run) == without_times(expected)


def test_every_validated_row_is_predicted_once(run: Path) -> None:
    folds = read_json(run / "run.json")["folds"]
    rows = out_of_fold(run)

    assert set(rows.columns) == {"id", "era", "fold", "model", "prediction", "target"}
    assert not rows["id"].duplicated().any()
    assert rows["prediction"].notna().all()
    assert {n: sorted(part["era"].unique()) for n, part in rows.groupby("fold")} == {
        fold["number"]: fold["validation"] for fold in folds
    }
    assert rows.groupby("era").size().eq(120).all()
    for fold in folds:
        assert max(fold["train"]) < min(fold["purged"]) < min(fold["validation"])


def test_scores_are_of_every_validated_era(run: Path) -> None:
    scores = pd.read_csv(run / "per_era.csv")
    summary = read_json(run / "summary.json")

    assert list(scores.columns) == ["model", "era", "metric", "value"]
    assert not scores.duplicated(["model", "era", "metric"]).any()
    assert set(scores["era"]) == set(out_of_fold(run).dropna(subset="target")["era"])
    assert set(scores["metric"]) == {
        *("numerai_corr", "spearman", "pearson", "hit_rate", "churn", "turnover", "quantile_spread"),
        *("fnc_own", "max_exposure_own", "exposure_rms_own"),
    }
    for (model, metric), part in scores.groupby(["model", "metric"]):
        assert summary[model][metric]["mean"] == pytest.approx(part["value"].mean(), abs=1e-12)
        assert summary[model][metric]["eras"] == len(part)


def test_predictions_are_a_submission_of_the_newest_date(run: Path) -> None:
    submission = pd.read_csv(run / "predictions.csv")
    assert list(submission.columns) == ["ticker", "signal"]
    assert submission["ticker"].tolist() == [f"S{s:02}T{t:03}" for s in range(3) for t in range(40)]
    assert submission["signal"].between(0, 1, inclusive="neither").all()
    assert submission["signal"].nunique() > 1


def test_the_manifest_and_the_page_tell_what_the_run_was(run: Path) -> None:
    manifest = read_json(run / "run.json")
    page = (run / "report.html").read_text(encoding="utf-8")

    assert manifest["config"]["models"]["lightgbm"]["trees"] == 10
    took = manifest["clock"]["models"]["lightgbm"]
    assert took["fits"] == 4
    assert took["fit_seconds"] > 0 < took["predict_seconds"]
    assert 'id="time"' in page
    assert {name: made["version"] for name, made in manifest["tables"].items()} == {
        "prices": 0, "quality": 0, "features": 0, "eras": 0, "training": 0,
    }  # fmt: skip
    assert {"pyspark", "synapseml", "slots"} <= set(manifest["identity"]["software"])
    assert "<html" in page
    assert "eraflow: out-of-fold scores" in page
    assert not re.findall(r"""(?:src|href)=["']https?://""", page)


def test_a_finished_run_is_told_and_left_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> dict[str, int]:
        files = (path for path in [*run.rglob("*"), *(run.parents[1] / "tables").rglob("*")] if path.is_file())
        return {str(path): path.stat().st_mtime_ns for path in files if path.name not in {".lock", ".writer"}}

    before = state()
    assert finished(run.parents[1]) == run

    assert state() == before
    assert f"{run} is finished already; nothing was done." in capsys.readouterr().out


def test_a_folder_of_another_run_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "run.json").read_bytes()
    assert job("", train, arguments(run.parents[1], "kinds.lightgbm.trees=11")) == 2
    assert capsys.readouterr().err == (
        f"eraflow: {run} holds another run (config.models.lightgbm.trees was 10, is 11); "
        "choose another name with --set run.name=NAME, or remove the folder.\n"
    )
    assert (run / "run.json").read_bytes() == before


def test_the_strategy_view_is_net_of_what_is_traded(run: Path) -> None:
    daily, found = (pd.read_csv(run / f"{name}.csv") for name in ("strategy_daily", "strategy"))
    free, dear = (found.set_index("cost_bp").loc[cost] for cost in (0, 10))

    assert found["cost_bp"].tolist() == [0, 1, 2, 5, 10]
    assert free["days"] == len(daily)
    assert daily["leverage"].gt(0).all()
    assert free["annual_return"] - dear["annual_return"] == pytest.approx(0.001 * free["annual_turnover"])


@pytest.mark.slow
def test_a_finished_run_is_told_to_mlflow_once(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mlflow import MlflowClient

    where = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    for _ in range(2):
        assert job("", train, arguments(run.parents[1], "tracking.enabled=true", where)) == 0
    client = MlflowClient(where.removeprefix("tracking.uri="))
    (logged,) = client.search_runs([client.get_experiment_by_name("eraflow").experiment_id])

    scores = pd.read_csv(run / "per_era.csv").query("metric == 'numerai_corr'")
    history = client.get_metric_history(logged.info.run_id, "lightgbm/numerai_corr")
    assert {x.step: x.value for x in history} == dict(zip(scores["era"], scores["value"], strict=True))
    assert logged.data.metrics["lightgbm/numerai_corr/mean"] == pytest.approx(scores["value"].mean(), abs=1e-12)
    assert logged.data.params["models.lightgbm.trees"] == "10"
    assert json.loads(logged.data.tags["tables"]).keys() == read_json(run / "run.json")["tables"].keys()
    for file in ("report.html", "models/lightgbm/final/model.txt"):
        copy = client.download_artifacts(logged.info.run_id, file, str(tmp_path))
        assert Path(copy).read_bytes() == (run / file).read_bytes()

    assert job("", train, arguments(run.parents[1], "tracking.enabled=true", "tracking.uri=http://127.0.0.1:1")) == 2
    assert "does not take the run" in capsys.readouterr().err
    assert (run / "run.json").exists()


def out_of_memory(_: LightGbmModel, training: Training, *__: object) -> list[Any]:
    """Instead of a fit: twice as much as any heap of these tests holds."""
    jvm: Any = training.table.sparkSession.sparkContext._jvm
    return [jvm.java.nio.ByteBuffer.allocate(2**31 - 9) for _ in range(2)]


@pytest.mark.slow
def test_of_a_failing_model_the_cause_is_kept_the_rest_complete_and_the_same_command_goes_on(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "eraflow")
    settings = ("run.name=failing", "models.linear.kind=linear", "ensembles.both={models: [lightgbm, linear]}",
           "run.submission=linear", "run.seed=8")  # fmt: skip
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(LightGbmModel, "fit", out_of_memory)
        assert job("", train, arguments(run.parents[1], *settings)) == 1

    printed, failing = capsys.readouterr(), run.parent / "failing"
    reason = "java.lang.OutOfMemoryError: Java heap space"
    assert printed.err.splitlines()[-1] == (
        f"eraflow: these models failed, {failing}/log.txt has the causes, and the same command tries them again: "
        f"lightgbm: {reason}; both: its model lightgbm failed."
    )
    assert f"] lightgbm failed: {reason}\n" in caplog.text
    log = (failing / "log.txt").read_text()
    assert log.index("table training: version 0 is fresh") < log.index("at java.base/java.nio.ByteBuffer.allocate")
    assert printed.out.startswith("linear numerai_corr: mean")
    assert set(pd.read_csv(failing / "per_era.csv")["model"]) == {*read_json(failing / "summary.json")} == {"linear"}
    assert (failing / "predictions.csv").read_bytes() == (failing / "models/linear/final/live.csv").read_bytes()
    assert f"lightgbm failed and is left out: {reason}" in (failing / "report.html").read_text()
    assert not (failing / "run.json").exists()

    fitted = {path: path.stat().st_mtime_ns for path in failing.rglob("models/linear/**/model.json")}
    assert job("", train, arguments(run.parents[1], *settings)) == 0
    assert len(fitted) == 4
    assert {path: path.stat().st_mtime_ns for path in fitted} == fitted  # only what failed is tried again
    assert {*read_json(failing / "summary.json")} == {"lightgbm", "linear", "both"}


@pytest.mark.slow
def test_networks_are_shown_and_families_of_features_compared(spark: SparkSession, tmp_path: Path) -> None:
    settings = ("synthetic.days=460", "features.set=momentum", "network.relearn=monthly", "network.look_backs=[20, 40]",
           "network.degree=4", "models.lightgbm=null", "models.momentum={kind: linear, features: [momentum]}",
           "models.both={kind: linear}", "run.name=networks",
           "models.graph={kind: linear, network: {interactions: 3, momentum: 9, degree: 4}}")  # fmt: skip
    assert job("", train, arguments(tmp_path, *settings)) == 0

    run = tmp_path / "runs/networks"
    momentum, both = (read_json(run / f"models/{name}/final/model.json") for name in ("momentum", "both"))
    assert len(momentum["feature_names"]) == 8
    assert both["feature_names"] == [*momentum["feature_names"], *(f"net_{name}" for name in momentum["feature_names"])]
    (graph,) = read_json(run / "models/graph/final/model.json")["members"]
    assert graph["steps"][0]["momentum"] == {"window": 9, "lag": 5}
    page = (run / "report.html").read_text()
    assert 'id="network"' in page
    assert 'id="feature-graphs"' in page
    edges = pd.read_csv(run / "frames/network-graph.csv").groupby("kind").size()
    assert edges["node"] == 120
    assert edges["edge"] >= 120
    shares = pd.read_csv(run / "frames/network-sectors.csv")
    assert (shares["low"] < shares["chance"]).all()
    pairs = pd.read_csv(run / "frames/comparison.csv")
    assert {"momentum", "both", "graph"} == {*pairs["model"], *pairs["other"]}
