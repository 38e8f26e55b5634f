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

from eraflow.scoring import mean_interval

ROOT = Path(__file__).parents[1]
ERAS, OVERLAPS = (52, 200, 600), (4, 12)
SIMULATIONS = 2000
WANTED = (0.92, 0.97)


def main() -> int:
    started = time.monotonic()
    rows = [row for eras in ERAS for overlap in OVERLAPS if (row := covered(eras, overlap))]
    out = ROOT / "var/benchmarks/intervals.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=2) + "\n")
    print(pd.DataFrame(rows)[["case", "coverage", "naive_coverage", "width_over_naive"]].to_string(index=False))
    print(f"{SIMULATIONS} simulations each, {time.monotonic() - started:.0f} s")
    outside = [row["case"] for row in rows if row["coverage"] and not WANTED[0] <= row["coverage"] <= WANTED[1]]
    if outside:
        print(f"outside {WANTED[0]:.0%} to {WANTED[1]:.0%}: {'; '.join(outside)}", file=sys.stderr)
    return 1 if outside else 0


def covered(eras: int, overlap: int) -> dict[str, object]:
    """Share of the simulations whose interval holds the true mean, ours and the naive one's."""
    draw = np.random.default_rng([eras, overlap])
    case = f"{eras} eras, overlap {overlap}"
    counted = {"seconds": None, "peer_seconds": None, "ratio": None, "peak_gb": None, "peer_peak_gb": None}
    hits = naive_hits = 0
    widths = []
    for _ in range(SIMULATIONS):
        values = np.convolve(draw.standard_normal(eras + overlap - 1), np.ones(overlap), mode="valid")
        half = stats.t.ppf(0.975, eras - 1) * values.std(ddof=1) / sqrt(eras)
        naive_hits += abs(values.mean()) <= half
        interval = mean_interval(values, overlap)
        if interval is not None:
            hits += interval[0] <= 0 <= interval[1]
            widths.append((interval[1] - interval[0]) / (2 * half))
    told = {"naive_coverage": round(naive_hits / SIMULATIONS, 4), "simulations": SIMULATIONS}
    if not widths:  # fewer than ten effective eras
        return {"case": case, "peer": "naive", **counted, "coverage": None, "width_over_naive": None, **told,
                "peer_note": "no interval is shown below ten effective eras"}  # fmt: skip
    return {"case": case, "peer": "naive", **counted, "coverage": round(hits / SIMULATIONS, 4),
            "width_over_naive": round(float(np.median(widths)), 2), **told, "peer_note": None}  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
