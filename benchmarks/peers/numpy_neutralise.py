"""A loop over eras in numpy, on the files of `benchmarks/neutralise.py`: one process, one era in memory.

numpy_neutralise.py SOLVER FOLDER OUT.parquet; SOLVER is `lstsq`, as numerai-tools' `neutralize` and every notebook have
it, or `normal`: the normal equations, which fail where a feature repeats others.
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MISSING = -1
SOLVERS = {
    "lstsq": lambda X, p: np.linalg.lstsq(X, p, rcond=1e-6)[0],
    "normal": lambda X, p: np.linalg.solve(X.T @ X, X.T @ p),
}


def main(solver: str, source: str, target: str) -> None:
    features = pq.ParquetFile(f"{source}/features.parquet")
    predictions = pq.read_table(f"{source}/predictions.parquet", columns=["id", "era", "prediction"])
    place, parts = 0, []
    for group in range(features.num_row_groups):
        rows = features.read_row_group(group)
        eras = rows["era"].to_numpy()
        levels = rows["features"].combine_chunks().flatten().to_numpy().reshape(len(eras), -1)
        for era in np.unique(eras):
            of_era = levels[eras == era]
            observed = of_era != MISSING
            means = np.where(observed, of_era, 0).sum(axis=0) / observed.sum(axis=0)
            X = np.hstack([np.where(observed, of_era, means), np.ones((len(of_era), 1))])
            p = predictions["prediction"][place : place + len(of_era)].to_numpy()
            place += len(of_era)
            parts.append(p - X @ SOLVERS[solver](X, p))
    neutral = pa.array(np.concatenate(parts))
    pq.write_table(pa.table({"id": predictions["id"], "era": predictions["era"], "prediction": neutral}), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
