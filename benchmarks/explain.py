"""Exact SHAP values of 200 trees on rows of 780 levels: eraflow beside LightGBM's pred_contrib, shap and woodelf.

    make bench-explain

All make the mean |SHAP| of each column, in processes of their own that hold 10,000 rows at a time, and must agree to
1e-9. Peers are given FEW rows. Of all of them eraflow's pass follows, in Spark's workers as the job has it, and
LightGBM's pred_contrib on both cores. shap and woodelf are no part of eraflow's environment: PYTHONPATH may name a
folder with them (pip install --target FOLDER --no-deps shap slicer woodelf-explainer treelite).
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _measure import Measured, measure

from eraflow.batches import lists

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/explain"
ROWS, FEW, FEATURES, TREES, ERA = 500_000, 20_000, 780, 200, 1_000
MODULES = {"native": "lightgbm", "shap": "shap", "woodelf": "woodelf"}


def main() -> int:
    if not (WORK / "model.txt").exists():
        prepare()
    ours, rows, agree = taken("kernel", FEW), list[dict[str, Any]](), True
    for peer, module in MODULES.items():
        if not find_spec(module):
            rows.append(row(f"{FEW:,} rows, one process", peer, ours, None, None, "not installed"))
            continue
        theirs = taken(peer, FEW)
        is_done = theirs.exit_code == 0
        apart = compared("kernel", peer) if is_done else None
        agree &= apart is None or apart < 1e-9 or peer == "woodelf"  # which promises 1e-5
        rows.append(row(f"{FEW:,} rows, one process", peer, ours, theirs if is_done else None, apart))
    whole, theirs = taken("spark", ROWS), taken("native", ROWS)
    is_done = not whole.exit_code and not theirs.exit_code
    apart = compared("spark", "native") if is_done else None
    agree &= apart is not None and apart < 1e-9
    rows.append(row(f"{ROWS:,} rows, the pass of the job", "native", whole, theirs if is_done else None, apart))
    (ROOT / "var/benchmarks/explain.json").write_text(json.dumps(rows, indent=2) + "\n")
    for one in rows:
        print(json.dumps(one))
    return 0 if agree and not ours.exit_code and not whole.exit_code else 1


def compared(one: str, other: str) -> float:
    """The largest difference of a column's mean |SHAP|."""
    sizes = [np.load(WORK / f"{side}.npy") for side in (one, other)]
    return float(np.abs(sizes[0] - sizes[1]).max())


def taken(side: str, rows: int) -> Measured:
    command = [
        sys.executable,
        str(ROOT / "benchmarks/_explain.py"),
        side,
        str(WORK),
        str(rows),
        str(WORK / f"{side}.npy"),
    ]
    if side == "spark":
        command[:1] = ["spark-submit"]
    seen = measure(command, WORK / f"{side}.log")
    print(f"{side}: {rows:,} rows, {seen.seconds:.1f} s, {seen.peak_gb:.2f} GB, exit code {seen.exit_code}", flush=True)
    return seen


def row(
    case: str, peer: str, ours: Measured, theirs: Measured | None, apart: float | None, note: str = "not finished"
) -> dict[str, Any]:
    seconds = theirs.seconds if theirs else None
    return {
        "case": f"{case}: {FEATURES} features, {TREES} trees", "peer": peer, "seconds": ours.seconds,
        "peer_seconds": seconds, "ratio": ours.seconds / seconds if seconds else None, "peak_gb": ours.peak_gb,
        "peer_peak_gb": theirs.peak_gb if theirs else None,
        "peer_note": f"apart by {apart:.0e}" if apart is not None else note,
    }  # fmt: skip


def prepare() -> None:
    """Invented levels in eras of ERA rows, and trees of depth 5 and 31 leaves, each on a tenth of the features."""
    (WORK / "rows").mkdir(parents=True, exist_ok=True)
    draw, part = np.random.default_rng(7), 50_000
    weights = draw.normal(size=60) * 0.05
    for begin in range(0, ROWS, part):
        levels = draw.integers(-1, 5, (part, FEATURES)).astype(np.int8)
        target = np.where(levels[:, :60] < 0, 0.0, levels[:, :60] - 2.0) @ weights + draw.normal(size=part)
        numbers = np.arange(begin, begin + part)
        columns = [pa.array([f"i{number}" for number in numbers]), pa.array((numbers // ERA).astype(np.int32)),
                   lists(levels), pa.array(target.astype(np.float32))]  # fmt: skip
        pq.write_table(pa.table(columns, ["id", "era", "features", "target"]), WORK / f"rows/{begin:07}.parquet")
        if begin == 0:
            settings = {"objective": "regression", "num_leaves": 31, "max_depth": 5, "learning_rate": 0.02,
                        "feature_fraction": 0.1, "min_data_in_leaf": 20, "max_bin": 7,
                        "verbosity": -1, "seed": 7}  # fmt: skip
            data = lightgbm.Dataset(np.where(levels < 0, np.nan, levels.astype(np.float32)), target)
            (WORK / "model.txt").write_text(lightgbm.train(settings, data, TREES).model_to_string())


if __name__ == "__main__":
    raise SystemExit(main())
