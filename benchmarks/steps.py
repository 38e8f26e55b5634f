"""What costs what on the real prices: which tables a changed setting, formula or file makes anew, and in what time.

    make bench-steps

One root lives through all of it, in the order of the table. The first and the last command are whole runs
(`jobs/train.py`); those between bring the tables up to date (`jobs/features.py`). Code is edited in a copy of the
library. Seconds are those of whole processes, Spark's start included.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import pandas as pd
from _measure import measure, real_prices

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/steps"
COPY = WORK / "project"
BUILT = re.compile(r"^\[ *[\d.]+ s\] building table (\w+)", re.MULTILINE)
FORMULA = ("where(gain + loss < TA_LIB_ZERO, 0.0,", "where(gain + loss < TA_LIB_ZERO, 50.0,")
DOCSTRING = ("Wilder's relative strength index", "The relative strength index of Wilder")
TECHNICAL = COPY / "lib/eraflow/features/technical.py"
TRAIN, FEATURES = "jobs/train.py", "jobs/features.py"


@dataclass(frozen=True)
class Case:
    """One command, after what was done before it."""

    name: str
    job: str
    arguments: Sequence[str] = ()
    edit: tuple[str, str] | None = None  # of the features' code
    weeks: int | None = None  # the price file ends so many weeks before its end


CASES = (
    Case("the first run", TRAIN, weeks=1),
    Case("the same again", TRAIN),
    Case("another feature set", FEATURES, ("--set", "features.set=momentum")),
    Case("and back", FEATURES),
    Case("a docstring edited", FEATURES, edit=DOCSTRING),
    Case("a formula of one feature edited", FEATURES, edit=FORMULA),
    Case("and back", FEATURES, edit=(FORMULA[1], FORMULA[0])),
    Case("a note", FEATURES, ("--set", "prices.note=S&P 500")),
    Case("one week more", FEATURES, weeks=0),
    Case("the same week again", FEATURES),
    Case("the first run repeated from its manifest", TRAIN, ("--repeat", "signals")),
)


def main() -> int:
    shutil.rmtree(WORK, ignore_errors=True)
    for part in ("lib", "jobs", "conf"):
        shutil.copytree(ROOT / part, COPY / part, ignore=shutil.ignore_patterns("__pycache__"))
    prices = pd.read_parquet(real_prices())
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(CASES):
        if case.edit:
            edited(TECHNICAL, *case.edit)
        if case.weeks is not None:
            last = pd.to_datetime(prices["date"]).max() - pd.Timedelta(weeks=case.weeks)
            prices[pd.to_datetime(prices["date"]) <= last].to_parquet(WORK / "prices.parquet", index=False)
        rows.append(taken(case, WORK / f"{number:02}.log"))
        print(f"{rows[-1]['case']:45} {rows[-1]['seconds']:7.1f} s  {rows[-1]['tables']}", flush=True)
    same = all(
        (WORK / f"runs/signals/{name}").read_bytes() == (WORK / f"runs/signals-again/{name}").read_bytes()
        for name in ("predictions.csv", "per_era.csv", "summary.json")
    )
    print(f"the repeated run equals the first to the byte: {'yes' if same else 'no'}")
    (ROOT / "var/benchmarks/steps.json").write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if same else 1


def taken(case: Case, log: Path) -> dict[str, Any]:
    """The row of the table; the benchmark ends where the command fails."""
    settings = {"prices.path": WORK / "prices.parquet", "tables.root": WORK / "tables", "run.dir": WORK / "runs"}
    command = ["env", f"PYTHONPATH={COPY / 'lib'}", "spark-submit", "--properties-file", "conf/spark-local.conf"]
    command += [str(COPY / case.job), "--config", str(COPY / "conf/signals.yml"), *case.arguments]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    seen = measure(command, log)
    if seen.exit_code:
        raise SystemExit(f"{case.name} failed; see {log}")
    built = list(dict.fromkeys(BUILT.findall(seen.output)))
    return {
        "case": case.name, "peer": None, "seconds": round(seen.seconds, 1), "peer_seconds": None, "ratio": None,
        "peak_gb": round(seen.peak_gb, 2), "peer_peak_gb": None, "tables": built,
    }  # fmt: skip


def edited(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{file} holds {old!r} not once; mend benchmarks/steps.py")
    file.write_text(text.replace(old, new))


if __name__ == "__main__":
    raise SystemExit(main())
