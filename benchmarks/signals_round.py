"""A Signals round from a new day of prices to the checked file: jobs/predict.py, a cold start each time.

    make bench-signals-round                 the real prices, windows and kernels
    make bench-signals-round ARGS=7000       7,000 invented tickers over 15 years, kernels; an hour, 40 GB of disk

A run is trained on all but the last day. Then the file has that day too, and the job brings prices and features up to
date, computes the live era and predicts it. The peer of each engine is what it took to make its tables from nothing
and to train, which is what a new day costs without stored states and a saved model.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from _measure import measure, real_prices
from _universe import write_universe

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/signals-round"
LIMIT_GB = 20.0
YEAR = 252  # trading days


@dataclass(frozen=True)
class Case:
    """A price file, and how a run is trained on it; how good the model is decides no second of a round."""

    name: str
    prices: Path
    engines: tuple[str, ...]
    settings: tuple[str, ...] = ()


def cases(tickers: int | None) -> Case:
    if tickers is None:
        return Case("real prices", real_prices(), ("windows", "kernels"))
    years, few = 15, ("validation.period=null", "validation.folds=1", "sampling.rows=0.02", "models.lightgbm.trees=50")
    prices = write_universe(WORK / f"universe-{tickers}.parquet", tickers * years * YEAR, years * YEAR)
    return Case(f"{tickers:,} tickers x {years} years", prices, ("kernels",), few)


def main(tickers: str | None = None) -> int:
    case = cases(int(tickers) if tickers else None)
    rows = [row for engine in case.engines for row in taken(case, engine)]
    (ROOT / f"var/benchmarks/signals-round{f'-{tickers}' if tickers else ''}.json").write_text(
        json.dumps(rows, indent=2) + "\n"
    )
    return 0


def taken(case: Case, engine: str) -> list[dict[str, Any]]:
    """Rows of the table, and of the peer's cost; the benchmark ends where a command fails."""
    work = WORK / engine
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    prices = work / "prices.parquet"
    last = until_the_last_day(case.prices, prices)
    settings = [f"prices.path={prices}", f"tables.root={work}/tables", f"run.dir={work}/runs"]
    submit = ["spark-submit"]
    train = [*submit, "jobs/train.py", "--config", "conf/signals.yml"]
    train += words(*settings, *case.settings, f"features.engine={engine}")
    before = finished(f"{engine}: training until the day before", train, work / "train.log")
    prices.unlink()
    prices.symlink_to(case.prices)
    predict = [*submit, "jobs/predict.py", "--run", "signals", *words(*settings)]
    day = finished(f"{engine}: the new day to the checked file", predict, work / "predict.log")
    again = finished(f"{engine}: the same again", predict, work / "again.log")
    file = work / f"runs/signals/rounds/{last}/predictions.csv"
    predicted = sum(1 for _ in file.open()) - 1
    print(f"{engine}: {predicted:,} tickers predicted on {last}", flush=True)
    return [
        {"case": f"{case.name}, {engine}: {what}", "peer": "tables and model from nothing", "seconds": seen.seconds,
         "peer_seconds": before.seconds, "ratio": seen.seconds / before.seconds, "peak_gb": seen.peak_gb,
         "peer_peak_gb": before.peak_gb, "tickers": predicted}
        for what, seen in (("a new day to the checked file", day), ("the same again", again))
    ]  # fmt: skip


def finished(what: str, command: list[str], log: Path) -> Any:
    seen = measure(command, log, LIMIT_GB)
    print(f"{what}: {seen.seconds:.1f} s, {seen.peak_gb:.2f} GB, exit code {seen.exit_code}", flush=True)
    if seen.exit_code or seen.over_limit:
        raise SystemExit(f"{what} failed; see {log}")
    return seen


def words(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def until_the_last_day(whole: Path, part: Path) -> str:
    """Writes the file without its last day, some rows at a time; that day."""
    source = pq.ParquetFile(whole)
    groups = range(source.num_row_groups)
    last = max(pc.max(source.read_row_group(number, ["date"])["date"]).as_py() for number in groups)
    with pq.ParquetWriter(part, source.schema_arrow, compression="zstd") as file:
        for number in groups:
            group = source.read_row_group(number)
            file.write_table(group.filter(pc.less(group["date"], pa.scalar(last, group["date"].type))))
    return str(last.isoformat())


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
