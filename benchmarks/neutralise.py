"""Predictions neutral to 780 features in 600 eras of 1,000 rows: Spark beside loops over eras in numpy.

    make bench-neutralise ARGS="--eras 600 --rows 1000 --features 780"

Each side reads the same parquet files, levels packed into one array a row, and writes parquet, in a process of its own.
Predictions must agree within 1e-8. The files are sorted by era, which only the numpy loops rely on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from _measure import Measured, measure

HERE = Path(__file__).parent
WORK = HERE.parent / "var/benchmarks/neutralise"
LIMIT_GB = 20.0
TOLERANCE = 1e-8
ERAS_A_GROUP = 10
SPARK = ["spark-submit", str(HERE / "_spark_neutralise.py")]
PEERS = {"lstsq": "numpy, lstsq an era", "normal": "numpy, normal equations an era"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-neutralise", description=__doc__.splitlines()[0])
    for name, default in {"eras": 600, "rows": 1000, "features": 780}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    asked = parser.parse_args()
    folder = WORK / f"{asked.eras}-{asked.rows}-{asked.features}"
    write_data(folder, asked.eras, asked.rows, asked.features)
    ours = measure([*SPARK, str(folder), str(folder / "eraflow")], folder / "eraflow.log", LIMIT_GB)
    say("eraflow", ours)
    if ours.exit_code:
        print(ours.output[-2000:])
        return 1
    wanted, faults = read(folder / "eraflow"), 0
    rows: list[dict[str, Any]] = []
    for peer in asked.peers:
        output = folder / f"{peer}.parquet"
        command = [sys.executable, str(HERE / "peers/numpy_neutralise.py"), peer, str(folder), str(output)]
        theirs = measure(command, folder / f"{peer}.log", LIMIT_GB)
        say(PEERS[peer], theirs)
        note = apart(wanted, read(output)) if theirs.exit_code == 0 else f"exit code {theirs.exit_code}"
        faults += bool(note)
        rows.append({
            "case": f"{asked.features} features, {asked.eras} eras of {asked.rows} rows", "peer": PEERS[peer],
            "seconds": round(ours.seconds, 1), "peer_seconds": round(theirs.seconds, 1),
            "ratio": round(ours.seconds / theirs.seconds, 2), "peak_gb": round(ours.peak_gb, 2),
            "peer_peak_gb": round(theirs.peak_gb, 2), "peer_note": note or None,
        })  # fmt: skip
    WORK.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")
    print(pd.DataFrame(rows).fillna("-").to_string(index=False))
    shutil.rmtree(folder)
    return 1 if faults else 0


def write_data(folder: Path, eras: int, rows: int, features: int) -> None:
    """`features.parquet` (`id, era, features`, a hundredth of the levels unknown) and `predictions.parquet`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    draw = np.random.default_rng(8)
    columns = {"id": pa.string(), "era": pa.int32()}
    wide = pa.schema({**columns, "features": pa.list_(pa.int8())})
    narrow = pa.schema({**columns, "fold": pa.int32(), "model": pa.string(), "prediction": pa.float64()})
    with (
        pq.ParquetWriter(folder / "features.parquet", wide, compression="zstd") as table,
        pq.ParquetWriter(folder / "predictions.parquet", narrow) as predictions,
    ):
        for start in range(1, eras + 1, ERAS_A_GROUP):
            numbers = np.repeat(np.arange(start, min(start + ERAS_A_GROUP, eras + 1), dtype=np.int32), rows)
            levels = draw.integers(0, 5, (len(numbers), features), dtype=np.int8)
            prediction = draw.normal(size=len(numbers)) + 0.2 * levels[:, :20].sum(axis=1)
            levels[draw.integers(0, 100, levels.shape, dtype=np.int8) == 0] = -1
            offsets = np.arange(len(numbers) + 1, dtype=np.int32) * features
            packed = pa.ListArray.from_arrays(pa.array(offsets), pa.array(levels.reshape(-1)))
            ids = pa.array([f"n{start:05}{row:07}" for row in range(len(numbers))])
            table.write_table(pa.table([ids, pa.array(numbers), packed], schema=wide))
            ones, name = np.ones(len(numbers), dtype=np.int32), ["model"] * len(numbers)
            parts = [ids, pa.array(numbers), pa.array(ones), pa.array(name), pa.array(prediction)]
            predictions.write_table(pa.table(parts, schema=narrow))


def read(path: Path) -> pd.DataFrame:
    return ds.dataset(path).to_table(columns=["id", "prediction"]).to_pandas().sort_values("id", ignore_index=True)


def apart(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """How the outputs differ; empty where they do not."""
    if not ours["id"].equals(theirs["id"]):
        return f"{len(theirs):,} rows, or other ids, for our {len(ours):,}"
    most = float(np.abs(ours["prediction"] - theirs["prediction"]).max())
    return "" if most <= TOLERANCE else f"predictions differ by up to {most:.1e}"


def say(who: str, seen: Measured) -> None:
    print(f"{who}: {seen.seconds:.1f} s, peak {seen.peak_gb:.2f} GB, exit code {seen.exit_code}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
