"""The main job on the real prices, from empty tables to the report: seconds, and peak memory of the process tree.

There is no peer that does the same work; the aim is 12 minutes and 7 GB on 2 cores.
"""

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from _measure import measure, real_prices

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/main-job"


def main() -> int:
    prices = real_prices()
    shutil.rmtree(WORK, ignore_errors=True)
    settings = {"prices.path": prices, "tables.root": WORK / "tables", "run.dir": WORK / "runs"}
    command = ["spark-submit", "--properties-file", "conf/spark-local.conf", "jobs/train.py"]
    command += ["--config", "conf/signals.yml"]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    seen = measure(command, WORK / "log.txt")
    row = {"case": "main job, real prices, all tickers, all years", "peer": None, "seconds": round(seen.seconds, 1),
           "peer_seconds": None, "ratio": None, "peak_gb": round(seen.peak_gb, 2), "peer_peak_gb": None,
           "peer_note": "no peer does the same work"}  # fmt: skip
    (ROOT / "var/benchmarks/main-job.json").write_text(json.dumps([row], indent=2) + "\n")
    print(seen.output)
    print(f"{row['case']}: {row['seconds']} s, peak {row['peak_gb']} GB, exit code {seen.exit_code}")
    return seen.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
