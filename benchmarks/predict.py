"""A Classic round from a cold start to the checked file: jobs/predict.py beside a notebook that only does what it must.

    make bench-predict

6,700 live rows of 3,555 features and 20,000 trees of 64 leaves, as Numerai's published large model has them. The data
are invented, in v5.3's shape. To grow 20,000 trees takes an hour and tells nothing of predicting: 100 are grown on two
eras, by the preset `standard`, and stand 200 times in the model, each time as trees of their own. Both sides read the
same files, in processes of their own that take turns; the files are in the system's cache for both.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import lightgbm
import numpy as np
import pandas as pd
from _measure import Measured, measure

from eraflow.config import ClassicSynthetic, load
from eraflow.models import Fitted, save
from eraflow.models.member import Member
from eraflow.models.trees import LightGbmTrees
from eraflow.sources import classic_synthetic
from eraflow.sources.classic_live import catalogue_hash

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/predict"
ROWS, FEATURES, GROWN, REPEATED, RUNS = 6_700, 3_555, 100, 200, 3
DAY = "2026-11-28"


def main() -> int:
    files, run = WORK / "round", WORK / "runs/bench"
    if not (run / "run.json").exists():
        shutil.rmtree(WORK, ignore_errors=True)
        prepare(files, run)
    ours, theirs = list[Taken](), list[Taken]()
    for number in range(RUNS):
        shutil.rmtree(run / "rounds", ignore_errors=True)
        job = [sys.executable, "jobs/predict.py", "--run", "bench", "--set", f"run.dir={WORK}/runs", "--date", DAY]
        ours.append(taken("eraflow", job, WORK / f"ours-{number}.log"))
        peer = [sys.executable, "benchmarks/peers/predict_notebook.py", str(files), str(run), str(WORK / "peer.csv")]
        theirs.append(taken("notebook", peer, WORK / f"peer-{number}.log"))
    mine, other = (pd.read_csv(file, float_precision="round_trip") for file in (
        run / f"rounds/{DAY}/predictions.csv", WORK / "peer.csv"
    ))  # fmt: skip
    same = mine.equals(other)
    print(f"both files hold the same: {'yes' if same else 'no'}")
    seconds, peer_seconds = (statistics.median(one.seen.seconds for one in side) for side in (ours, theirs))
    processor, peer_processor = (statistics.median(one.processor for one in side) for side in (ours, theirs))
    row: dict[str, Any] = {
        "case": f"{ROWS} rows, {FEATURES} features, {GROWN * REPEATED} trees: cold start to checked file",
        "peer": "lightgbm and pandas in a notebook", "seconds": seconds, "peer_seconds": peer_seconds,
        "ratio": seconds / peer_seconds, "peak_gb": max(one.seen.peak_gb for one in ours),
        "peer_peak_gb": max(one.seen.peak_gb for one in theirs),
        "processor_seconds": processor, "peer_processor_seconds": peer_processor,
        "peer_note": "the same file" if same else "other files",
    }  # fmt: skip
    (ROOT / "var/benchmarks/predict.json").write_text(json.dumps([row], indent=2) + "\n")
    print(f"{row['case']}: {seconds:.1f} s, {processor:.1f} s of processors, {row['peak_gb']:.2f} GB; notebook "
          f"{peer_seconds:.1f} s, {peer_processor:.1f} s of processors, {row['peer_peak_gb']:.2f} GB")  # fmt: skip
    return 0 if same and not any(one.seen.exit_code for one in (*ours, *theirs)) else 1


@dataclass(frozen=True)
class Taken:
    seen: Measured
    processor: float  # seconds of processors


def taken(side: str, command: list[str], log: Path) -> Taken:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = measure(command, log)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{side}: {seen.seconds:.1f} s, {processor:.1f} s of processors, {seen.peak_gb:.2f} GB, "
          f"exit code {seen.exit_code}", flush=True)  # fmt: skip
    return Taken(seen, processor)


def prepare(files: Path, run: Path) -> None:
    """The live file alone, and what a run would have left: its model, settings and scores."""
    print("inventing the data and growing trees", flush=True)
    settings = ClassicSynthetic(
        train_eras=2, validation_eras=1, rows_per_era=ROWS, features=FEATURES, metadata=None, signal=0.05,
        absent="both", seed=7,
    )  # fmt: skip
    classic_synthetic.write(settings, files)
    names = tuple(json.loads((files / "features.json").read_text())["feature_sets"]["all"])
    levels = pd.read_parquet(files / "train.parquet", columns=list(names)).fillna(np.nan).to_numpy(dtype=np.float32)
    draw = np.random.default_rng(7)  # no target of two eras is known yet, and any has trees of this shape
    target = np.nanmean(levels[:, draw.integers(0, FEATURES, 50)], axis=1) + draw.normal(0.0, 0.5, len(levels))
    preset = load([], ["models.lightgbm.preset=standard"]).models["lightgbm"]
    parameters = {"objective": "regression", "verbosity": -1, "seed": 7, "num_threads": 1, **{
        name: getattr(preset, name) for name in ("learning_rate", "max_depth", "num_leaves", "feature_fraction")
    }}  # fmt: skip
    booster = lightgbm.train(parameters, lightgbm.Dataset(levels, target), num_boost_round=GROWN)
    trees = LightGbmTrees(repeated(booster.model_to_string(), REPEATED))
    data = {"tournament": "classic", "dataset": None, "invented": True, "catalogue": catalogue_hash(names),
            "dtype": "int8", "most_missing": {}}  # fmt: skip
    member = Member("target", 7, (), trees)
    fitted = Fitted(names, -1, (member,), absent=2, live=4, facts={"kind": "lightgbm", "data": data})
    save(fitted, run / "models/lightgbm/final")
    for file in files.glob("[tvm]*.parquet"):
        file.unlink()
    config = load(["classic.yml"], [f"classic.path={files}", "classic.dataset=null", "classic.features=all"])
    pd.DataFrame(columns=["model", "era", "metric", "value"]).to_csv(run / "per_era.csv", index=False)
    (run / "run.json").write_text(
        json.dumps(
            {"config": config.resolved(), "identity": {"config": {"run": {"submission": "lightgbm"}}}, "tables": {}}
        )
    )


def repeated(text: str, times: int) -> str:
    """LightGBM's text of a model with each of its trees so many times."""
    head, *trees = re.split(r"^(?=Tree=\d+$)", text, flags=re.MULTILINE)
    last, _, tail = trees[-1].partition("end of trees")
    trees = [*trees[:-1], last] * times
    numbered = [re.sub(r"^Tree=\d+", f"Tree={number}", tree) for number, tree in enumerate(trees)]
    sizes = " ".join(str(len(tree)) for tree in numbered)
    head = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, flags=re.MULTILINE)
    return head + "".join(numbered) + "end of trees" + tail


if __name__ == "__main__":
    raise SystemExit(main())
