"""Training on more rows and on more executors: seconds, memory, and what a second executor does to the model.

    make bench-scale

Fits of 200 trees on 52 eras of 4,784 rows and 780 features, and on 2, 4 and 8 times as many, on this machine's cores;
then on 104 eras by a standalone Spark cluster of this machine with one worker of one core, and with two. A row's peer
is the smallest number of rows, or the one worker. The data is invented, in v5.3's shape, before anything is timed.
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import pandas as pd
import train
from _measure import Measured, measure

ERAS = (52, 104, 208, 416)
CLUSTER_ERAS = 104
TREES = 200
CASE = train.Case("scale", 780, ERAS[-1], "3g", 1, (TREES,))


def main() -> int:
    CASE.folder.mkdir(parents=True, exist_ok=True)
    train.invent(CASE)
    shutil.rmtree(CASE.folder / "tables", ignore_errors=True)
    train.pack(CASE)
    table = []
    local = {eras: fitted(train.submit(CASE.heap), f"{eras}-eras", eras) for eras in ERAS}
    for eras in ERAS:
        table += rows(f"{eras // ERAS[0]} times the rows", local[eras], f"{ERAS[0]} eras", local[ERAS[0]])
    workers = {}
    for count in (1, 2):
        command = [sys.executable, "benchmarks/_cluster.py", str(count), "3g"]
        workers[count] = fitted(command, f"{count}-workers", CLUSTER_ERAS)
    names = {1: "1-workers", 2: "2-workers", 0: f"{CLUSTER_ERAS}-eras"}
    table += rows("two workers", workers[2], "one worker", workers[1])
    quality = {about: compared(names[one], names[2]) for one, about in ((1, "one worker"), (0, "one process"))}
    for row in table:
        row["peer_note"] = str(quality) if row["case"].startswith("two workers") else None
    (train.ROOT / "var/benchmarks/scale.json").write_text(json.dumps(table, indent=2) + "\n")
    for row in table:
        print(f"{row['case']:28} {row['seconds']:8.1f} s {row['ratio']:6.2f} of {row['peer']}, {row['peak_gb']:.2f} GB")
    print(quality)
    return 0


def fitted(command: list[str], name: str, eras: int) -> tuple[Measured, dict[str, Any]]:
    out = CASE.folder / f"{name}.parquet"
    words = (str(CASE.files), str(CASE.folder / "tables"), "all", str(eras), str(TREES), "1", str(out))
    seen = measure([*command, "benchmarks/_spark_train.py", *words], CASE.folder / f"{name}.log", train.LIMIT_GB)
    result = train.last_json(train.result(seen, name))
    if result is None:
        raise SystemExit(f"{name} did not end: see {CASE.folder / name}.log")
    return seen, result


def rows(case: str, ours: tuple[Measured, dict[str, Any]], peer: str, theirs: Any) -> list[dict[str, Any]]:
    (seen, result), (peer_seen, peer_result) = ours, theirs
    return [
        {"case": f"{case}: {part}", "peer": peer, "seconds": result["runs"][0][part],
         "peer_seconds": peer_result["runs"][0][part], "ratio": result["runs"][0][part] / peer_result["runs"][0][part],
         "peak_gb": seen.peak_gb, "peer_peak_gb": peer_seen.peak_gb}
        for part in ("load", "trees", "predict")
    ]  # fmt: skip


def compared(one: str, other: str) -> dict[str, float]:
    """How alike two models predict the rows that both learned from, and how each fits their target."""
    frames = [pd.read_parquet(CASE.folder / f"{name}.parquet", columns=["id", "prediction"]) for name in (one, other)]
    target = pd.read_parquet(CASE.files / "train.parquet", columns=["id", "target"])
    both = frames[0].merge(frames[1], on="id", validate="one_to_one", suffixes=("", "_other")).merge(target, on="id")
    return {
        "predictions correlate": round(float(both["prediction"].corr(both["prediction_other"])), 6),
        "the one with the target": round(float(both["prediction"].corr(both["target"])), 6),
        "two workers with the target": round(float(both["prediction_other"].corr(both["target"])), 6),
    }


if __name__ == "__main__":
    raise SystemExit(main())
