"""Scores, strategy view and page of two models over 904 eras of 155 tickers, each stage by itself.

    make bench-evaluation ARGS="--eras 904 --tickers 155 --stages scores strategy page"

Predictions and prices are invented before anything is timed. The stages run one after another in one process that has
started Spark and its Python workers, so that a stage costs what it costs inside a run. Beside wall seconds stand those
that all processors spent on it, which another job on the machine changes less.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from _measure import measure

HERE = Path(__file__).parent
WORK = HERE.parent / "var/benchmarks/evaluation"
STAGES = ("scores", "strategy", "page")
MODELS, FOLDS = 2, 6
LAG, HORIZON, WEEK = 2, 20, 5  # sessions
BEFORE = 260  # sessions of prices before the first era
FIRST_DAY = "2000-01-03"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("--eras", type=int, default=904)
    parser.add_argument("--tickers", type=int, default=155)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    chosen = parser.parse_args()
    data = WORK / f"{chosen.eras}-{chosen.tickers}"
    if not (data / "_DONE").exists():
        shutil.rmtree(data, ignore_errors=True)
        write(data, chosen.eras, chosen.tickers)
    command = [sys.executable, str(HERE / "_spark_evaluation.py"), str(data), *chosen.stages]
    seen = measure(command, WORK / "log.txt")
    found = {line.split()[0]: json.loads(line.partition(" ")[2]) for line in seen.output.splitlines() if " {" in line}
    case = f"{MODELS} models, {chosen.eras} eras of {chosen.tickers} tickers"
    table = [
        {"case": f"{case}: {stage}", "peer": None, "seconds": took["seconds"], "peer_seconds": None, "ratio": None,
         "peak_gb": round(seen.peak_gb, 2), "peer_peak_gb": None, "processor_seconds": took["processor_seconds"]}
        for stage, took in found.items()
    ]  # fmt: skip
    (HERE.parent / "var/benchmarks/evaluation.json").write_text(json.dumps(table, indent=2) + "\n")
    for row in table:
        print(f"{row['case']:52} {row['seconds']:7.2f} s, {row['processor_seconds']:7.2f} s of processors")
    if seen.exit_code:
        print(seen.output)
    return seen.exit_code


def write(folder: Path, eras: int, tickers: int) -> None:
    """`oof.parquet` by model and fold as a run leaves it, and `prices.parquet` with what the strategy view reads."""
    draw = np.random.default_rng(1)
    sessions = BEFORE + WEEK * eras + LAG + HORIZON
    days = np.busday_offset(FIRST_DAY, np.arange(sessions), roll="forward")
    names = np.array([f"T{number:05d}" for number in range(tickers)])
    returns = 0.015 * draw.standard_normal((tickers, sessions))
    columns = {
        "ticker": np.repeat(names, sessions),
        "date": pa.array(np.tile(days, tickers)),
        "country": np.full(tickers * sessions, ""),
        "session": np.tile(np.arange(sessions, dtype=np.int32), tickers),
        "bar": np.tile(np.arange(sessions, dtype=np.int32), tickers),
        "total_return": np.exp(np.cumsum(returns, axis=1)).ravel(),
        "daily_return": np.expm1(returns).ravel(),
    }
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "prices.parquet", compression="zstd")
    at = BEFORE + WEEK * np.arange(eras)
    ids = np.char.add(np.char.add(names[None, :], "_"), days[at].astype(str)[:, None])
    target = np.round(draw.random((eras, tickers)) * 4) / 4
    for model in range(MODELS):
        prediction = draw.normal(size=(eras, tickers)) + 0.05 * target
        for fold, chosen in enumerate(np.array_split(np.arange(eras), FOLDS), 1):
            rows = {
                "id": ids[chosen].ravel(),
                "era": np.repeat(chosen.astype(np.int32) + 1, tickers),
                "prediction": prediction[chosen].ravel(),
                "target": target[chosen].ravel().astype(np.float32),
            }
            place = folder / f"oof.parquet/model=m{model}/fold={fold}"
            place.mkdir(parents=True)
            pq.write_table(pa.table(rows), place / "part.parquet", compression="zstd")
    (folder / "_DONE").touch()


if __name__ == "__main__":
    raise SystemExit(main())
