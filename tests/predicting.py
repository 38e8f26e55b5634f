"""A finished run of Numerai Classic and a live round that it predicts, without Spark."""

import json
import runpy
import shutil
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
from tests.rounds import write_manifest

from eraflow import cli
from eraflow.config import ClassicSynthetic, load
from eraflow.models import Fitted, save
from eraflow.models.linear_weights import LinearWeights
from eraflow.models.member import Member
from eraflow.models.saved import Blend, save_blend
from eraflow.models.steps import Chosen
from eraflow.models.trees import LightGbmTrees
from eraflow.pipeline.predict import config_of_run, predict
from eraflow.sources import classic_synthetic
from eraflow.sources.classic_live import catalogue_hash

ROOT = Path(__file__).parents[1]
OPTIONS = runpy.run_path(str(ROOT / "jobs/predict.py"))["OPTIONS"]
ROWS, LIVE = 40, 9
FILES = ClassicSynthetic(
    train_eras=5, validation_eras=3, rows_per_era=ROWS, features=30, metadata=None, signal=0.1, absent="both", seed=3
)
# run.json sorts models by name: that none is named as the submission does not mean the first of them.
MODELS = ("models.lightgbm=null", "models.line.kind=linear", "models.trees={kind: lightgbm, trees: 5}",
          "ensembles.both={models: [line, trees], neutralise: 0.5}", "run.submission=null")  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`round/` with the files of a live round alone, and `runs/mine`: a run of two models and a blend of them."""
    base = tmp_path_factory.mktemp("predict")
    classic_synthetic.write(FILES, base / "round")
    names = json.loads((base / "round/features.json").read_text())["feature_sets"]["all"]
    for file in (base / "round").glob("[tvm]*.parquet"):  # train, validation, meta_model
        file.unlink()
    run, models_of = base / "runs/mine", base / "runs/mine/models"
    inputs = tuple(names[20:] + names[:8])  # of all features some, in an order of their own
    draw = np.random.default_rng(1)
    levels = draw.integers(0, 5, (400, len(inputs)))
    booster = lightgbm.train(
        {"verbosity": -1, "num_leaves": 8}, lightgbm.Dataset(levels, levels[:, 0] - levels[:, 1]), num_boost_round=5
    )
    weights = tuple(draw.normal(size=5).tolist())
    members = {
        "line": Member("target", 1, (Chosen((0, 3, 4, 9, 11)),), LinearWeights(weights, 0.0)),
        "trees": Member("target", 1, (), LightGbmTrees(booster.model_to_string())),
    }
    data = {"tournament": "classic", "dataset": "v5.3", "invented": True, "catalogue": catalogue_hash(names),
            "dtype": "int8", "most_missing": {inputs[2]: 0.75}}  # fmt: skip
    for name, member in members.items():
        model = Fitted(inputs, -1, (member,), absent=2, live=LIVE, facts={"kind": "linear", "data": data})
        save(model, models_of / name / "final")
    places = {name: models_of / name / "final" for name in members}
    save_blend(Blend(places, (0.75, 0.25), proportion=0.5), models_of / "both/final")
    config = load(["classic.yml"], [*MODELS, f"classic.path={base}/round", f"run.dir={base}/runs", "run.name=mine"])
    write_manifest(run, config, "both")
    scores = pd.DataFrame({"era": range(5), "value": [0.1, 0.2, 0.3, 0.4, 0.5]})
    pd.concat(
        [scores.assign(model=name, metric=metric) for name in (*members, "both")
         for metric in ("numerai_corr", "rank_corr_with_example_preds", "rank_corr_with_v53_one")]
    ).to_csv(run / "per_era.csv", index=False)  # fmt: skip
    return base


@pytest.fixture
def base(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    manifest = json.loads((tmp_path / "runs/mine/run.json").read_text().replace(str(made), str(tmp_path)))
    (tmp_path / "runs/mine/run.json").write_text(json.dumps(manifest))
    return tmp_path


def arguments(base: Path, *others: str) -> list[str]:
    return ["--set", f"run.dir={base}/runs", "--set", "classic.dataset=null", "--run", "mine", *others]


def code(base: Path, *others: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)  # logs of what fails are in var/log below
        patch.setattr(cli, "session", lambda: pytest.fail("Spark was started"))
        return cli.job("", predict, arguments(base, *others), OPTIONS, config_of_run, lazily=True)


def rounds(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "runs/mine").glob("rounds/*"))


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Times and contents of all files below but those of rounds."""
    files = [path for path in folder.rglob("*") if path.is_file() and "rounds" not in path.parts]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
