"""Explanations of a finished run on a tiny invented universe: what is told adds up to what was predicted."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.integration.test_train_job import TINY

from eraflow.cli import job
from eraflow.pipeline.explain import explain
from eraflow.pipeline.predict import config_of_run, predict
from eraflow.pipeline.train import train

MODELS = (
    "models.linear={kind: linear, features: [momentum]}",
    "models.graph={kind: lightgbm, seeds: 2, min_data_in_leaf: 20, network: {interactions: 3, degree: 3}, "
    "selection: {by: shap, keep: 8, blocks: 2, trees: 3}}",
    "ensembles.blend={neutralise: 0.5, weights: ridge, min_eras: 10, models: [lightgbm, linear]}",
    "run.submission=blend",
)  # fmt: skip
# Learned where torch is; the run is the same else.
NETWORK = (
    ("models.net={kind: lstm, length: 3, width: 4, epochs: 1, early_stopping_eras: 4}",) if find_spec("torch") else ()
)
FEW = ("explain.eras=12", "explain.training_eras=4", "explain.rows=300", "explain.top=3",
       "explain.sampled_rows=96", "explain.walks=2")  # fmt: skip

pytestmark = pytest.mark.slow


def arguments(base: Path, *settings: str) -> list[str]:
    every = [f"tables.root={base}/tables", f"run.dir={base}/runs", *settings]
    return [part for text in every for part in ("--set", text)]


def explained(base: Path, *settings: str, **asked: object) -> int:
    options = {"run": "demo", "models": None, "rows": None, "features": None, "export": None} | asked
    return job(
        "",
        lambda spark, config, progress: explain(spark, config, progress, **options),
        arguments(base, *FEW, *settings),
        read=lambda overlays, given, **_: config_of_run(overlays, given, options["run"]),
    )


@pytest.fixture(scope="module")
def base(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("explained")
    settings = ("explain.enabled=true", "explain.models=[lightgbm]", *FEW)
    assert job("", train, arguments(base, *TINY, *MODELS, *NETWORK, *settings)) == 0
    return base


@pytest.fixture(scope="module")
def exported(base: Path) -> Path:
    names = ["lightgbm", "linear", "graph", "blend", *(["net"] if NETWORK else [])]
    rows = pd.read_parquet(base / "runs/demo/models/lightgbm/final/live.parquet")["id"].tolist()[:1]
    assert explained(base, models=names, rows=rows, features=["rsi_14"], export=str(base / "out")) == 0
    return base / "out"


def test_what_is_told_of_live_rows_adds_up_to_their_predictions(base: Path, exported: Path) -> None:
    live = pd.read_parquet(exported / "live_sums.parquet")
    for name in ("lightgbm", "linear"):
        predicted = pd.read_parquet(base / f"runs/demo/models/{name}/final/live.parquet").set_index("id")["prediction"]
        found = live[live["model"] == name].set_index("id")["sum"]
        np.testing.assert_allclose(found[predicted.index], predicted, rtol=0, atol=1e-9)
    for name in ("graph", "blend"):
        predicted = pd.read_parquet(base / f"runs/demo/models/{name}/final/live.parquet").set_index("id")["prediction"]
        found = live[live["model"] == name].set_index("id")["sum"]
        assert found.corr(predicted, method="spearman") > 0.95


def test_importance_tells_features_selections_and_columns_of_graphs(base: Path, exported: Path) -> None:
    found = pd.read_parquet(exported / "importance.parquet")
    assert found.groupby("model")["share"].sum().round(9).eq(1).all()
    linear = found[found["model"] == "linear"]["feature"]
    assert len(linear) == 8
    graph = found[found["model"] == "graph"]
    assert graph["feature"].str.contains("_times_").any()
    assert (graph[graph["size"] > 0]["splits"] > 0).all()
    units = pd.read_parquet(exported / "permutation.parquet")
    assert set(units["metric"]) == {"numerai_corr"}  # there is no meta model
    assert {"momentum", "technical"} <= set(units[units["kind"] == "group"]["unit"])
    assert (units["eras"] == 12).all()
    lime = pd.read_parquet(exported / "lime.parquet")
    assert set(lime["model"]) == {"lightgbm"}
    assert "rsi_14" in set(pd.read_parquet(exported / "curves.parquet")["feature"])


def test_a_network_is_explained_by_samples_whose_errors_are_told(base: Path, exported: Path) -> None:
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    live = pd.read_parquet(exported / "live_sums.parquet").query("model == 'net'").set_index("id")
    predicted = pd.read_parquet(base / "runs/demo/models/net/final/live.parquet").set_index("id")["prediction"]
    assert 90 <= len(live) <= 97  # the one that was asked for, the highest and the lowest
    np.testing.assert_allclose(live["sum"], predicted[live.index], rtol=0, atol=1e-6)
    assert live["sum"].max() == pytest.approx(predicted.max(), abs=1e-6)
    importance = pd.read_parquet(exported / "importance.parquet").set_index("model")
    assert (importance.loc["net", "error"] > 0).all()
    assert (importance.loc["lightgbm", "error"] == 0).all()
    why = pd.read_csv(base / "runs/demo/explain/why.csv").set_index("model")["error"]
    assert (why.loc["net"] > 0).any()
    assert (why.loc["linear"] == 0).all()
    assert "net" in set(pd.read_parquet(exported / "permutation.parquet")["model"])
    page = (base / "runs/demo/explain/explain.html").read_text(encoding="utf-8")
    assert "sampled, by 2 pairs of walks to each of 24 rows" in page
    assert "its history of 3 weeks" in page


def test_pages_and_tables_are_there_and_the_report_has_a_section(base: Path, exported: Path) -> None:
    run = base / "runs/demo"
    page = (run / "explain/explain.html").read_text(encoding="utf-8")
    for words in ("Expected signs", "LIME beside SHAP", "as the model does with a correlation of", "add up to each"):
        assert words in page
    assert {"why.csv", "importance.csv", "permutation.csv"} <= {path.name for path in (run / "explain").iterdir()}
    assert 'id="what-it-lives-on"' in (run / "report.html").read_text(encoding="utf-8")


def test_a_round_has_its_own_page(base: Path) -> None:
    options = {"run": "demo", "day": None, "number": None, "era": None, "force": False}
    asked = {"lazily": True, "read": lambda overlays, given, **_: config_of_run(overlays, given, "demo")}
    settings = arguments(base, "explain.enabled=true")
    assert job("", lambda start, config, progress: predict(start, config, progress, **options), settings, **asked) == 0
    (folder,) = (base / "runs/demo/rounds").glob("2*")
    assert "why the rows of" in (folder / "explain.html").read_text(encoding="utf-8")
    why = pd.read_csv(folder / "why.csv")
    assert why.groupby("id")["place"].min().lt(0).all()
    assert (np.sign(why["place"]) == np.sign(why["contribution"])).all()


@pytest.mark.parametrize(
    ("asked", "settings", "words"),
    [
        ({"run": "absent"}, (), "holds no finished run"),
        ({"models": ["absent"]}, (), "--models: the run has no model 'absent'"),
        ({}, ("explain.models=[absent]",), "explain.models: the run has no model 'absent'"),
        ({"rows": ["absent"]}, (), "--rows: 'absent' is none of the 120 live rows"),
        ({"features": ["absent"]}, (), "--features: 'absent' is no feature"),
        ({}, ("explain.metrics=[absent]",), "explain.metrics: there is no metric 'absent'"),
        ({}, ("explain.metrics=[mmc]",), "explain.metrics: these data do not tell mmc"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    base: Path, capsys: pytest.CaptureFixture[str], asked: dict[str, object], settings: tuple[str, ...], words: str
) -> None:
    capsys.readouterr()
    assert explained(base, *settings, **asked) == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert words in sentence
    assert sentence.startswith("eraflow: ")


def test_a_model_without_its_folds_and_tables_that_are_gone_are_told(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs/demo"
    shutil.copytree(base / "runs/demo", run)
    shutil.rmtree(run / "models/linear/fold-2")
    options = arguments(base, f"run.dir={tmp_path}/runs", *FEW)

    def asked(name: str) -> int:
        return job(
            "",
            lambda spark, config, progress: explain(spark, config, progress, run="demo", models=[name]),
            options,
            read=lambda overlays, given, **_: config_of_run(overlays, given, "demo"),
        )

    assert asked("linear") == 2
    assert "linear has no out-of-fold rows to explain" in capsys.readouterr().err
    manifest = json.loads((run / "run.json").read_text())
    manifest["tables"]["training"]["version"] = 99
    manifest["identity"]["tables"]["training"] = "of another content"
    (run / "run.json").write_text(json.dumps(manifest))
    assert asked("lightgbm") == 2
    assert "version 99 of table training is not in" in capsys.readouterr().err
