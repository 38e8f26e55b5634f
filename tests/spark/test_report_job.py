"""Finished runs beside each other, and predictions of somebody else against a run's targets."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark.test_incremental import Notes

from eraflow import scoring
from eraflow.config import load
from eraflow.errors import InputError
from eraflow.pipeline.report import report
from eraflow.scoring.compare import differences

ERAS, ROWS, OVERLAP = 40, 30, 2


def rows(seed: int, noise: float) -> pd.DataFrame:
    """Predictions of one model on the targets of all runs here, the last era's not known yet."""
    draw, own = np.random.default_rng(0), np.random.default_rng(seed)
    ids = [(f"i{era:02}{row:02}", era, 1 + era // 20) for era in range(1, ERAS + 1) for row in range(ROWS)]
    frame = pd.DataFrame(ids, columns=["id", "era", "fold"])
    frame["target"] = draw.choice([0, 0.25, 0.5, 0.75, 1.0], len(frame)).astype("float32")
    frame["prediction"] = frame["target"] + own.normal(0, noise, len(frame))
    frame.loc[frame["era"] == ERAS, "target"] = np.nan
    return frame


def finished_run(base: Path, name: str, seed: int, noise: float) -> pd.DataFrame:
    frame = rows(seed, noise)
    for fold, part in frame.groupby("fold"):
        folder = base / name / f"oof.parquet/model=m/fold={fold}"
        folder.mkdir(parents=True)
        part.drop(columns="fold").to_parquet(folder / "part.parquet")
    parts = [scoring.score_era(scoring.EraRows(x.set_index("id")[["prediction"]], x.set_index("id")["target"])).assign(
        model="m", era=era) for era, x in frame[frame["era"] < ERAS].groupby("era")]  # fmt: skip
    per_era = pd.concat(parts)[["model", "era", "metric", "value"]]
    per_era.to_csv(base / name / "per_era.csv", index=False)
    summary = scoring.summarise(per_era, OVERLAP)
    (base / name / "summary.json").write_text(json.dumps(summary))
    told = {"config": {"targets": {"main": "target"}}}
    (base / name / "run.json").write_text(json.dumps(told))
    return per_era


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("runs")
    finished_run(base, "good", 1, 1.0)
    finished_run(base, "bad", 2, 4.0)
    return base


def told(spark: SparkSession, base: Path, **asked: object) -> tuple[str, ...]:
    return report(spark, load([], [f"run.dir={base}"]), Notes(), **asked)


def test_runs_are_ranked_and_their_differences_paired(spark: SparkSession, base: Path) -> None:
    lines = told(spark, base, runs=["bad", "good"])

    out = base / "reports/bad-good"
    assert pd.read_csv(out / "leaderboard.csv")["model"].tolist() == ["good/m", "bad/m"]
    scores = pd.read_csv(out / "per_era.csv")
    pd.testing.assert_frame_equal(
        pd.read_csv(out / "differences.csv"), differences(scores, "numerai_corr", OVERLAP), rtol=1e-9
    )
    found = json.loads((out / "comparison.json").read_text())
    assert (found["trials"], found["overlap"]) == (2, OVERLAP)
    assert found["overfitting_probability"] == 0.0
    assert lines[0].startswith("good/m: mean +0.")
    assert "after 2 trials" in lines[0]
    assert lines[2].startswith("good/m less bad/m: +0.")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_predictions_of_somebody_else_are_scored_like_the_runs_own(spark: SparkSession, base: Path, form: str) -> None:
    theirs, path = rows(1, 1.0).sample(frac=1, random_state=0), base / f"mine.{form}"
    columns = theirs[["id", "prediction"]] if form == "csv" else theirs[["id", "era", "prediction"]]
    columns.to_csv(path, index=False) if form == "csv" else columns.to_parquet(path)

    told(spark, base, runs=["good"], predictions=str(path))

    scores = pd.read_csv(base / "reports/good-mine/per_era.csv").sort_values(["era", "metric"])
    own, mine = (scores[scores["model"] == name].reset_index(drop=True) for name in ("good/m", "mine"))
    pd.testing.assert_frame_equal(mine.drop(columns="model"), own.drop(columns="model"), rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("id,score\na,1\n", "has no column 'prediction'"),
        ("id,prediction\ni0101,0.5\ni0102,\n", "row of id 'i0102' has a value that is empty"),
        ("id,prediction\ni0101,0.5\ni0101,0.6\n", "id 'i0101' has 2 rows"),
        ("id,prediction\nother,0.5\n", "has no row of the ids"),
        ("id,prediction\ni0101,0.5\ni0102,0.4\n", "has 2 of the 30 ids of era 1"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(spark: SparkSession, base: Path, text: str, what: str) -> None:
    (base / "wrong.csv").write_text(text)

    with pytest.raises(InputError, match=what):
        told(spark, base, runs=["good"], predictions=str(base / "wrong.csv"))


def test_what_cannot_be_compared_is_told(spark: SparkSession, base: Path) -> None:
    with pytest.raises(InputError, match="holds no finished run; finished are bad, good"):
        told(spark, base, runs=["good", "ugly"])
    with pytest.raises(InputError, match="--metric mmc: there are hit_rate, numerai_corr"):
        told(spark, base, runs=["good"], metric="mmc")
    with pytest.raises(InputError, match="one run's targets"):
        told(spark, base, runs=["good", "bad"], predictions="x.csv")
