"""Models of several kinds and their ensembles in one run of the main job on a tiny invented universe."""

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.integration.test_train_job import TINY, out_of_fold
from tests.portable import predicted_without_spark
from tests.tables import folder_of

from eraflow.cli import Option, job
from eraflow.ensembles.neutral import exposures
from eraflow.ensembles.weights import blend, era_moments
from eraflow.pipeline.predict import config_of_run, predict
from eraflow.pipeline.report import report
from eraflow.pipeline.train import train

SETTINGS = (
    *TINY,
    "models.linear.kind=linear",
    "models.forest={kind: random_forest, trees: 10, min_data_in_leaf: 50}",
    "ensembles.given={models: [lightgbm, linear], weights: {lightgbm: 3, linear: 1}}",
    "ensembles.fitted={models: [lightgbm, linear, forest], weights: greedy, min_eras: 10, neutralise: 1}",
    "ensembles.ridge={models: [lightgbm, linear], weights: ridge, min_eras: 5}",
    "run.submission=fitted", "validation.holdout=8", "validation.min_train_eras=12",
)  # fmt: skip

PREDICT = runpy.run_path(str(Path(__file__).parents[2] / "jobs/predict.py"))["OPTIONS"]
NAMES = {"lightgbm", "linear", "forest", "given", "fitted", "ridge"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("ensembles")
    assert opened(base, "--open-holdout", "demo") == 2  # nothing is trained yet
    assert job("", train, arguments(base)) == 0
    return base / "runs/demo"


def arguments(base: Path) -> list[str]:
    every = [*SETTINGS, f"tables.root={base}/tables", f"run.dir={base}/runs"]
    return [part for text in every for part in ("--set", text)]


def opened(base: Path, *others: str) -> int:
    options = [Option("--open-holdout", "holdout", "NAME", ""), Option("--runs", "runs", "NAME", "", many=True)]
    return job("", report, [*arguments(base), *others], options)


def wide(run: Path) -> pd.DataFrame:
    return out_of_fold(run).pivot(index=["era", "id"], columns="model", values="prediction")


def test_every_model_and_ensemble_predicts_the_same_rows_and_is_scored(run: Path) -> None:
    assert set(wide(run).columns) == NAMES
    assert wide(run).notna().all(axis=None)
    assert set(json.loads((run / "summary.json").read_text(encoding="utf-8"))) == NAMES


def test_given_weights_blend_the_ranks_of_each_era(run: Path) -> None:
    for _, rows in wide(run).groupby("era"):
        expected = blend(rows[["lightgbm", "linear"]].to_numpy(), np.array([0.75, 0.25]))
        np.testing.assert_allclose(rows["given"], expected, atol=1e-12)


def test_fitted_weights_are_equal_until_enough_labels_had_ended(run: Path) -> None:
    weights = pd.read_csv(run / "models/fitted/weights.csv").pivot(index="era", columns="model", values="weight")
    scored = sorted(out_of_fold(run).dropna(subset="target")["era"].unique())

    assert weights.sum(axis=1).to_numpy() == pytest.approx(1.0)
    # Labels of 2 + 20 trading days end in the fifth week after their era's.
    unequal = weights.index[(weights.std(axis=1) > 1e-12)]
    assert unequal.min() >= scored[9] + 5
    assert unequal.max() == weights.index.max()  # the live era


def test_a_neutral_ensemble_shows_nothing_of_the_features(run: Path, spark: SparkSession) -> None:
    table = spark.read.format("delta").load(str(folder_of(run.parents[1] / "tables", "training")))
    levels = table.select("id", "features").toPandas().set_index("id")["features"]
    for _, rows in wide(run).reset_index("era", drop=True).groupby(lambda id: id.rsplit("_", 1)[1]):
        filled = np.array(levels[rows.index].tolist(), dtype=float)
        if (filled == -1).any():
            continue
        sizes = np.abs(exposures(rows[["given", "fitted"]].to_numpy(), filled)).max(axis=1)
        assert sizes[1] < 1e-9 < sizes[0]


def test_saved_ensembles_predict_the_live_rows_without_spark(run: Path, spark: SparkSession, tmp_path: Path) -> None:
    table = spark.read.format("delta").load(str(folder_of(run.parents[1] / "tables", "training")))
    rows = table.where(table["era"] == table.groupBy().max("era").head()[0]).select("id", "era", "features").toPandas()
    names = json.loads((run / "models/lightgbm/final/model.json").read_text())["inputs"]
    wide = pd.DataFrame(rows["features"].tolist(), columns=names).replace(-1, np.nan)
    rows[["id", "era"]].join(wide).to_parquet(tmp_path / "live.parquet")
    models = {path.parents[1].name: path.parent for path in run.glob("models/*/final/model.json")}

    found = predicted_without_spark(models, tmp_path / "live.parquet", tmp_path)

    assert set(models) == NAMES
    for name, place in models.items():
        expected = pd.read_parquet(place / "live.parquet").set_index("id")["prediction"]
        assert expected.nunique() > 100
        np.testing.assert_allclose(found.loc[expected.index, name], expected, rtol=0, atol=1e-12)


def test_the_submission_is_that_of_the_ensemble(run: Path) -> None:
    assert (run / "predictions.csv").read_bytes() == (run / "models/fitted/final/live.csv").read_bytes()
    assert (run / "predictions.csv").read_bytes() != (run / "models/given/final/live.csv").read_bytes()


def predicted(run: Path, *others: str) -> int:
    places = [part for text in (f"run.dir={run.parent}", *others) for part in ("--set", text)]
    return job("", predict, ["--run", run.name, *places], PREDICT, config_of_run, lazily=True)


def test_a_finished_run_predicts_its_data_date_again_and_stays_as_it_is(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def state() -> dict[str, int]:
        return {
            str(path): path.stat().st_mtime_ns for path in run.rglob("*") if "rounds" not in path.parts and path != run
        }

    before = state()
    assert predicted(run) == 0
    assert state() == before

    (folder,) = (run / "rounds").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["predictions"]) == NAMES
    for name, one in manifest["predictions"].items():
        assert (folder / one["file"]).read_bytes() == (run / f"models/{name}/final/live.csv").read_bytes()
    assert (folder / "predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()
    assert pd.read_parquet(run / "models/linear/final/live.parquet")["id"].iloc[0].endswith(f"_{folder.name}")
    assert {manifest[name] for name in ("tournament", "date", "submission")} == {"signals", folder.name, "fitted"}
    assert (manifest["invented"], manifest["bands"], manifest["live"]["file_sha256"]) == (True, {}, None)
    assert manifest["software"]["spark"]

    written = (folder / "manifest.json").stat().st_mtime_ns
    assert predicted(run) == 0
    assert "is there already, of the same rows and models; nothing was done." in capsys.readouterr().out
    assert (folder / "manifest.json").stat().st_mtime_ns == written


def test_rows_that_are_made_in_another_way_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sentence(change: Callable[[dict[str, Any]], object]) -> str:
        shutil.rmtree(tmp_path / "other", ignore_errors=True)
        for part in ("run.json", "per_era.csv"):
            shutil.copytree(run / "models", tmp_path / "other/models", dirs_exist_ok=True)
            shutil.copy(run / part, tmp_path / "other")
        about = tmp_path / "other/models/lightgbm/final/model.json"
        held = json.loads(about.read_text())
        change(held)
        about.write_text(json.dumps(held))
        assert predicted(tmp_path / "other") == 2
        assert not (tmp_path / "other/rounds").exists()
        return capsys.readouterr().err.splitlines()[-1]

    assert "its features were ranked by the recipe 0123 of table training, and this version of eraflow has" in sentence(
        lambda held: held["tables"]["training"].update(recipe="0123")
    )
    assert (
        "era 1 of its data began on 2014-12-20, and that of the prices begins on 2014-12-27; give prices"
        in sentence(lambda held: held["data"].update(first_week="2014-12-20"))
    )
    assert predicted(run, "synthetic.days=361") == 2
    assert "(synthetic.days was 360, is 361)" in capsys.readouterr().err


def test_a_holdout_is_seen_by_no_fold_and_each_opening_counts(run: Path) -> None:
    base, last = run.parents[1], json.loads((run / "run.json").read_text())["folds"][-1]["validation"][-1]
    assert opened(base, "--open-holdout", "demo") == 0
    first = json.loads((run / "holdout.json").read_text())
    assert opened(base, "--open-holdout", "demo") == 0
    second = json.loads((run / "holdout.json").read_text())

    assert first["eras"] == [last + 1, last + 8]
    assert (len(first["opened"]), len(second["opened"])) == (1, 2)
    assert (first["opened_by_all_runs"], second["opened_by_all_runs"]) == (1, 2)
    assert len((run.parent / "holdouts.jsonl").read_text().splitlines()) == 2
    assert second["summary"] == first["summary"]
    assert {model: found["numerai_corr"]["eras"] for model, found in first["summary"].items()} == dict.fromkeys(
        NAMES, 8
    )
    assert opened(base, "--open-holdout", "demo", "--runs", "demo") == 2
    held = pd.read_parquet(run / "holdout.parquet").pivot(index=["era", "id"], columns="model", values="prediction")
    weights = weights_before(run, last + 1, first["train_eras"])
    for _, rows in held.groupby("era"):
        np.testing.assert_allclose(rows["ridge"], blend(rows[["lightgbm", "linear"]].to_numpy(), weights), atol=1e-9)
    fnc = pd.read_csv(run / "holdout_per_era.csv").query("metric == 'exposure_rms_own'").groupby("model")["value"].max()
    assert fnc["fitted"] < 1e-6 < fnc["ridge"]
    out_of_fold_scores, of_holdout = (pd.read_csv(run / name) for name in ("per_era.csv", "holdout_per_era.csv"))
    assert set(of_holdout["metric"]) == set(out_of_fold_scores["metric"])


def test_a_models_predictions_from_a_file_are_scored_and_followed_as_the_runs_own(run: Path, tmp_path: Path) -> None:
    pd.read_parquet(run / "oof.parquet/model=fitted")[["id", "prediction"]].to_csv(tmp_path / "file.csv", index=False)
    options = [Option("--predictions", "predictions", "FILE", "")]
    assert job("", report, [*arguments(run.parents[1]), "--predictions", str(tmp_path / "file.csv")], options) == 0

    out, names = run.parent / "reports/demo-file", ["file", "demo/fitted"]
    for table in ("per_era.csv", "strategy.csv"):
        rows = pd.read_csv(out / table)
        theirs, ours = (rows[rows["model"] == name].drop(columns="model").reset_index(drop=True) for name in names)
        assert len(ours)
        pd.testing.assert_frame_equal(theirs, ours, rtol=1e-9)
    assert "Cost in basis points of what is traded" in (out / "report.html").read_text()


def weights_before(run: Path, held: int, train_eras: int) -> np.ndarray:
    """The weights that a ridge regression finds on the out-of-fold predictions of purged eras, once more."""
    rows = out_of_fold(run).query("model in ['lightgbm', 'linear'] and era <= @train_eras")
    assert train_eras <= held - 5  # labels of 2 + 20 trading days reach into the fifth week
    parts = []
    for _, of_era in rows.groupby("era"):
        wide = of_era.pivot(index="id", columns="model", values="prediction")
        parts.append(era_moments(wide.to_numpy(), of_era.drop_duplicates("id").set_index("id")["target"][wide.index]))
    gram, target = (np.mean([part[place] for part in parts], axis=0) for place in range(2))
    solved = np.linalg.solve(gram + 0.1 * np.eye(2), target)
    return solved / np.abs(solved).sum()
