"""One more week of real prices against a full computation: seconds by table, without Spark's start.

    make bench-incremental                   features by windows
    make bench-incremental ARGS=kernels

Three processes: all but the last week from nothing, then the week, then everything from nothing into another folder.
Their features are compared.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from _measure import measure, real_prices

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/incremental"
WEEK = 5  # trading days


def main(engine: str = "windows") -> int:
    source = real_prices()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    whole = pd.read_parquet(source)
    days = sorted(whole["date"].unique())
    prices = WORK / "prices.parquet"
    whole[whole["date"] < days[-WEEK]].to_parquet(prices)
    before = finished(engine, "all but the last week", prices, WORK / "extended")
    whole.to_parquet(prices)
    week = finished(engine, "one more week", prices, WORK / "extended")
    full = finished(engine, "everything", prices, WORK / "whole", WORK / "extended")
    row = {"case": f"one more week of real prices, {engine}", "peer": "full computation", "seconds": week["seconds"],
           "peer_seconds": full["seconds"], "ratio": round(week["seconds"] / full["seconds"], 3),
           "features_ratio": round(week["tables"]["features"] / full["tables"]["features"], 3),
           "worst_difference": full["worst"], "rows_of_one_only": full["alone"],
           "runs": [before, week, full]}  # fmt: skip
    WORK.with_suffix(".json").write_text(json.dumps([row], indent=2) + "\n")
    print(json.dumps(row, indent=2))
    return 0


def finished(engine: str, what: str, prices: Path, *roots: Path) -> dict:
    command = ["spark-submit", str(ROOT / "benchmarks/_incremental.py"), engine, str(prices), *map(str, roots)]
    seen = measure(command, WORK / f"{what.replace(' ', '-')}.log")
    lines = [line for line in seen.output.splitlines() if line.startswith("RESULT ")]
    if seen.exit_code or not lines:
        raise SystemExit(f"{what}: exit code {seen.exit_code}\n{seen.output[-2000:]}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    print(f"{what}: {result['seconds']} s, {result['tables']}, peak {seen.peak_gb:.2f} GB", flush=True)
    return result


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
