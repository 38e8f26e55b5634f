"""Scores of 5 models over 650 eras and 4.1 million ids, all metrics but FNC: eraflow beside a plain loop over eras.

    make bench-scores ARGS="--eras 650"

Both sides read the same parquet files (out-of-fold predictions by model and fold as a run leaves them, a meta model,
two benchmark models, ten packed features) in processes of their own, and write a CSV of model, era, metric, value. The
CSVs must be equal within 1e-9. The loop calls numerai-tools as its documentation says, in one process, fold by fold.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from _measure import measure

HERE = Path(__file__).parent
WORK = HERE.parent / "var/benchmarks/scores"
ROWS, FOLDS, MODELS, FEATURES = 6308, 5, 5, 10  # rows of an era
LIMIT_GB = 12.0
TOLERANCE = 1e-9
OURS = ["spark-submit", str(HERE / "_spark_scores.py")]
PEER = [sys.executable, str(HERE / "peers/numerai_tools_loop.py")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-scores", description=__doc__.splitlines()[0])
    parser.add_argument("--eras", type=int, default=650)
    eras = parser.parse_args().eras
    data = WORK / f"{eras}-eras"
    if not (data / "_DONE").exists():
        shutil.rmtree(data, ignore_errors=True)
        write(data, eras)
    sides = {}
    for name, command in (("eraflow", OURS), ("loop", PEER)):
        seen = sides[name] = measure([*command, str(data), str(WORK / f"{name}.csv")], WORK / f"{name}.log", LIMIT_GB)
        last = seen.output.strip().rpartition("\n")[2]
        print(
            f"{name}: {seen.seconds:.1f} s, peak {seen.peak_gb:.2f} GB, exit code {seen.exit_code}; {last}", flush=True
        )
        if seen.exit_code:
            return 1
    ours, loop = sides["eraflow"], sides["loop"]
    apart = difference(WORK / "eraflow.csv", WORK / "loop.csv")
    row = {
        "case": f"{MODELS} models, {eras} eras, {eras * ROWS:,} ids, all metrics but FNC",
        "peer": "numerai-tools, a loop over eras in one process",
        "seconds": round(ours.seconds, 1), "peer_seconds": round(loop.seconds, 1),
        "ratio": round(ours.seconds / loop.seconds, 2), "peak_gb": round(ours.peak_gb, 2),
        "peer_peak_gb": round(loop.peak_gb, 2), "peer_note": apart or None,
    }  # fmt: skip
    (HERE.parent / "var/benchmarks/scores.json").write_text(json.dumps([row], indent=2) + "\n")
    print(pd.DataFrame([row]).to_string(index=False))
    print(f"{loop.seconds / ours.seconds:.2f} times as fast as the loop{'; ' + apart if apart else ''}")
    return 1 if apart else 0


def write(folder: Path, eras: int) -> None:
    """Predictions below oof.parquet, meta_model.parquet, benchmarks.parquet, features.parquet; era by era."""
    writers: dict[Path, pq.ParquetWriter] = {}

    def add(path: Path, table: pa.Table) -> None:
        if path not in writers:
            path.parent.mkdir(parents=True, exist_ok=True)
            writers[path] = pq.ParquetWriter(path, table.schema, compression="zstd")
        writers[path].write_table(table)

    for era in range(1, eras + 1):
        draw = np.random.default_rng(era)
        ids = pa.array([f"n{number:015x}" for number in draw.integers(0, 2**60, ROWS)])
        signal = draw.normal(size=ROWS)
        target = np.searchsorted([-1.645, -0.674, 0.674, 1.645], 0.1 * signal + draw.normal(size=ROWS)) / 4
        keys = {"id": ids, "era": pa.array(np.full(ROWS, era, dtype=np.int32))}
        fold = (era - 1) * FOLDS // eras + 1
        for model in range(MODELS):
            rows = keys | {
                "prediction": np.round(0.3 * signal + draw.normal(size=ROWS), 3),
                "target": target.astype(np.float32),
            }
            add(folder / f"oof.parquet/model=m{model}/fold={fold}/part.parquet", pa.table(rows))
        others = np.round(0.5 * signal[:, None] + draw.normal(size=(ROWS, 3)), 4)
        add(folder / "meta_model.parquet", pa.table(keys | {"meta_model": others[:, 0]}))
        add(folder / "benchmarks.parquet", pa.table(keys | {"b1": others[:, 1], "b2": others[:, 2]}))
        levels = draw.integers(0, 5, (ROWS, FEATURES), dtype=np.int8)
        offsets = pa.array(np.arange(ROWS + 1, dtype=np.int32) * FEATURES)
        packed = pa.ListArray.from_arrays(offsets, pa.array(levels.reshape(-1)))
        add(folder / "features.parquet", pa.table(keys | {"features": packed}))
    for writer in writers.values():
        writer.close()
    (folder / "_DONE").touch()


def difference(ours: Path, theirs: Path) -> str:
    """How two sides' scores differ, in words; nothing where they do not."""
    key = ["model", "era", "metric"]
    left, right = (pd.read_csv(path).sort_values(key, ignore_index=True) for path in (ours, theirs))
    if not left[key].equals(right[key]):
        return f"other models, eras or metrics: {len(left)} and {len(right)} rows"
    apart = (left["value"] - right["value"]).abs().max()
    return "" if apart <= TOLERANCE else f"values differ by up to {apart:.2g}"


if __name__ == "__main__":
    raise SystemExit(main())
