"""The 14 features of `main` from daily prices: both engines beside pandas and polars, each with TA-Lib, and numerblox.

    make bench-features ARGS="--rows 1.4e6 10e6 40e6 --peers pandas_talib polars_talib"

Each side reads the same parquet file and writes zstd parquet, in a process of its own that is killed over 20 GB; the
project's sides run once more without writing. Row counts and, on three tickers, values must be the project's. numerblox
computes other features, so that there is no ratio to it; it is run when ERAFLOW_BENCH_NUMERBLOX names a Python that has
it. Of the sides only pandas keeps to one core.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from _measure import Measured, measure
from _universe import write_universe

HERE = Path(__file__).parent
WORK = HERE.parent / "var/benchmarks/features"
RESULTS = WORK.with_suffix(".json")
LIMIT_GB = 20.0
ENGINES = ("windows", "kernels")
TOLERANCE = 1e-6  # of max(1, |value|): pandas' running deviations are off by up to 2e-8
SPARK = ["spark-submit", "--driver-memory", "6g", str(HERE / "_spark_features.py")]


@dataclass(frozen=True)
class Peer:
    """A script of `peers/`, the Python that runs it (empty where there is none), and what it computes."""

    script: str
    label: str
    python: str
    missing: str = ""
    other_work: str = ""

    @property
    def command(self) -> list[str]:
        return [self.python, str(HERE / "peers" / f"{self.script}.py")]


def peers() -> dict[str, Peer]:
    ours, numerblox = sys.executable, os.environ.get("ERAFLOW_BENCH_NUMERBLOX", "")
    polars = ours if importlib.util.find_spec("polars") else ""
    available = [
        Peer("pandas_talib", "pandas and TA-Lib, one process", ours),
        Peer("polars_talib", "polars and TA-Lib", polars, missing="polars is not installed"),
        Peer(
            "numerblox_katsu", "numerblox, KatsuFeatureGenerator", numerblox,
            missing="ERAFLOW_BENCH_NUMERBLOX names no Python with numerblox",
            other_work="other work: 12 features of its own, none equal to ours",
        ),
    ]  # fmt: skip
    return {peer.script: peer for peer in available}


def main() -> int:
    available = peers()
    parser = argparse.ArgumentParser(prog="bench-features", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=float, default=[1.4e6, 10e6, 40e6], help="sizes of the universe")
    parser.add_argument(
        "--peers", nargs="+", choices=available, default=list(available), help="whom to run beside the project"
    )
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES), help="of the project")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    for size in map(int, asked.rows):
        rows += compared(size, asked.engines, [available[name] for name in asked.peers], faults)
        RESULTS.write_text(json.dumps(rows, indent=2) + "\n")  # after each size: the next takes long and may fail
    print(pd.DataFrame(rows).fillna("-").to_string(index=False))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def compared(size: int, engines: list[str], chosen: list[Peer], faults: list[str]) -> list[dict[str, Any]]:
    """One row an engine and peer for a universe of `size` rows; what went wrong with ours, or apart, in `faults`."""
    folder = WORK / f"{size:_}-rows"
    universe = write_universe(folder / "prices.parquet", size)
    bars = ds.dataset(universe).count_rows()
    sides = {engine: run_engine(engine, universe, folder, bars, faults) for engine in engines}
    rows = []
    for peer in chosen:
        output = folder / f"{peer.script}.parquet"
        theirs, note = finished(peer.command, universe, output) if peer.python else (None, peer.missing)
        say(bars, peer.label, theirs, note)
        for engine, ours in sides.items():
            apart = ""
            if not note and ours.is_whole:
                apart = difference(ours.output, output, values=not peer.other_work)
            if apart:
                faults.append(f"{peer.label}, {bars:,} rows: {apart} ({engine})")
            rows.append(row(bars, engine, ours, peer, theirs, note or (apart and f"differs from {engine}: {apart}")))
        output.unlink(missing_ok=True)
    for ours in sides.values():
        shutil.rmtree(ours.output, ignore_errors=True)
    return rows


@dataclass(frozen=True)
class Engine:
    """What an engine took: with writing, and without; `is_whole` says that both ended well."""

    output: Path
    written: Measured
    computed: Measured
    is_whole: bool


def run_engine(engine: str, universe: Path, folder: Path, bars: int, faults: list[str]) -> Engine:
    output = folder / f"eraflow-{engine}"
    shutil.rmtree(output, ignore_errors=True)  # of a run that was stopped
    written, note = finished([*SPARK, engine], universe, output)
    say(bars, f"eraflow, {engine}", written, note)
    computed, other = finished([*SPARK, engine], universe, Path("nothing"), folder / f"eraflow-{engine}-computed.log")
    say(bars, f"eraflow, {engine}, without writing", computed, other)
    if note or other:
        faults.append(f"eraflow, {engine}, {bars:,} rows: {note or other}; see {folder}")
    return Engine(output, written, computed, not (note or other))


def row(bars: int, engine: str, ours: Engine, peer: Peer, theirs: Measured | None, note: str) -> dict[str, Any]:
    comparable = theirs if ours.is_whole and not (note or peer.other_work) else None
    return {
        "case": f"14 features of {bars:,} daily rows, {engine}", "peer": peer.label,
        "seconds": round(ours.written.seconds, 1) if ours.is_whole else None,
        "computed_seconds": round(ours.computed.seconds, 1) if ours.is_whole else None,
        "processor_seconds": round(ours.written.processor_seconds, 1) if ours.is_whole else None,
        "peer_seconds": round(theirs.seconds, 1) if theirs and not note else None,
        "peer_processor_seconds": round(theirs.processor_seconds, 1) if theirs and not note else None,
        "ratio": round(ours.written.seconds / comparable.seconds, 2) if comparable else None,
        "peak_gb": round(ours.written.peak_gb, 2), "peer_peak_gb": round(theirs.peak_gb, 2) if theirs else None,
        "peer_note": note or peer.other_work or None,
    }  # fmt: skip


def finished(command: list[str], universe: Path, output: Path, log: Path | None = None) -> tuple[Measured, str]:
    """What the side took from the universe to its output, and, where it did not end well, why; else nothing."""
    seen = measure([*command, str(universe), str(output)], log or output.with_suffix(".log"), LIMIT_GB)
    if seen.over_limit:
        return seen, f"killed after {seen.seconds:.0f} s, over {LIMIT_GB:g} GB"
    if seen.exit_code:
        last = seen.output.strip().rpartition("\n")[2][:200]
        return seen, f"exit code {seen.exit_code} after {seen.seconds:.0f} s: {last}"
    return seen, ""


def difference(ours: Path, theirs: Path, values: bool) -> str:
    """How the outputs differ in their number of rows or, on three tickers, in a value; empty where they do not."""
    left, right = ds.dataset(ours), ds.dataset(theirs)
    if left.count_rows() != right.count_rows():
        return f"{right.count_rows():,} rows for our {left.count_rows():,}"
    if not values:
        return ""
    tickers = some_tickers(theirs)
    wanted, found = (tickers_of(side, tickers) for side in (left, right))
    if list(found) != list(wanted) or not found[["ticker", "date"]].equals(wanted[["ticker", "date"]]):
        return f"other columns or keys for {', '.join(tickers)}"
    a, b = (side.drop(columns=["ticker", "date"]).to_numpy(float) for side in (wanted, found))
    apart = np.abs(a - b) / np.maximum(np.abs(b), 1.0)
    apart = np.where(np.isnan(a) & np.isnan(b), 0.0, np.nan_to_num(apart, nan=np.inf))
    row, column = np.unravel_index(apart.argmax(), apart.shape)
    if apart[row, column] <= TOLERANCE:
        return ""
    ticker, date = wanted.loc[row, ["ticker", "date"]]
    return f"{wanted.columns[2 + int(column)]} of {ticker} on {date} is {b[row, column]} for our {a[row, column]}"


def some_tickers(path: Path) -> list[str]:
    """The first ticker, one amid the file and the last."""
    file = pq.ParquetFile(path)
    places = [(0, 0), (file.num_row_groups // 2, -1), (file.num_row_groups - 1, -1)]
    return sorted({file.read_row_group(group, ["ticker"])["ticker"][row].as_py() for group, row in places})


def tickers_of(side: ds.Dataset, tickers: list[str]) -> pd.DataFrame:
    frame = side.to_table(filter=ds.field("ticker").isin(tickers)).to_pandas()
    return frame.sort_values(["ticker", "date"], ignore_index=True)


def say(rows: int, who: str, seen: Measured | None, note: str) -> None:
    """One line as soon as a side has ended; the table comes after the last."""
    took = "not run" if seen is None else f"{seen.seconds:.1f} s ({seen.processor_seconds:.1f} of processors)"
    peak = "" if seen is None else f", peak {seen.peak_gb:.2f} GB"
    print(f"{rows:,} rows, {who}: {took}{peak}{f' ({note})' if note else ''}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
