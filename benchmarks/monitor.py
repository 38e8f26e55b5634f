"""How often the monitor alarms without a cause, and how soon with one: simulated for your rounds, labels and features.

Writes the limits of the charts as a section that a configuration takes, var/benchmarks/monitor.yml; the defaults of
conf/base.yml were found so. Beside them stand charts that know nothing of overlapping labels, on the same streams:
Page's CUSUM as textbooks have it and, where they are installed, river's Page-Hinkley and evidently's drift.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from _monitor_peers import evidently_drift, page_cusum, page_hinkley
from scipy import stats

from eraflow.monitoring.calibration import Simulated, alarm_rate, delay, limits, simulated
from eraflow.monitoring.drift import Reference
from eraflow.monitoring.gate import status_of_rows
from eraflow.monitoring.simulated import CHANGES, Universe
from eraflow.monitoring.streams import Kind, Limits, paths

ROOT = Path(__file__).parents[1]
KINDS = (Kind(20, 5), Kind(60, 5), Kind(4, 1), Kind(12, 1))
LABELS = (10, 20, 50, 100, 200)
COMMON = 50  # of them, that alarms and delays are shown for
YEARS = 2
LATER = 4  # years in which a change is looked for
FEWEST, BROKEN, ROUNDS = 0.7, 0.05, 250
SCORES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "mean to 0": lambda scores, mean: scores - mean,
    "sign flip": lambda scores, mean: -scores,
}


def main() -> int:
    asked, started = _arguments(), time.monotonic()
    kinds = [Kind(asked.overlap, asked.weekly)] if asked.overlap else list(KINDS)
    found, rows = [], []
    for kind in kinds:
        held_by: dict[int, Limits] = {}
        for labels in [asked.labels] if asked.labels else LABELS:
            held = held_by[labels] = limits(kind, labels, asked.rate, asked.calibrate)
            found.append({**vars(kind), "labels": labels, **{name: round(one, 2) for name, one in vars(held).items()}})
            print(f"  limits: {found[-1]}", flush=True)
        labels = asked.labels or COMMON
        rows += of_scores(kind, labels, held_by[labels], asked)
    rows += of_rows(asked)
    out = ROOT / "var/benchmarks"
    out.mkdir(parents=True, exist_ok=True)
    (out / "monitor.json").write_text(json.dumps(rows, indent=2) + "\n")
    rates = {"score_alarms": asked.rate, "charts_rate": asked.rate}
    (out / "monitor.yml").write_text(yaml.safe_dump({"monitor": {**rates, "charts": found}}))
    print(pd.DataFrame(rows)[["case", "measure", "ours", "low", "high", "peer", "theirs"]].to_string(index=False))
    print(f"limits for a configuration: {out / 'monitor.yml'}; {time.monotonic() - started:.0f} s")
    alarms = [row for row in rows if row["measure"].startswith("alarms") and row["low"] is not None]
    outside = [row["case"] for row in alarms if row["low"] > asked.rate]
    if outside:
        print(f"more alarms than stated: {', '.join(dict.fromkeys(outside))}")
    return 1 if outside else 0


def of_scores(kind: Kind, labels: int, held: Limits, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """False alarms a year of each chart, and rounds until a change is found, over streams of their own."""
    draw = np.random.default_rng([kind.overlap, kind.weekly, labels, 1])
    case = f"overlap {kind.overlap}, {kind.weekly} a week"
    still = simulated(draw, asked.streams, YEARS * kind.window, kind, labels, asked.sharpe)
    rows = []
    charts = paths(still.scores, still.eras, kind, seed=1)
    for name, alarmed in alarm_rate(charts, held, kind).items():
        rows.append(_share(case, f"alarms a year, {name}", int(alarmed[:, -1].sum()), len(alarmed)))
    for peer in (page_cusum, page_hinkley):
        years = [peer(one, kind) for one in _deviations(still)]
        if None not in years:
            share = float(np.mean([first is not None and first < kind.window for first in years]))
            rows.append(_peer(case, "alarms a year", peer.__name__, share))
        else:
            rows.append(_peer(case, "alarms a year", peer.__name__, "not installed"))
    for change, apply in SCORES.items():
        rows += _found(case, change, apply, kind, labels, held, draw, asked)
    return rows


def _found(
    case: str, change: str, apply: Callable[[np.ndarray, float], np.ndarray], kind: Kind, labels: int, held: Limits,
    draw: np.random.Generator, asked: argparse.Namespace,
) -> list[dict[str, Any]]:  # fmt: skip
    some = simulated(draw, asked.streams // 2, (1 + LATER) * kind.window, kind, labels, asked.sharpe)
    scores = some.scores.copy()
    scores[:, kind.window :] = apply(scores[:, kind.window :], asked.sharpe)
    waited = delay(paths(scores, some.eras, kind, seed=2), held, kind.window)
    measure = f"{change}: rounds until found"
    rows = [
        _row(case, f"{measure}, {name} (median, 90 %)", *_half_and_most(values, kind))
        for name, values in waited.items()
        if name in ("any", "cusum")
    ]
    for peer in (page_cusum, page_hinkley):
        first = [peer(one, kind, kind.window) for one in _deviations(Simulated(scores, some.eras))]
        if None in first:
            rows.append(_peer(case, measure, peer.__name__, "not installed"))
        else:
            half, most = _half_and_most(np.array(first, dtype=np.float64) - kind.window, kind)
            rows.append(_peer(case, f"{measure} (median, 90 %)", peer.__name__, f"{half:.0f} ({most:.0f})"))
    return rows


def _half_and_most(waited: np.ndarray, kind: Kind) -> list[float]:
    """The rounds within which half of the streams have alarmed, and nine of ten; at most those that were looked at."""
    return list(np.quantile(np.minimum(waited, LATER * kind.window), [0.5, 0.9]).round().tolist())


def _deviations(some: Simulated) -> np.ndarray:
    """What a chart without knowledge of the overlap is given: scores in deviations of validation eras."""
    mean, spread = some.eras.mean(axis=1, keepdims=True), some.eras.std(axis=1, keepdims=True)
    return np.asarray((some.scores - mean) / spread)


def of_rows(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """False alarms of live rows a year, and how often each change is found in its first round."""
    universe, draw = Universe(asked.features, asked.rows), np.random.default_rng([asked.features, asked.rows])
    case = f"{asked.features} features, {asked.rows} rows"
    eras = [universe.era(draw) for _ in range(asked.eras)]
    reference = Reference.of(universe.names, universe.groups, eras)
    rules = {"rate": asked.rate / ROUNDS, "fewest": FEWEST, "broken_share": BROKEN}
    still = [status_of_rows(reference, universe.era(draw), **rules).level for _ in range(asked.still)]
    alarms = sum(level != "ok" for level in still)
    low, high = (1 - (1 - one) ** ROUNDS for one in _interval(alarms, len(still)))
    rows = [_row(case, f"alarms a year, from {len(still):,} rounds", 1 - (1 - alarms / len(still)) ** ROUNDS, None,
                 low, high)]  # fmt: skip
    rows.append(_row(case, "blocked without a cause", sum(level == "block" for level in still) / len(still)))
    before = universe.levels(draw)
    for change in CHANGES[1:]:
        levels = [status_of_rows(reference, universe.era(draw, change), **rules).level for _ in range(asked.changed)]
        caught = sum(level != "ok" for level in levels)
        row = _share(case, f"{change}: found in its first round ({max(set(levels), key=levels.count)})", caught,
                     len(levels))  # fmt: skip
        theirs = evidently_drift(universe.names, before, universe.levels(draw, change))
        rows.append(row | {"peer": "evidently: features named, first round", "theirs": theirs})
    nothing = evidently_drift(universe.names, before, universe.levels(draw))
    rows.append(_peer(case, "nothing has changed", "evidently: features named", nothing))
    return rows


def _share(case: str, measure: str, hits: int, of: int) -> dict[str, Any]:
    return _row(case, measure, hits / of, None, *_interval(hits, of))


def _interval(hits: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval."""
    found = stats.binomtest(hits, of).proportion_ci(0.95, "exact")
    return float(found.low), float(found.high)


def _row(
    case: str, measure: str, ours: float, ninety: float | None = None, low: float | None = None,
    high: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "case": case, "measure": measure, "ours": round(ours, 4), "ninety": ninety,
        "low": None if low is None else round(low, 4), "high": ninety if high is None else round(high, 4),
        "peer": None, "theirs": None, "seconds": None, "peer_seconds": None, "ratio": None, "peak_gb": None,
        "peer_peak_gb": None,
    }  # fmt: skip


def _peer(case: str, measure: str, peer: str, theirs: object) -> dict[str, Any]:
    return _row(case, measure, float("nan")) | {"ours": None, "peer": peer, "theirs": theirs}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overlap", type=int, help="rounds that share a label (default: 20, 60, 4 and 12)")
    parser.add_argument("--weekly", type=int, default=5, help="with --overlap: rounds a week")
    parser.add_argument("--labels", type=int, help="validation labels without overlap (default: 10 to 200)")
    parser.add_argument("--rate", type=float, default=0.1, help="alarms a year that are accepted without a change")
    parser.add_argument("--sharpe", type=float, default=0.5, help="mean over deviation of an era's score")
    parser.add_argument("--streams", type=int, default=500, help="streams that alarms are counted on")
    parser.add_argument("--calibrate", type=int, default=6000, help="streams that limits are found on")
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--eras", type=int, default=100, help="reference eras of rows")
    parser.add_argument("--still", type=int, default=5000, help="rounds of rows without a change")
    parser.add_argument("--changed", type=int, default=100, help="rounds of rows with each change")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
