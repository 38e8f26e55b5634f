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
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.foreign import scored_against
from eraflow.pipeline.report import report
from eraflow.scoring.compare import differences
from eraflow.tables import Store

ERAS, ROWS, OVERLAP = 26, 30, 2


def rows(seed: int, noise: float) -> pd.DataFrame:
    """Predictions of one model on the targets of all runs here, the last era's not known yet."""
    draw, rng = np.random.default_rng(0), np.random.default_rng(seed)
    ids = [(f"i{era:02}{row:02}", era, 1 + era // 20) for era in range(1, ERAS + 1) for row in range(ROWS)]
    frame = pd.DataFrame(ids, columns=["id", "era", "fold"])
    frame["target"] = draw.choice([0, 0.25, 0.5, 0.75, 1.0], len(frame)).astype("float32")
    frame["prediction"] = frame["target"] + rng.normal(0, noise, len(frame))
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
    manifest = {"config": {"targets": {"main": "target"}}}
    (base / name / "run.json").write_text(json.dumps(manifest))
    return per_era


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("runs")
    finished_run(base, "good", 1, 1.0)
    finished_run(base, "bad", 2, 4.0)
    return base


def reported(spark: SparkSession, base: Path, **asked: object) -> tuple[str, ...]:
    return report(spark, load([], [f"run.dir={base}"]), Notes(), **asked)


def test_runs_are_ranked_and_their_differences_paired(spark: SparkSession, base: Path) -> None:
    lines = reported(spark, base, runs=["bad", "good"])

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

    reported(spark, base, runs=["good"], predictions=str(path))

    scores = pd.read_csv(base / "reports/good-mine/per_era.csv").sort_values(["era", "metric"])
    ours, mine = (scores[scores["model"] == name].reset_index(drop=True) for name in ("good/m", "mine"))
    pd.testing.assert_frame_equal(mine.drop(columns="model"), ours.drop(columns="model"), rtol=1e-9)


def test_the_submission_is_scored_as_rounds_would_mix_it(spark: SparkSession, base: Path) -> None:
    config = load([], [f"run.dir={base}", "submit.smooth=0.5"])
    with pytest.raises(InputError, match=r"set submit\.smooth"):
        reported(spark, base, runs=["good"], smooth=True)
    manifest = {"config": {"targets": {"main": "target"}, "source": "prices", "models": {"m": {}}}}
    (base / "good/run.json").write_text(json.dumps(manifest))
    report(spark, config, Notes(), runs=["good"], smooth=True)

    scores = pd.read_csv(base / "reports/good-m-smooth-0.5/per_era.csv")
    assert set(scores["model"]) == {"good/m", "m-smooth-0.5"}
    assert scores.groupby("model")["era"].nunique().to_dict() == {"good/m": ERAS - 1, "m-smooth-0.5": ERAS - 1}


FEATURES = ["f1", "f2", "f3"]


def classic_run(spark: SparkSession, base: Path) -> pd.DataFrame:
    """A finished run of Classic with the model of `rows(1, 1.0)`, and all that a round has beside features."""
    frame, draw = rows(1, 1.0), np.random.default_rng(3)
    finished_run(base, "classic", 1, 1.0)
    levels = pd.DataFrame(draw.integers(0, 5, (len(frame), 3)), columns=FEATURES)
    others = pd.DataFrame(draw.random((len(frame), 2)), columns=["numerai_meta_model", "v5_one"])
    files, keys = base / "round", frame[["id"]].assign(era=frame["era"].map("{:04}".format))
    files.mkdir()
    keys.assign(numerai_meta_model=others["numerai_meta_model"]).to_parquet(files / "meta_model.parquet")
    keys.assign(v5_one=others["v5_one"]).to_parquet(files / "validation_benchmark_models.parquet")
    pd.DataFrame({"id": frame["id"], "prediction": others["v5_one"]}).to_parquet(
        files / "validation_example_preds.parquet"
    )
    store = Store(spark, f"{base}/tables")
    described = {"source": str(files), "features": FEATURES, "sets": {"small": [0, 1, 2]}}
    store.write("classic_eras/of-tests", spark.createDataFrame([(1,)], "era int"), "a", manifest=described)
    packed = frame[["id", "era"]].assign(features_small=levels.astype("int8").to_numpy().tolist())
    manifest = {"blocks": {"features_small": [0, 1, 2]}, "missing": -1}
    table = spark.createDataFrame(packed, "id string, era int, features_small array<tinyint>")
    store.write("classic_training/of-tests", table, "b", manifest=manifest)
    places = [f"tables.root={base}/tables", f"classic.path={files}", "scoring.feature_sets=[own]"]
    config = load(["classic.yml"], places)
    tables = {name: {"recipe": "of-tests", "version": 0} for name in ("classic_eras", "classic_training")}
    made = {"identity": {"tables": {"classic_eras": "a", "classic_training": "b"}}}
    (base / "classic/run.json").write_text(json.dumps({"config": config.resolved(), "tables": tables, **made}))
    return pd.concat([frame, levels, others], axis=1)


def scores_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Every metric by score_era on plain frames, and the payout that conf estimates."""
    parts = []
    for era, group in frame[frame["target"].notna()].groupby("era"):
        group = group.set_index("id")
        against = {
            "meta_model": group["numerai_meta_model"],
            "benchmarks": group[["v5_one"]],
            "example": group["v5_one"],
        }
        features = {"own": group[FEATURES].astype(float)}
        found = scoring.score_era(scoring.EraRows(group[["prediction"]], group["target"], features=features, **against))
        paid = found.set_index("metric")["value"]
        payout = float(np.clip(0.75 * paid["numerai_corr"] + 2.25 * paid["mmc"], -0.05, 0.05))
        parts.append(pd.DataFrame({"metric": [*paid.index, "payout"], "value": [*paid, payout]}).assign(era=era))
    return pd.concat(parts).sort_values(["era", "metric"], ignore_index=True)


def test_their_predictions_meet_all_that_the_run_knows_and_what_is_missing_is_named(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = classic_run(spark, tmp_path)
    frame[["id", "prediction"]].to_csv(tmp_path / "mine.csv", index=False)
    lines = reported(spark, tmp_path, runs=["classic"], predictions=str(tmp_path / "mine.csv"))

    scores = pd.read_csv(tmp_path / "reports/classic-mine/per_era.csv").query("model == 'mine'")
    mine = scores.sort_values(["era", "metric"], ignore_index=True)[["metric", "value", "era"]]
    expected = scores_of(frame)
    assert set(mine["metric"]) > {"mmc", "cwmm", "bmc_v5_one", "corr_with_example_preds", "fnc_own", "max_exposure_own"}
    pd.testing.assert_frame_equal(mine, expected, rtol=1e-9, check_dtype=False)
    assert not [line for line in lines if line.startswith("mine: no")]

    for file in ("meta_model", "validation_example_preds"):
        (tmp_path / f"round/{file}.parquet").unlink()
    frame[frame["era"] > 2][["id", "prediction"]].to_csv(tmp_path / "mine.csv", index=False)
    lines = reported(spark, tmp_path, runs=["classic"], predictions=str(tmp_path / "mine.csv"))

    named = [line for line in lines if line.startswith("mine: no")]
    assert named == [
        f"mine: no mmc, cwmm: {tmp_path}/round holds no meta_model.parquet",
        f"mine: no corr_with_example_preds, rank_corr_with_example_preds: {tmp_path}/round holds no "
        "validation_example_preds.parquet",
        "mine: not scored, for want of predictions: eras 1, 2",
    ]
    page = (tmp_path / "reports/classic-mine/report.html").read_text()
    assert "for want of predictions: eras 1, 2" in page
    assert "Leaderboard" in page
    assert "Largest exposures" in page


def test_tables_that_were_made_anew_are_known_by_their_content_not_by_their_number(
    spark: SparkSession, tmp_path: Path
) -> None:
    classic_run(spark, tmp_path)
    store, run = Store(spark, f"{tmp_path}/tables"), RunFolder(tmp_path / "classic")
    first = store.version("classic_training/of-tests", 0)
    assert first is not None
    rows = store.read(first).toPandas()

    def written(levels: list[int], fingerprint: str) -> None:
        table = spark.createDataFrame(
            rows.assign(features_small=[levels] * len(rows)), "id string, era int, features_small array<tinyint>"
        )
        store.write(first.table, table, fingerprint, manifest=first.manifest)

    gone = (
        "only metrics of predictions and targets: version 0 of table classic_training is not in "
        f"{tmp_path}/tables any more"
    )
    store.remove(first.table)
    assert scored_against(spark, run).lacking == (gone,)
    written([0, 0, 0], "of other rows")  # has the number that the run had read
    assert scored_against(spark, run).lacking == (gone,)
    written([1, 2, 3], "b")
    written([4, 4, 4], "of later rows")
    assert scored_against(spark, run).lacking == ()
    (part,) = [
        part for part in scored_against(spark, run).against.references.parts if "features_of_own" in part.columns
    ]
    assert {tuple(row[0]) for row in part.select("features_of_own").distinct().collect()} == {(1, 2, 3)}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("id,score\na,1\n", "has no column 'prediction'"),
        ("id,prediction\ni0101,0.5\ni0102,\n", "row of id 'i0102' has a value that is empty"),
        (
            "id,prediction\ni0101,0.5\ni0102,-inf\n",
            r"wrong.csv: column 'prediction' is infinite in era 1 \(id 'i0102'\)",
        ),
        ("id,prediction\ni0101,0.5\ni0101,0.6\n", "id 'i0101' has 2 rows"),
        ("id,prediction\nother,0.5\n", "has no row of the ids"),
        ("id,prediction\ni0101,0.5\ni0102,0.4\n", "has 2 of the 30 ids of era 1"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(spark: SparkSession, base: Path, text: str, what: str) -> None:
    (base / "wrong.csv").write_text(text)

    with pytest.raises(InputError, match=what):
        reported(spark, base, runs=["good"], predictions=str(base / "wrong.csv"))


def test_what_cannot_be_compared_is_told(spark: SparkSession, base: Path) -> None:
    with pytest.raises(InputError, match="holds no finished run; finished are bad, good"):
        reported(spark, base, runs=["good", "ugly"])
    with pytest.raises(InputError, match="--metric mmc: there are hit_rate, numerai_corr"):
        reported(spark, base, runs=["good"], metric="mmc")
    with pytest.raises(InputError, match="one run's targets"):
        reported(spark, base, runs=["good", "bad"], predictions="x.csv")
