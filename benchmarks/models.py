"""Every kind of model and every blend on the real prices, in one run on the same folds: scores and seconds.

    make bench-models

Kinds that need torch are left out where it is not installed. ARGS takes further `--set KEY=VALUE` for jobs/train.py.
There is no peer that does the same work. A run that was stopped goes on when the same command is given again.
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from _measure import Measured, measure, real_prices

from eraflow.config import load
from eraflow.scoring.compare import differences

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/models"
CONFIGS = ("conf/signals.yml", "conf/all-models.yml")
NEED_TORCH = ("lstm", "transformer", "tokens", "l2gmom")
METRIC, BASELINE = "numerai_corr", "linear"


def main() -> int:
    settings = [f"prices.path={real_prices()}", f"tables.root={WORK / 'tables'}", f"run.dir={WORK / 'runs'}"]
    if find_spec("torch") is None:
        print(f"{', '.join(NEED_TORCH)} are left out: they need torch, pip install -e '.[torch]'")
        settings += [f"models.{name}=null" for name in NEED_TORCH]
    settings += ["validation.period=null", "validation.folds=6"]  # as RESULTS.md has them
    settings += [word for word in sys.argv[1:] if word != "--set"]
    config = load(CONFIGS, settings)
    run = WORK / "runs" / config.run.name
    if (run / "run.json").exists():  # measured anew; the tables are not, which are not what is measured
        shutil.rmtree(WORK / "runs")
    command = ["spark-submit", "jobs/train.py"]
    command += [word for file in CONFIGS for word in ("--config", file)]
    command += [word for setting in settings for word in ("--set", setting)]
    seen = measure(command, WORK / "log.txt", interval=2.0)
    if seen.exit_code:
        print(seen.output)
        return seen.exit_code
    rows = measured(run, [*config.models, *config.ensembles], seen)
    WORK.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")
    print(table(rows))
    print(f"\nthe whole run: {seen.seconds:.0f} s, peak {seen.peak_gb:.2f} GB; {run / 'report.html'}")
    return 0


def measured(run: Path, names: list[str], seen: Measured) -> list[dict]:
    """A row for each model and ensemble."""
    summary = json.loads((run / "summary.json").read_text())
    manifest = json.loads((run / "run.json").read_text())
    paired = against_baseline(run, summary)
    rows = []
    for model in names:
        took, found = manifest["clock"]["models"][model], summary[model][METRIC]
        seconds = round(took["fit_seconds"] + took["predict_seconds"], 1)
        figures = {key: found[key] for key in ("mean", "interval", "sharpe", "positive_share", "max_drawdown", "eras")}
        rows.append({"case": model, "peer": None, "seconds": seconds, "peer_seconds": None, "ratio": None,
                     "peak_gb": round(seen.peak_gb, 2), "peer_peak_gb": None, "peer_note": "no peer does the same work",
                     **took, **figures, "less_baseline": paired.get(model)})  # fmt: skip
    return rows


def against_baseline(run: Path, summary: dict) -> dict[str, tuple[float, float, float]]:
    """By model: mean, low and high of its score less the baseline's in the same era."""
    found = summary[BASELINE][METRIC]
    overlap = round(found["eras"] / found["effective_eras"])
    pairs = differences(pd.read_csv(run / "per_era.csv"), METRIC, overlap)
    gains = {}
    for model, other, mean, low, high in pairs[["model", "other", "mean", "low", "high"]].itertuples(index=False):
        if other == BASELINE:
            gains[model] = (mean, low, high)
        elif model == BASELINE:
            gains[other] = (-mean, -high, -low)
    return gains


def table(rows: list[dict]) -> str:
    """The rows as a table in Markdown."""
    heads = ("model", f"mean {METRIC}", "95 % interval", f"less {BASELINE} (95 % interval)", "Sharpe (per era)",
             "positive eras", "max drawdown", "seconds")  # fmt: skip
    lines = [heads, ("---",) * len(heads)]
    for row in rows:
        less = row["less_baseline"]
        lines.append((
            row["case"],
            signed(row["mean"]),
            spanned(row["interval"]),
            f"{signed(less[0])} ({spanned(less[1:])})" if less else "",
            f"{row['sharpe']:.2f}",
            f"{row['positive_share']:.1%}".replace("%", " %"),
            f"{row['max_drawdown']:.2f}",
            f"{row['seconds']:.0f}",
        ))  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def spanned(interval: tuple[float, float] | None) -> str:
    return f"{signed(interval[0])} to {signed(interval[1])}" if interval else "too few eras"


if __name__ == "__main__":
    raise SystemExit(main())
