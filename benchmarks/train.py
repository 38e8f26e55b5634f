"""Training on packed rows in Spark against native LightGBM and against the naive Spark way: seconds, memory, agreement.

`make bench-train` takes 500,000 rows of 780 features: 200 trees, five repetitions in one process, and 2,000 trees once.
`make bench-train ARGS=full` takes every row and feature of v5.3's train shape, once: 40 GB of disk and an hour or more.
`ARGS="780 frame"` measures against this peer only. The data is invented, in v5.3's shape, before anything is timed.
"""

import json
import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from _measure import Measured, measure

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/train"
PEERS = ("frame", "sequence", "naive")
LIMIT_GB = 20.0
LABEL_ERAS = 13  # eras: labels of 60 days end within them


@dataclass(frozen=True)
class Case:
    name: str
    features: int
    eras: int
    heap: str
    runs: int
    trees: tuple[int, ...]

    @property
    def folder(self) -> Path:
        return WORK / self.name

    @property
    def files(self) -> Path:
        return self.folder / "files"


CASES = {
    "780": Case("780", 780, 105, "1500m", 5, (200, 2000)),
    "full": Case("full", 3555, 574, "3g", 1, (200,)),
}


def invent(case: Case) -> None:
    if (case.files / "features.json").exists():
        return
    sizes = {"train_eras": case.eras, "validation_eras": LABEL_ERAS, "rows_per_era": 4784, "features": case.features,
           "absent": "nulls"}  # native LightGBM would take an era of nothing but 2 for known levels  # fmt: skip
    settings = [f"classic_synthetic.{key}={value}" for key, value in sizes.items()]
    code = (
        "from pathlib import Path; from eraflow.config import load; from eraflow.sources import classic_synthetic as c;"
        f" c.write(load(['classic-synthetic.yml'], {settings}).classic_synthetic, Path({str(case.files)!r}))"
    )
    checked(measure([sys.executable, "-c", code], case.folder / "invent.log"), "inventing the data")


def submit(heap: str, *words: str) -> list[str]:
    return ["spark-submit", "--driver-memory", heap, *words]


def checked(seen: Measured, what: str) -> Measured:
    end = "over the limit" if seen.over_limit else f"exit code {seen.exit_code}"
    print(f"{what}: {seen.seconds:.0f} s, {seen.peak_gb:.2f} GB, {end}", flush=True)
    return seen


def last_json(seen: Measured) -> dict[str, Any] | None:
    lines = [line for line in seen.output.splitlines() if line.startswith('{"')]
    return json.loads(lines[-1]) if seen.exit_code == 0 and lines else None


def pack(case: Case) -> None:
    """Survey and packing in a process of their own, so that the fit's memory is not theirs."""
    settings = [f"classic.path={case.files}", "classic.dataset=null", f"tables.root={case.folder}/tables"]
    words = [word for setting in settings for word in ("--set", setting)]
    command = submit("3g", "jobs/features.py", "--config", "conf/classic.yml", *words)
    checked(measure(command, case.folder / "pack.log"), f"{case.name}: packing")


def run(case: Case, side: str, trees: int, runs: int) -> tuple[Measured, dict[str, Any] | None]:
    out = str(case.folder / f"{side}-{trees}.parquet")
    if side == "eraflow":
        words = (str(case.files), str(case.folder / "tables"), "all", str(case.eras), str(trees), str(runs), out)
        command = submit(case.heap, "benchmarks/_spark_train.py", *words)
    else:
        # Ours runs first: features in its order, and its target.
        inputs = (str(case.files / "train.parquet"), str(case.folder / "model/model.json"), str(trees))
        if side == "naive":
            command = submit("12g", "benchmarks/_naive_spark_train.py", *inputs, out)
        else:
            command = [sys.executable, "benchmarks/peers/native_lightgbm.py", *inputs, str(runs), side, out]
    seen = measure(command, case.folder / f"{side}-{trees}.log", LIMIT_GB)
    return checked(seen, f"{case.name}, {trees} trees: {side}"), last_json(seen)


def correlation(case: Case, side: str, trees: int) -> float:
    import pandas as pd

    ours, theirs = (pd.read_parquet(case.folder / f"{name}-{trees}.parquet") for name in ("eraflow", side))
    both = ours.merge(theirs, on="id", validate="one_to_one", suffixes=("", "_peer"))
    assert len(both) == len(ours) == len(theirs), "the sides have learned from other rows"
    return float(both["prediction"].corr(both["prediction_peer"]))


def median(found: dict[str, Any] | None, part: str) -> float | None:
    values = [one[part] for one in found["runs"] if part in one] if found else []
    return statistics.median(values) if values else None


def rows(case: Case, side: str, trees: int, ours: Any, theirs: Any) -> list[dict[str, Any]]:
    (seen, found), (peer_seen, peer_found) = ours, theirs
    note = None if peer_found else ("killed over 20 GB" if peer_seen.over_limit else "did not finish; see its log")
    if peer_found and found:
        note = f"predictions correlate {correlation(case, side, trees):.6f}"
    table = []
    for part in ("load", "trees", "fit", "predict"):
        mine, other = median(found, part), median(peer_found, part)
        if part == "fit" and found:
            mine = statistics.median(one["load"] + one["trees"] for one in found["runs"])
            if peer_found and other is None:
                other = statistics.median(one["load"] + one["trees"] for one in peer_found["runs"])
        ratio = mine / other if mine and other else None
        table.append(
            {"case": f"{case.name} features, {trees} trees: {part}", "peer": side, "seconds": mine,
             "peer_seconds": other, "ratio": ratio, "peak_gb": seen.peak_gb, "peer_peak_gb": peer_seen.peak_gb,
             "peer_note": note}
        )  # fmt: skip
    return table


def main(name: str = "780", *sides: str) -> int:
    case, table = CASES[name], list[dict[str, Any]]()
    case.folder.mkdir(parents=True, exist_ok=True)
    invent(case)
    shutil.rmtree(case.folder / "tables", ignore_errors=True)
    pack(case)
    for trees in case.trees:
        runs = case.runs if trees == case.trees[0] else 1
        ours = run(case, "eraflow", trees, runs)
        for side in sides or (PEERS if trees == case.trees[0] else PEERS[:1]):
            theirs = run(case, side, trees, 1 if side == "naive" else runs)
            table += rows(case, side, trees, ours, theirs)
    (ROOT / "var/benchmarks" / f"train-{name}.json").write_text(json.dumps(table, indent=2) + "\n")
    for row in table:
        mine, other, ratio = (f"{row[key]:.2f}" if row[key] else "-" for key in ("seconds", "peer_seconds", "ratio"))
        memory = f"{row['peak_gb']:.2f} GB against {row['peer_peak_gb']:.2f} GB"
        print(f"{row['case']:36} {row['peer']:9} {mine:>8} s {other:>8} s {ratio:>6}  {memory}  {row['peer_note']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
