"""The main job of conf/signals.yml beside a careful notebook's, from prices to the page, stage by stage.

    make bench-main-job                              the shared real prices, three runs of each side
    make bench-main-job ARGS="--engine kernels"      the same with features by kernels
    make bench-main-job ARGS="--rows 10000000 --runs 1"   invented prices, of 5,000 days a ticker

Both sides are whole processes that begin with nothing but the price file; they take turns. A stage's seconds are the
median of the runs. A side that holds more than 20 GB is killed, and the table says so. The notebook checks and stores
nothing, and makes one target where eraflow makes six (`peers/notebook.py`): it is what a user would do without eraflow.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from _measure import Measured, measure, real_prices
from _universe import write_universe

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/main-job"
LIMIT_GB = 20.0
PEER = "pandas, TA-Lib, LightGBM, numerai-tools"
SUM, WHOLE = "start, end", "whole job"
# How eraflow's progress lines begin, and the stage that begins with them.
STAGES = {
    "building table prices": "prices",
    "building table quality": "prices",
    "building table features": "features",
    "building table": "training table",
    "scoring": "scores",
    "following": "strategy",
    "writing the report": "submission and page",
}
LINE = re.compile(r"^\[ *([\d.]+) s\] (.+)$", re.MULTILINE)
MODEL = re.compile(r"lightgbm: (fold|final model)")
END = "report written"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-main-job", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, help="of invented prices, instead of the real ones")
    parser.add_argument("--heap", default="3g", help="of eraflow's JVM")
    parser.add_argument("--engine", default="windows", help="of eraflow's features: windows or kernels")
    parser.add_argument("--prices", type=Path, help="a file in the columns of the real prices")
    chosen = parser.parse_args()
    if chosen.rows:
        prices = write_universe(WORK.parent / f"universe-{chosen.rows}.parquet", chosen.rows)
    else:
        prices = chosen.prices or real_prices()
    case = f"{chosen.rows:,} invented rows" if chosen.rows else prices.stem
    case += f", {chosen.engine}"
    found: dict[str, list[tuple[Measured, dict[str, float]]]] = {"eraflow": [], "notebook": []}
    for number in range(1, chosen.runs + 1):
        for side, run in (("eraflow", eraflow), ("notebook", notebook)):
            seen, stages = run(prices, chosen)
            found[side].append((seen, stages))
            end = "killed over the limit" if seen.over_limit else f"exit code {seen.exit_code}"
            print(f"{case}, run {number}: {side}: {seen.seconds:.1f} s, {seen.peak_gb:.2f} GB, {end}", flush=True)
    table = rows(case, found["eraflow"], found["notebook"])
    (ROOT / "var/benchmarks/main_job.json").write_text(json.dumps(table, indent=2) + "\n")
    for row in table:
        ours, theirs = (f"{row[key]:8.1f} s" if row[key] is not None else "       - " for key in SECONDS)
        memory = " ".join(f"{row[key]:6.2f} GB" for key in ("peak_gb", "peer_peak_gb") if row[key] is not None)
        print(f"{row['case']:60} {ours} {theirs} {row['ratio'] or '':>7} {memory} {row['peer_note'] or ''}")
    return 0 if any(seen.exit_code == 0 for seen, _ in found["eraflow"]) else 1


SECONDS = ("seconds", "peer_seconds")


def eraflow(prices: Path, chosen: argparse.Namespace) -> tuple[Measured, dict[str, float]]:
    folder = WORK / "eraflow"
    shutil.rmtree(folder, ignore_errors=True)
    settings = {"prices.path": prices, "tables.root": folder / "tables", "run.dir": folder / "runs"}
    settings |= {"validation.period": "null", "validation.folds": "6"}  # the notebook's
    settings["features.engine"] = chosen.engine
    command = ["spark-submit", "--driver-memory", chosen.heap]
    command += ["jobs/train.py", "--config", "conf/signals.yml"]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    seen = measure(command, WORK / "eraflow.log", LIMIT_GB)
    return seen, stages_of(seen.output)


def stages_of(log: str) -> dict[str, float]:
    """Seconds by stage, as the job's own progress lines tell them; nothing of a job that did not end."""
    begins = [(float(seconds), stage) for seconds, text in LINE.findall(log) if (stage := _stage(text))]
    if not begins or begins[-1][1] != END:
        return {}
    found: dict[str, float] = {}
    for (began, stage), (ended, _) in pairwise(begins):
        found[stage] = round(found.get(stage, 0.0) + ended - began, 1)
    return found


def _stage(line: str) -> str | None:
    """The stage that begins with this progress line, None where none does."""
    if line.startswith(END):
        return END
    if MODEL.match(line):
        return "fits and predictions"
    return next((stage for begin, stage in STAGES.items() if line.startswith(begin)), None)


def notebook(prices: Path, chosen: argparse.Namespace) -> tuple[Measured, dict[str, float]]:
    folder = WORK / "notebook"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, str(ROOT / "benchmarks/peers/notebook.py"), str(prices), str(folder)]
    seen = measure(command, WORK / "notebook.log", LIMIT_GB)
    lines = [line for line in seen.output.splitlines() if line.startswith('{"')]
    return seen, json.loads(lines[-1]) if seen.exit_code == 0 and lines else {}


def rows(case: str, ours: list[Any], theirs: list[Any]) -> list[dict[str, Any]]:
    """A row a stage, and one of the whole job; medians of the runs that ended."""
    left, right = (_medians(side) for side in (ours, theirs))
    memory = [max(seen.peak_gb for seen, _ in side) for side in (ours, theirs)]
    faults = {"eraflow": (left, ours), "notebook": (right, theirs)}
    note = "; ".join(f"{side} {_fault(runs)}" for side, (ended, runs) in faults.items() if not ended) or None
    stages = list(dict.fromkeys((*left, *right, WHOLE)))
    table = []
    for stage in stages:
        ours_took, theirs_took = left.get(stage), right.get(stage)
        whole = stage == WHOLE
        table.append(
            {"case": f"{case}: {stage}", "peer": PEER, "seconds": ours_took, "peer_seconds": theirs_took,
             "ratio": round(ours_took / theirs_took, 2) if ours_took is not None and theirs_took else None,
             "peak_gb": round(memory[0], 2) if whole else None,
             "peer_peak_gb": round(memory[1], 2) if whole else None, "peer_note": note}
        )  # fmt: skip
    return table


def _fault(runs: list[Any]) -> str:
    return f"killed over {LIMIT_GB:g} GB" if runs[-1][0].over_limit else "did not end; see its log"


def _medians(side: list[tuple[Measured, dict[str, float]]]) -> dict[str, float]:
    ended = [(seen, stages) for seen, stages in side if stages]
    if not ended:
        return {}
    found = {stage: statistics.median(stages[stage] for _, stages in ended) for stage in ended[0][1]}
    found[SUM] = statistics.median(seen.seconds - sum(stages.values()) for seen, stages in ended)
    found[WHOLE] = statistics.median(seen.seconds for seen, _ in ended)
    return {stage: round(seconds, 1) for stage, seconds in found.items()}


if __name__ == "__main__":
    raise SystemExit(main())
