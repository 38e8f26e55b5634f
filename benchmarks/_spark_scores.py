"""The project's side of `make bench-scores`: folder of predictions and references, CSV of scores."""

import sys
from pathlib import Path

from eraflow.cli import leave
from eraflow.scoring import METRICS, FeatureSet, References, collected, per_era, score_eras
from eraflow.session import session


def main(folder: Path, out: Path) -> int:
    spark = session()
    read = spark.read.parquet
    references = References(
        tuple(read(str(folder / f"{name}.parquet")) for name in ("meta_model", "benchmarks", "features")),
        meta_model="meta_model",
        benchmarks=("b1", "b2"),
        features={"own": FeatureSet("features", tuple(f"f{place}" for place in range(10)), -1)},
    )
    metrics = [name for name in METRICS if name != "fnc"]
    scores = per_era(collected(score_eras(read(str(folder / "oof.parquet")), references, metrics=metrics)))
    scores.to_csv(out, index=False)
    print(f"{len(scores)} values")
    return 0


if __name__ == "__main__":
    leave(main(Path(sys.argv[1]), Path(sys.argv[2])))
