"""What costs what: which tables, fits and predictions a change makes anew, and in what time.

    make bench-steps                 the real prices, then invented files of Classic
    make bench-steps ARGS=classic    Classic alone

One root lives through all of it, in the order of the table: whole runs (`jobs/train.py`), each under a name of its
own where it is another one, and commands that bring the tables up to date (`jobs/features.py`). Code is edited in a
copy of the library. Seconds are those of whole processes, Spark's start included.
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
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from _measure import measure, real_prices

from eraflow.config import ClassicSynthetic
from eraflow.sources import classic_synthetic

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/steps"
COPY = WORK / "project"
BUILT = re.compile(r"^\[ *[\d.]+ s\] building table (\w+)", re.MULTILINE)
FORMULA = ("where(gain + loss < NO_MOVE * CLOSE, 0.0,", "where(gain + loss < NO_MOVE * CLOSE, 50.0,")
DOCSTRING = ("Wilder's relative strength index", "The relative strength index of Wilder")
TECHNICAL = COPY / "lib/eraflow/features/technical.py"
LONGER = "models.longer={kind: lightgbm, targets: [target_neutral_60]}"
BLEND = "ensembles={both: {models: [lightgbm, longer]}}"
TRAIN, FEATURES = "jobs/train.py", "jobs/features.py"
# Classic's files: as many eras as make ten fits, small ones, since a fit's seconds are not what is asked here.
FILES = ClassicSynthetic(
    train_eras=120,
    validation_eras=60,
    rows_per_era=400,
    features=300,
    metadata=None,
    signal=0.1,
    absent="nulls",
    seed=5,
)
WAITING = 5  # eras whose targets of 20 days become known within the week


@dataclass(frozen=True)
class Case:
    """One command, after what was done before it."""

    name: str
    job: str
    arguments: Sequence[str] = ()
    edit: tuple[str, str] | None = None  # of the features' code
    weeks: int | None = None  # the files end so many weeks before their end
    conf: str = "signals.yml"

    @property
    def is_classic(self) -> bool:
        return self.conf == "classic.yml"


CASES = (
    Case("the first run", TRAIN, weeks=1),
    Case("the same again", TRAIN),
    Case("the same run under another name", TRAIN, ("--set", "run.name=same")),
    Case("a model more, of another target", TRAIN, ("--set", "run.name=two", "--set", LONGER)),
    Case("an ensemble more", TRAIN, ("--set", "run.name=blend", "--set", LONGER, "--set", BLEND)),
    Case("other factors of the payout", TRAIN, ("--set", "run.name=payout", "--set", "scoring.payout.factor=0.2")),
    Case("a note", TRAIN, ("--set", "run.name=note", "--set", "prices.note=S&P 500")),
    Case("another feature set", FEATURES, ("--set", "features.set=momentum")),
    Case("and back", FEATURES),
    Case("a docstring edited", FEATURES, edit=DOCSTRING),
    Case("a formula of one feature edited", FEATURES, edit=FORMULA),
    Case("and back", FEATURES, edit=(FORMULA[1], FORMULA[0])),
    Case("one week more", FEATURES, weeks=0),
    Case("the same week again", FEATURES),
    Case("a run of that week", TRAIN, ("--set", "run.name=week")),
    Case("the first run repeated from its manifest", TRAIN, ("--repeat", "signals")),
)
PERIODS = ("--set", "validation.period=12", "--set", "validation.min_train_eras=48")
FNC = ("--set", "run.name=fnc", "--set", "scoring.feature_sets=[small, medium]")
CLASSIC = tuple(
    Case(f"Classic: {name}", TRAIN, (*PERIODS, *more), weeks=weeks, conf="classic.yml")
    for name, more, weeks in (
        ("the first run", (), 1),
        ("another metric, FNC by one more set", FNC, None),
        ("one era more, targets of five resolved", ("--set", "run.name=later"), 0),
        ("the same again", ("--set", "run.name=later"), None),
    )
)


def main(only: str = "") -> int:
    shutil.rmtree(WORK, ignore_errors=True)
    for part in ("lib", "jobs", "conf"):
        shutil.copytree(ROOT / part, COPY / part, ignore=shutil.ignore_patterns("__pycache__"))
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(CLASSIC if only == "classic" else (*CASES, *CLASSIC)):
        if case.edit:
            edited(TECHNICAL, *case.edit)
        if case.weeks is not None:
            (invent if case.is_classic else cut)(case.weeks)
        rows.append(taken(case, WORK / f"{number:02}.log"))
        print(f"{rows[-1]['case']:45} {rows[-1]['seconds']:7.1f} s  {rows[-1]['made']}", flush=True)
    (ROOT / "var/benchmarks/steps.json").write_text(json.dumps(rows, indent=2) + "\n")
    if only:
        return 0
    same = all(
        (WORK / f"runs/signals/{name}").read_bytes() == (WORK / f"runs/signals-again/{name}").read_bytes()
        for name in ("predictions.csv", "per_era.csv", "summary.json")
    )
    print(f"the repeated run equals the first to the byte: {'yes' if same else 'no'}")
    return 0 if same else 1


def cut(weeks: int) -> None:
    """The real prices until so many weeks before their end."""
    prices = pd.read_parquet(real_prices())
    last = pd.to_datetime(prices["date"]).max() - pd.Timedelta(weeks=weeks)
    prices[pd.to_datetime(prices["date"]) <= last].to_parquet(WORK / "prices.parquet", index=False)


def invent(weeks: int) -> None:
    """Classic's files; a week before their end they lack the last era and the latest targets of 20 days."""
    settings = FILES.model_copy(update={"validation_eras": FILES.validation_eras - weeks})
    classic_synthetic.write(settings, WORK / "round")
    if not weeks:
        return
    file = WORK / "round/validation.parquet"
    table = pq.read_table(file)
    eras = sorted(set(table["era"].to_pylist()))
    labelled = [era for era in eras if any(value is not None for value in _of_20_days(table, era))]
    waits = pc.is_in(table["era"], pa.array(labelled[-WAITING:]))
    for place, name in enumerate(table.schema.names):
        if name.endswith("_20"):
            hidden = pc.if_else(waits, pa.scalar(None, table[name].type), table[name])
            table = table.set_column(place, name, hidden)
    pq.write_table(table, file)


def _of_20_days(table: pa.Table, era: str) -> list[float | None]:
    return table.filter(pc.equal(table["era"], era))["target_ender_20"].to_pylist()


def taken(case: Case, log: Path) -> dict[str, Any]:
    """The row of the table; the benchmark ends where the command fails."""
    places = {"tables.root": WORK / "tables", "run.dir": WORK / "runs"}
    files = {"classic.path": WORK / "round", "classic.dataset": "null"}
    settings = places | (files if case.is_classic else {"prices.path": WORK / "prices.parquet"})
    command = ["env", f"PYTHONPATH={COPY / 'lib'}", "spark-submit"]
    command += [str(COPY / case.job), "--config", str(COPY / "conf" / case.conf), *case.arguments]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    before = cells()
    seen = measure(command, log)
    if seen.exit_code:
        raise SystemExit(f"{case.name} failed; see {log}")
    made = {"tables": list(dict.fromkeys(BUILT.findall(seen.output)))}
    made |= {kind: count - before[kind] for kind, count in cells().items()} if case.job == TRAIN else {}
    return {
        "case": case.name, "peer": None, "seconds": round(seen.seconds, 1), "peer_seconds": None, "ratio": None,
        "peak_gb": round(seen.peak_gb, 2), "peer_peak_gb": None, "made": made,
    }  # fmt: skip


def cells() -> dict[str, int]:
    """How many fits and predictions there are below the folder of runs."""
    return {kind: len(list((WORK / "runs/_cells" / kind).glob("*"))) for kind in ("fits", "predictions")}


def edited(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{file} holds {old!r} not once; mend benchmarks/steps.py")
    file.write_text(text.replace(old, new))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
