"""A whole run of Numerai Classic on a small invented data set, and what makes none."""

import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numerai_tools import scoring as numerai
from pyspark.sql import DataFrame, SparkSession
from tests.portable import predicted_without_spark
from tests.tables import folder_of

from eraflow import cli
from eraflow.cli import job
from eraflow.pipeline.explain import explain
from eraflow.pipeline.predict import config_of_run, predict
from eraflow.pipeline.train import train
from eraflow.pipeline.upstream import build, ingest

SMALL = (
    "classic_synthetic.train_eras=60", "classic_synthetic.validation_eras=40", "classic_synthetic.rows_per_era=60",
    "classic_synthetic.features=50", "classic_synthetic.signal=2.0", "classic.features=all", "targets.main=target",
    "kinds.lightgbm.trees=5",
    "kinds.lightgbm.min_data_in_leaf=50", "validation.folds=3", "validation.min_train_eras=20",
)  # fmt: skip
LIVE = 101
PREDICT = runpy.run_path(str(Path(__file__).parents[2] / "jobs/predict.py"))["OPTIONS"]
pytestmark = pytest.mark.slow


def arguments(base: Path, *settings: str) -> list[str]:
    places = (f"classic.path={base}/data", f"tables.root={base}/tables", f"run.dir={base}/runs")
    every = [part for text in (*SMALL, *places, *settings) for part in ("--set", text)]
    return ["--config", "classic-synthetic.yml", *every]


@pytest.fixture(scope="module")
def collected() -> list[int]:
    """The rows of each frame that the first run has brought to the driver, once it is finished."""
    return []


@pytest.fixture(scope="module")
def base(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, collected: list[int]) -> Path:
    base = tmp_path_factory.mktemp("classic")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("collect", "toPandas", "toLocalIterator"):
            count(patch, name, collected)
        assert job("", train, arguments(base)) == 0
    return base


def count(patch: pytest.MonkeyPatch, name: str, rows: list[int]) -> None:
    """Notes how many rows each call of this method of a frame gives."""
    plain = getattr(DataFrame, name)

    def call(frame: DataFrame, *args: object, **options: object) -> object:
        found = plain(frame, *args, **options)
        found = list(found) if name == "toLocalIterator" else found
        rows.append(len(found))
        return iter(found) if name == "toLocalIterator" else found

    patch.setattr(DataFrame, name, call)


def versions(base: Path) -> int:
    """Of the packed table."""
    return len(list((base / "tables/classic_training").glob("*/_delta_log/*.json")))


def files(base: Path) -> Path:
    (folder,) = (base / "data").iterdir()
    return folder


def test_folds_leave_out_as_many_eras_as_numerais_own_models(base: Path) -> None:
    manifest = json.loads((base / "runs/classic-synthetic/run.json").read_text())

    assert len(manifest["folds"]) == 3
    for fold in manifest["folds"]:
        assert len(fold["purged"]) == 16  # the alias is a target of 60 days
        assert max(fold["train"]) < min(fold["purged"])
        assert max(fold["purged"]) < min(fold["validation"])
    assert max(manifest["folds"][-1]["validation"]) == LIVE - 12  # later targets of 60 days are not known yet


def test_a_feature_set_is_the_one_that_the_files_name_block_by_block(base: Path) -> None:
    sets = json.loads((files(base) / "features.json").read_text())["feature_sets"]
    learned = json.loads((base / "runs/classic-synthetic/models/lightgbm/fold-1/model.json").read_text())

    def part(is_small: bool, is_medium: bool) -> list[str]:
        return [x for x in sets["all"] if (x in sets["small"], x in sets["medium"]) == (is_small, is_medium)]

    parts = [part(True, True), part(True, False), part(False, True), part(False, False)]
    assert all(parts)
    assert learned["feature_names"] == [name for block in parts for name in block]


def test_the_alias_is_named_and_the_data_called_invented(base: Path) -> None:
    page = (base / "runs/classic-synthetic/report.html").read_text()

    assert "target_ender_60 (target in the files)" in page
    assert "Models are scored on target_ender_60, and Numerai pays on target_ender_20" in page
    assert "The data set is invented" in page
    assert "eras that lack features" in page
    assert "features that the live rows lack" in page


def test_predictions_are_a_submission_of_the_live_rows(base: Path) -> None:
    submission = pd.read_csv(base / "runs/classic-synthetic/predictions.csv")
    live = pd.read_parquet(files(base) / "live.parquet", columns=["id"])

    assert list(submission.columns) == ["id", "prediction"]
    assert submission["id"].tolist() == sorted(live["id"])
    assert submission["prediction"].between(0, 1, inclusive="neither").all()
    assert submission["prediction"].nunique() > 10


def test_every_validated_row_is_predicted_and_the_planted_signal_is_found(base: Path) -> None:
    rows = pd.read_parquet(base / "runs/classic-synthetic/oof.parquet")
    labelled = pd.read_parquet(files(base) / "validation.parquet", columns=["id", "era", "target_ender_60"])
    both = rows.merge(labelled, on="id", validate="one_to_one")

    assert rows.groupby("era").size().eq(60).all()
    assert (both["target"] == both["target_ender_60"]).all()
    assert rows.groupby("era")[["prediction", "target"]].corr(method="spearman").iloc[::2, 1].mean() > 0.05


def test_a_finished_run_is_left_alone(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job("", train, arguments(base)) == 0

    assert "is finished already" in capsys.readouterr().out
    assert versions(base) == 1


def test_another_set_and_another_target_use_the_same_tables(base: Path) -> None:
    models = ("models.few={kind: lightgbm, features: [small]}", "models.groups={kind: linear, features: [rain, faith]}")
    other = ("run.name=other", "classic.features=[small, rain, faith]", "targets.main=target_ender_20",
             "validation.folds=1")  # fmt: skip
    assert job("", train, arguments(base, *models, *other)) == 0

    manifest = json.loads((base / "runs/other/run.json").read_text())
    sets = json.loads((files(base) / "features.json").read_text())["feature_sets"]
    learned = {
        name: set(json.loads((base / f"runs/other/models/{name}/final/model.json").read_text())["feature_names"])
        for name in ("lightgbm", "few", "groups")
    }
    groups = {*sets["rain"], *sets["faith"]}
    assert learned == {"lightgbm": {*sets["small"], *groups}, "few": set(sets["small"]), "groups": groups}
    assert {name: made["version"] for name, made in manifest["tables"].items()} == {
        "classic_eras": 0, "classic_training": 0, "classic_targets": 0,
    }  # fmt: skip
    assert len(manifest["folds"][0]["purged"]) == 8
    assert "Numerai pays on" not in (base / "runs/other/report.html").read_text()
    assert versions(base) == 1


@pytest.fixture(scope="module")
def several(base: Path) -> Path:
    """A run of models of several targets and seeds, that stop early, and that learn from a feature graph."""
    network = "interactions: 6, degree: 4, vectors: 2, momentum: 10"
    models = ("models.two.preset=small", "models.two.trees=5", "models.two.targets=[target, target_ralph_20]",
              "models.two.seeds=2", "models.early.kind=lightgbm", "models.early.early_stopping_rounds=2",
              "models.early.trees=50", "models.early.early_stopping_eras=8", "models.early.learning_rate=0.5",
              f"models.graph={{kind: lightgbm, network: {{{network}}}}}",
              f"models.random={{kind: lightgbm, network: {{{network}, chosen_by: random}}}}",
              f"models.ridge={{kind: linear, features: [small], network: {{{network}}}}}")  # fmt: skip
    eras = ("validation.folds=1", "validation.min_train_eras=40")  # some are watched, and 16 purged before these
    assert job("", train, arguments(base, *models, *eras, "run.submission=two", "run.name=several")) == 0
    return base / "runs/several"


def test_several_models_learn_several_targets_and_seeds_and_the_alias(base: Path, several: Path) -> None:
    members = sorted(path.parent.name for path in (several / "models/two/final").rglob("model.txt"))
    assert members == [f"{target}-seed-{seed}" for target in ("target", "target_ralph_20") for seed in (20, 21)]
    text = (several / "models/early/fold-1/model.txt").read_text()
    assert 1 <= len(re.findall(r"^Tree=", text, re.MULTILINE)) < 50
    scores = pd.read_csv(several / "per_era.csv")
    assert set(scores["model"]) == {"lightgbm", "two", "early", "graph", "random", "ridge"}
    assert (several / "predictions.csv").read_bytes() == (several / "models/two/final/live.csv").read_bytes()
    assert versions(base) == 1  # nothing was packed again


def test_saved_models_predict_numerais_live_file_without_spark(base: Path, several: Path, tmp_path: Path) -> None:
    names = sorted(path.parents[1].name for path in several.glob("models/*/final/model.json"))
    live = files(base) / "live.parquet"
    assert set(pd.read_parquet(live)["era"]) == {"X"}  # which era that is decides what feature momentum knows

    found = predicted_without_spark({name: several / f"models/{name}/final" for name in names}, live, tmp_path)

    assert set(names) == {"lightgbm", "two", "early", "graph", "random", "ridge"}
    for name in names:
        expected = pd.read_parquet(several / f"models/{name}/final/live.parquet").set_index("id")["prediction"]
        assert expected.std() > 0
        np.testing.assert_allclose(found.loc[expected.index, name], expected, rtol=0, atol=1e-12)


def test_a_finished_run_predicts_from_the_live_file_alone_as_training_did(
    base: Path, several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / files(base).name
    alone.mkdir()
    for name in ("features.json", "live.parquet"):
        shutil.copy(files(base) / name, alone)
    monkeypatch.setattr(cli, "session", lambda: pytest.fail("Spark was started"))
    places = (f"run.dir={several.parent}", f"classic.path={tmp_path}", f"tables.root={tmp_path}/none")
    asked = ["--run", "several", "--date", "2026-11-28", *(part for text in places for part in ("--set", text))]
    assert job("", predict, asked, PREDICT, config_of_run, lazily=True) == 0

    folder = several / "rounds/2026-11-28"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["predictions"]) == {"lightgbm", "two", "early", "graph", "random", "ridge"}
    for name, one in manifest["predictions"].items():
        assert (folder / one["file"]).read_bytes() == (several / f"models/{name}/final/live.csv").read_bytes()
    assert (manifest["invented"], manifest["live"]["era"], manifest["submission"]) == (True, LIVE, "two")
    scores = pd.read_csv(several / "per_era.csv").query("model == 'ridge' and metric == 'rank_corr_with_example_preds'")
    low, high = manifest["bands"]["ridge"]["examples"]
    assert scores["value"].min() <= low < scores["value"].median() < high <= scores["value"].max()


BENCHMARK, META = "target_residual_to_v53_example_ender60", "target_residual_to_numerai_meta_model"


def test_models_learn_what_others_leave_of_a_target_and_are_scored_on_the_target(base: Path) -> None:
    models = (f"models.rest={{kind: lightgbm, targets: [{BENCHMARK}]}}",
              f"models.ridge={{kind: linear, targets: [{META}, target]}}")  # fmt: skip
    eras = ("validation.folds=1", "validation.min_train_eras=66")  # the meta model is known from era 61 on
    assert job("", train, arguments(base, *models, *eras, "run.name=residuals")) == 0

    run = base / "runs/residuals"
    learned = [
        json.loads((run / f"models/{name}/model.json").read_text())["members"][0]["target"]
        for name in ("lightgbm/fold-1", "rest/fold-1", "ridge/final")
    ]
    assert learned == ["target_ender_60", BENCHMARK, META]
    rows = pd.read_parquet(run / "oof.parquet").query("model == 'rest'")
    real = pd.read_parquet(files(base) / "validation.parquet", columns=["id", "target_ender_60"])
    assert (rows.merge(real, on="id")["target"] == rows.merge(real, on="id")["target_ender_60"]).all()
    scores = pd.read_csv(run / "per_era.csv").query("metric == 'corr_with_v53_example_ender60'")
    mean = scores.groupby("model")["value"].mean()
    assert mean["rest"] < mean["lightgbm"] - 0.05
    checks = {row["check"]: row["count"] for row in json.loads((run / "run.json").read_text())["quality"]}
    assert (checks[f"eras without {BENCHMARK}"], checks[f"eras without {META}"]) == (0, 60)
    assert versions(base) == 1  # nothing was packed again


def test_residual_targets_stand_beside_the_packed_rows(base: Path, spark: SparkSession) -> None:
    made, packed = (
        spark.read.format("delta").load(str(folder_of(base / "tables", f"classic_{name}")))
        for name in ("residuals", "training")
    )
    train, benchmarks = (
        pd.read_parquet(files(base) / f"train{name}.parquet").query("era == '0007'").set_index("id")
        for name in ("", "_benchmark_models")
    )
    ids = packed.where("era = 7").orderBy("row").toPandas()["id"]
    values = made.where("era = 7").first()

    normal = numerai.gaussian(numerai.tie_kept_rank(benchmarks[["v53_example_ender60"]].sort_index()))
    left = numerai.neutralize(train[["target_ender_60"]].astype(float).sort_index(), normal)["target_ender_60"]
    np.testing.assert_allclose(values[BENCHMARK], left[ids], atol=1e-6)
    assert np.isnan(values[META]).all()
    assert made.count() == LIVE - 1


def test_predictions_that_are_there_twice_are_refused(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = base / "twice"
    shutil.copytree(files(base), folder)
    table = pq.read_table(folder / "train_benchmark_models.parquet")
    pq.write_table(pa.concat_tables([table, table.slice(5, 1)]), folder / "train_benchmark_models.parquet")
    places = (f"classic.path={folder}", "source=classic", f"tables.root={base}/tables-twice")

    sentence = refusal(base, capsys, *places, f"models.lightgbm.targets=[{BENCHMARK}]")
    assert sentence == (
        f"eraflow: {folder}: predictions of id {table['id'][5].as_py()!r} are there twice; download the files again."
    )


def test_a_feature_graph_is_held_against_random_pairs_and_against_nothing(several: Path) -> None:
    plain, graph, random = (
        json.loads((several / f"models/{name}/final/model.json").read_text())["feature_names"]
        for name in ("lightgbm", "graph", "random")
    )
    assert len(graph) == len(random) == len(plain) + 6 + 2 + 2
    assert graph[:-4] != random[:-4]
    assert graph[-4:] == random[-4:]
    fold, final = (
        json.loads((several / f"models/graph/{part}/model.json").read_text())["members"][0]["steps"][0]
        for part in ("fold-1", "final")
    )
    assert fold["momentum"] == {"window": 10, "lag": 14}  # the alias is a target of 60 days: 13 eras, and one
    assert fold["products"] != final["products"]
    pairs = pd.read_csv(several / "frames/comparison.csv")
    assert {("graph", "random"), ("graph", "lightgbm")} <= {*zip(pairs["model"], pairs["other"], strict=True)} | {
        *zip(pairs["other"], pairs["model"], strict=True)
    }
    assert (several / "figures/feature-degrees-1.svg").exists()


def learned_rows(run: Path, part: str) -> int:
    """How many rows the first tree has seen, bagging being off."""
    model = (run / "models/lightgbm" / part / "model.txt").read_text()
    counts = re.search(r"^leaf_count=([\d ]+)$", model, re.MULTILINE)
    assert counts is not None
    return sum(map(int, counts[1].split()))


def test_models_learn_from_the_sample_and_every_era_is_scored(base: Path) -> None:
    sample = ("sampling.every=4", "sampling.offset=1", "sampling.recent=50")
    model = ("kinds.lightgbm.bagging_fraction=1.0", "kinds.lightgbm.min_data_in_leaf=20")
    assert job("", train, arguments(base, *sample, *model, "run.name=sample", "validation.folds=1")) == 0

    run = base / "runs/sample"
    (fold,) = json.loads((run / "run.json").read_text())["folds"]
    assert learned_rows(run, "fold-1") == 60 * len([era for era in fold["train"][-50:] if era % 4 == 1])
    assert learned_rows(run, "final") == 60 * len([era for era in range(LIVE - 12 - 49, LIVE - 11) if era % 4 == 1])
    assert pd.read_csv(run / "per_era.csv")["era"].nunique() == len(fold["validation"])
    assert "models learn from era numbers that leave 1 when divided by 4, the last 50 eras" in (
        (run / "report.html").read_text()
    )


def test_what_reaches_the_driver_grows_with_eras_and_not_with_rows(base: Path, collected: list[int]) -> None:
    scores = len(pd.read_csv(base / "runs/classic-synthetic/per_era.csv"))
    live = 60
    assert max(collected) <= max(scores, 2 * LIVE, live)
    assert max(scores, 2 * LIVE, live) < LIVE * 60 / 2
    assert len(collected) > 10


def refusal(base: Path, capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    capsys.readouterr()
    assert job("", train, arguments(base, "run.name=refused", *settings)) == 2
    assert not (base / "runs/refused/state").exists()
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_what_cannot_be_is_refused_in_a_sentence(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no feature set 'rainy'; choose one of small, medium, all" in refusal(
        base, capsys, "classic.features=rainy"
    )
    assert "targets.main: the files have no target 'target_bob_20'; choose one of target_agnes_20" in refusal(
        base, capsys, "targets.main=target_bob_20"
    )
    assert "the labels run over 13 eras but validation.purge is 4" in refusal(base, capsys, "validation.purge=4")
    assert "models.lightgbm names 'rain', which is no feature of the training table" in refusal(
        base, capsys, "models.lightgbm.monotone={rain: 1}"
    )
    assert (
        "models.lightgbm.features names 'wet', which is no feature or family of the training table; families"
        in refusal(base, capsys, "models.lightgbm.features=[wet]")
    )
    assert "models.lightgbm.network.vectors is 99; it must be below the number of features" in refusal(
        base, capsys, "models.lightgbm.network={vectors: 99, degree: 4}"
    )
    assert "early_stopping_eras=99, and" in refusal(
        base, capsys, "models.lightgbm.early_stopping_rounds=5", "models.lightgbm.early_stopping_eras=99"
    )
    assert "models.lightgbm.targets: " in (sentence := refusal(base, capsys, f"models.lightgbm.targets=[{BENCHMARK}x]"))
    assert "has no predictions of 'v53_example_ender60x' for" in sentence
    assert "sampling leaves none of the eras 1 to" in refusal(base, capsys, "sampling.every=97", "sampling.offset=96")
    assert "classic.path is not set" in refusal(base, capsys, "classic.path=null")
    assert job("", build, [*arguments(base), "--set", "run.name=x"]) == 0


def test_a_broken_download_leaves_the_tables_as_they_are(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = base / "broken"
    shutil.copytree(files(base), folder)
    places = (f"classic.path={folder}", "source=classic", f"tables.root={base}/tables-of-files")
    assert job("", ingest, arguments(base, *places)) == 0
    content = (folder / "train.parquet").read_bytes()
    (folder / "train.parquet").write_bytes(content[: len(content) // 2])
    capsys.readouterr()

    assert job("", ingest, arguments(base, *places)) == 2

    assert f"{folder}/train.parquet has no readable parquet footer: it is not whole" in capsys.readouterr().err
    log = folder_of(base / "tables-of-files", "classic_eras") / "_delta_log"
    assert [path.name for path in sorted(log.glob("*.json"))] == ["00000000000000000000.json"]
    assert pq.read_metadata(files(base) / "train.parquet").num_rows == 3600


def test_a_run_of_classic_is_explained_and_permuted_by_what_numerai_pays(base: Path, several: Path) -> None:
    named = {"run": "several", "models": ["two", "early", "graph"], "rows": None, "features": None}
    settings = ("explain.eras=6", "explain.training_eras=3", "explain.rows=200", "explain.top=3",
                "explain.metrics=[numerai_corr, mmc]")  # fmt: skip
    places = (f"tables.root={base}/tables", f"run.dir={base}/runs", *settings)
    options = [part for text in places for part in ("--set", text)]

    code = job(
        "",
        lambda spark, config, progress: explain(spark, config, progress, **named, export=str(base / "explained")),
        options,
        read=lambda overlays, given, **_: config_of_run(overlays, given, "several"),
    )

    assert code == 0
    found = pd.read_parquet(base / "explained/importance.parquet")
    assert found.groupby("model")["share"].sum().round(9).to_dict() == {"two": 1.0, "early": 1.0, "graph": 1.0}
    lost = pd.read_parquet(base / "explained/permutation.parquet")
    assert set(lost["metric"]) == {"numerai_corr", "mmc"}
    sets = json.loads((files(base) / "features.json").read_text())["feature_sets"]
    assert set(lost.loc[lost["kind"] == "group", "unit"]) <= set(sets)
    live = pd.read_parquet(base / "explained/live_sums.parquet")
    predicted = pd.read_parquet(several / "models/early/final/live.parquet").set_index("id")["prediction"]
    sums = live[live["model"] == "early"].set_index("id")["sum"]
    np.testing.assert_allclose(sums[predicted.index], predicted, rtol=0, atol=1e-9)
    assert (several / "explain/explain.html").is_file()
