"""Coverage of the 95 % intervals of a mean over eras with overlapping labels, beside the naive ones.

Noise with a mean of 0, of which each value shares all but one of its parts with the next, as the scores of overlapping
labels do. A right interval covers 0 in 95 of 100 simulations.
"""

import json
import sys
import time
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from eraflow.scoring import MIN_EFFECTIVE_ERAS, mean_interval

ROOT = Path(__file__).parents[1]
ERAS, OVERLAPS = (52, 200, 600), (4, 12)
SIMULATIONS = 2000
WANTED = (0.92, 0.97)


def main() -> int:
    started = time.monotonic()
    rows = [covered(eras, overlap) for eras in ERAS for overlap in OVERLAPS]
    out = ROOT / "var/benchmarks/intervals.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=2) + "\n")
    print(
        pd.DataFrame(rows)[["case", "coverage", "naive_coverage", "width_over_naive", "peer_note"]]
        .fillna("")
        .to_string(index=False)
    )
    print(f"{SIMULATIONS} simulations each, {time.monotonic() - started:.0f} s")
    outside = [row["case"] for row in rows if not WANTED[0] <= row["coverage"] <= WANTED[1]]
    if outside:
        print(f"outside {WANTED[0]:.0%} to {WANTED[1]:.0%}: {'; '.join(outside)}", file=sys.stderr)
    return 1 if outside else 0


def covered(eras: int, overlap: int) -> dict[str, object]:
    """Share of the simulations whose interval holds the true mean, ours and the naive one's."""
    draw = np.random.default_rng([eras, overlap])
    shown = eras / overlap >= MIN_EFFECTIVE_ERAS
    hits = naive_hits = 0
    widths = []
    for _ in range(SIMULATIONS):
        values = np.convolve(draw.standard_normal(eras + overlap - 1), np.ones(overlap), mode="valid")
        half = stats.t.ppf(0.975, eras - 1) * values.std(ddof=1) / sqrt(eras)
        naive_hits += abs(values.mean()) <= half
        low, high = mean_interval(values, overlap, least=0) or (np.nan, np.nan)
        hits += low <= 0 <= high
        widths.append((high - low) / (2 * half))
    return {
        "case": f"{eras} eras, overlap {overlap}", "peer": "naive", "seconds": None, "peer_seconds": None,
        "ratio": None, "peak_gb": None, "peer_peak_gb": None, "coverage": round(hits / SIMULATIONS, 4),
        "naive_coverage": round(naive_hits / SIMULATIONS, 4), "width_over_naive": round(float(np.median(widths)), 2),
        "peer_note": None if shown else "reports show no interval here: fewer than ten effective eras",
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
