"""Models of several kinds and their ensembles in one run of the main job on a tiny invented universe."""

import json
from pathlib import Path

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
        known = np.array(levels[rows.index].tolist(), dtype=float)
        if (known == -1).any():
            continue
        sizes = np.abs(exposures(rows[["given", "fitted"]].to_numpy(), known)).max(axis=1)
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
    own = weights_before(run, last + 1, first["train_eras"])
    for _, rows in held.groupby("era"):
        np.testing.assert_allclose(rows["ridge"], blend(rows[["lightgbm", "linear"]].to_numpy(), own), atol=1e-9)
    fnc = pd.read_csv(run / "holdout_per_era.csv").query("metric == 'exposure_rms_own'").groupby("model")["value"].max()
    assert fnc["fitted"] < 1e-6 < fnc["ridge"]


def weights_before(run: Path, held: int, train_eras: int) -> np.ndarray:
    """The weights that a ridge regression finds on the out-of-fold predictions of purged eras, once more."""
    rows = out_of_fold(run).query("model in ['lightgbm', 'linear'] and era <= @train_eras")
    assert train_eras <= held - 5  # labels of 2 + 20 trading days reach into the fifth week
    parts = []
    for _, own in rows.groupby("era"):
        wide = own.pivot(index="id", columns="model", values="prediction")
        parts.append(era_moments(wide.to_numpy(), own.drop_duplicates("id").set_index("id")["target"][wide.index]))
    gram, target = (np.mean([part[place] for part in parts], axis=0) for place in range(2))
    own = np.linalg.solve(gram + 0.1 * np.eye(2), target)
    return own / np.abs(own).sum()
